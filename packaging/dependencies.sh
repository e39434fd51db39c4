# The Debian 12 packages that building and testing take. Sourced, not run.

BUILD_PACKAGES="g++ cmake ninja-build pkg-config git ca-certificates
 libboost1.81-dev libcli11-dev libnghttp2-dev libprotobuf-dev libspdlog-dev libssl-dev
 libsystemd-dev libtomlplusplus-dev libyaml-cpp-dev nlohmann-json3-dev prometheus-cpp-dev
 protobuf-compiler"
# What runs on a test node is judged by a client of CRI made of gRPC's own parts.
NODE_PACKAGES="curl dbus docker-registry iproute2 libgrpc++-dev openssl procps protobuf-compiler-grpc python3
 runc systemd util-linux"
FUZZ_PACKAGES="clang-19 libclang-rt-19-dev iproute2 util-linux"
TEST_PACKAGES="catch2 clang-format strace $NODE_PACKAGES"

# Installs what is missing of the packages named, without starting any service of theirs.
install_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "these packages are missing, and only root can install them:$missing" >&2
        return 1
    fi
    echo "Installing:$missing"
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=yes
    fi
    status=0
    log=$(mktemp)
    # shellcheck disable=SC2086
    { apt-get -qq update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y \
            --no-install-recommends $missing; } >"$log" 2>&1 || status=$?
    [ $status = 0 ] || cat "$log" >&2
    rm -f "$log"
    [ -z "$made" ] || rm -f "$policy"
    return $status
}
