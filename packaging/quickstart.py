#!/usr/bin/env python3
"""The second half of quickstart.sh: boots the node and shows what happens on it."""
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/support"))

import containerds  # noqa: E402
import fixtures  # noqa: E402
from node import Node, wait_until  # noqa: E402

HOSTS = "/etc/containerd/certs.d/docker.io/hosts.toml"
ALIAS = "k8s.gcr.io/pause:3.10"


def title(text):
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def indent(text):
    print("\n".join("   " + line for line in text.strip().splitlines()), flush=True)


def pod(node):
    code, said = node.start_pod()
    print(f"   a pod start says: {said if code else 'started'}", flush=True)
    return code


def show(node):
    desired = (HERE.parent / "config/desired.yaml").read_text()
    title("A node with containerd, and no route to Docker Hub or registry.k8s.io")
    indent(node.sh("containerd --version; ip route show default | grep . || echo 'no route out'"))
    before = pod(node)

    title("The desired state, /etc/nodemirrord/desired.yaml")
    indent("\n".join(line for line in desired.splitlines() if not line.startswith("#")))

    title("systemctl start nodemirrord")
    node.desire(desired)
    began = time.monotonic()
    node.start_daemon()
    node.wait_for_phase("Ready")
    print(f"   Ready after {time.monotonic() - began:.1f} s", flush=True)
    after = pod(node)
    title("nodemirrorctl status")
    indent(node.sh("nodemirrorctl status"))

    title("Somebody breaks a hosts.toml and removes the pause image's name")
    wanted = node.read(HOSTS)
    began = time.monotonic()
    node.sh(f"echo 'server = \"https://wrong.example\"' >{HOSTS}")
    wait_until(lambda: node.read(HOSTS) == wanted, "hosts.toml is healed", 10, 0.01)
    print(f"   hosts.toml was back when we looked, {(time.monotonic() - began) * 1000:.0f} ms later",
          flush=True)
    began = time.monotonic()
    node.ctr("images", "rm", ALIAS)
    wait_until(lambda: node.image_present(ALIAS), "the pause image's name is back", 10, 0.01)
    print(f"   {ALIAS} was back when we looked, {(time.monotonic() - began) * 1000:.0f} ms later",
          flush=True)
    indent(node.sh("journalctl -u nodemirrord -o cat --no-pager | "
                   "grep -E 'event=(healed|missing|present)' | tail -3"))
    healed = pod(node)
    return before == 1 and after == 0 and healed == 0


def main():
    build = Path(sys.argv[1])
    cache = build / "node-cache"
    cache.mkdir(exist_ok=True)
    fixtures.fixtures(cache)
    fixtures.staged(build, cache)
    try:
        containerds.containerd("1.6", cache)
    except containerds.Unavailable as error:
        sys.exit(f"quickstart: {error}")
    with Node("1.6", build, cache) as node:
        good = show(node)
    title("The node is gone, and nothing is left of it" if good else "This is not what was to be shown")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
