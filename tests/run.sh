#!/bin/sh
# Installs what the tests need, builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs
# every test: the core, the adapters, whole nodes with real containerds, and the fuzzer for a moment. As
# root.
# Arguments go to ctest, for example: ./tests/run.sh -R unit
set -eu
cd "$(dirname "$0")/.."
. packaging/dependencies.sh
# shellcheck disable=SC2086
install_packages $BUILD_PACKAGES $TEST_PACKAGES $FUZZ_PACKAGES
launcher=
if command -v ccache >/dev/null 2>&1; then
    launcher=-DCMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
cmake --preset sanitize $launcher >build.log 2>&1 || { cat build.log; exit 1; }
rm -f build.log
cmake --build --preset sanitize --parallel "$(nproc)"
# The fuzzer is built and run for a moment while nodes are waited for.
fuzzer=
if [ $# -eq 0 ]; then
    nice -n 19 tests/fuzz/run.sh 5 >build/fuzz.log 2>&1 &
    fuzzer=$!
    trap 'kill "$fuzzer" 2>/dev/null || true' EXIT
fi
status=0
# A node waits more than it works.
ctest --preset sanitize --parallel $(($(nproc) + 1)) --output-junit "$PWD/build/tests.xml" "$@" || status=$?
# A leg that was skipped, for its containerd could not be had, has shown nothing.
if grep -q '<skipped' build/tests.xml && [ "${ALLOW_SKIPPED:-0}" != 1 ]; then
    echo "tests were skipped; ALLOW_SKIPPED=1 lets that pass" >&2
    status=1
fi
if [ -n "$fuzzer" ]; then
    fuzzed=0
    wait "$fuzzer" || fuzzed=$?
    grep -E '^==|number_of_executed_units' build/fuzz.log || true
    [ $fuzzed = 0 ] || { tail -n 60 build/fuzz.log; status=1; }
    trap - EXIT
fi
exit $status
