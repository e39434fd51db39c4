#!/bin/sh
# Fuzzes what reads foreign input, with libFuzzer, ASan and UBSan (clang 19 of Debian 12).
#   fuzz/run.sh SECONDS [TARGET...]      as root: it runs without a network
# What is found is written to build/fuzz/found/TARGET; an input that broke something belongs, once
# mended, among the seeds of its target.
set -eu
cd "$(dirname "$0")/../.."
. packaging/dependencies.sh
# shellcheck disable=SC2086
install_packages $BUILD_PACKAGES $FUZZ_PACKAGES
seconds=$1
shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/seeds)
launcher=
if command -v ccache >/dev/null 2>&1; then
    launcher=-DCMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
cmake --preset fuzz $launcher >/dev/null
cmake --build --preset fuzz --target fuzz_targets --parallel "$(nproc)"
status=0
for target in "$@"; do
    corpus=build/fuzz/corpus/$target
    found=build/fuzz/found/$target
    mkdir -p "$corpus" "$found"
    echo "== $target"
    NODEMIRROR_FUZZ=$target unshare --net sh -c '
        ip link set lo up
        echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse 2>/dev/null || true
        exec "$@"' sh build/fuzz/tests/fuzz/fuzz_targets "$corpus" "tests/fuzz/seeds/$target" \
        -artifact_prefix="$found/" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -verbosity=0 || status=1
done
exit $status
