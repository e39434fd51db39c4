#!/bin/sh
# Shows the main job on a node of its own on this machine: real systemd, real containerd, a registry
# on loopback with TLS, and no route out. Installs what it needs, builds, ends by itself and leaves
# nothing behind. As root, on Debian 12.
set -eu
cd "$(dirname "$0")/.."
. packaging/dependencies.sh
if [ "$(id -u)" != 0 ]; then
    echo "quickstart.sh boots a whole node in namespaces of its own, which takes root." >&2
    exit 2
fi
# shellcheck disable=SC2086
install_packages $BUILD_PACKAGES $NODE_PACKAGES
build=$(pwd)/build/quickstart
echo "Building (a few minutes the first time)"
mkdir -p build
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DNODEMIRROR_TESTS=OFF \
    -DNODEMIRROR_PROBE=ON >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" --parallel "$(nproc)" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
rm -f "$build.log"
exec python3 packaging/quickstart.py "$build"
