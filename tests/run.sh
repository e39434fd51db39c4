#!/bin/sh
# Installs what the tests need, builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs
# every test: the core, the adapters, and whole nodes with real containerds. As root.
# Arguments go to ctest, for example: ./tests/run.sh -R unit
set -eu
cd "$(dirname "$0")/.."
. packaging/dependencies.sh
# shellcheck disable=SC2086
install_packages $BUILD_PACKAGES $TEST_PACKAGES
launcher=
if command -v ccache >/dev/null 2>&1; then
    launcher=-DCMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
cmake --preset sanitize $launcher >build.log 2>&1 || { cat build.log; exit 1; }
rm -f build.log
cmake --build --preset sanitize --parallel "$(nproc)"
exec ctest --preset sanitize --parallel "$(nproc)" "$@"
