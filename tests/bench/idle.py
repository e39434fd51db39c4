#!/usr/bin/env python3
"""What the daemon costs while nothing happens: memory, threads, wakeups, and the time to READY=1,
beside containerd on the same node and a small Go program that watches the same files.
    idle.py --build build/release [--containerd 1.7] [--registries 100] [--seconds 180] [--json]
As root. Everything runs in a test node, on loopback; ratios are within one run."""
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

from bench import build_go, prepare, show
from node import Node, wait_until

STARTS = 5
OPTIONS = {"registries": 100, "seconds": 180}


def desired(registries):
    """Four mirrors each, on one host, which is not probed again within the measurement."""
    text = "apiVersion: nodemirrord/v1\nregistries:\n"
    for n in range(registries):
        text += f"  r{n}.test:\n    mirrors:\n"
        text += "".join("      - {url: https://docker.m.daocloud.io, "
                        f"repositoryPrefix: m{n}x{m}}}\n" for m in range(4))
    return text + ("health: {interval: 1h}\n"
                   "pause: {sources: [registry.aliyuncs.com/google_containers/pause:3.10]}\n")


def memory(node, pid):
    text = node.read(f"/proc/{pid}/smaps_rollup")
    return {key: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) / 1024
            for key, name in (("rssMiB", "Rss"), ("pssMiB", "Pss"),
                              ("privateDirtyMiB", "Private_Dirty"))}


def wakeups(node, pid):
    """How often its threads have gone to sleep by themselves so far."""
    out = node.sh(f"cat /proc/{pid}/task/*/status")
    return sum(int(count) for count in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", out, re.M))


def measure(node, units, seconds):
    """All in one window, a whole number of minutes: the daemon asks for containerd's version once
    a minute, which is a timer, an answer, and the timer of its deadline, which Asio leaves set."""
    pids = {unit: node.sh(f"systemctl show -P MainPID {unit}").strip() for unit in units}
    before = {unit: wakeups(node, pid) for unit, pid in pids.items()}
    began = time.monotonic()
    time.sleep(seconds)
    out = {}
    for unit, pid in pids.items():
        count, minutes = wakeups(node, pid) - before[unit], (time.monotonic() - began) / 60
        out[unit] = {**memory(node, pid), "threads": len(node.sh(f"ls /proc/{pid}/task").split()),
                     "wakeupsPerMinute": count / minutes}
    return out


def start_times(node):
    """From systemd's start of the process to its READY=1."""
    out = []
    for _ in range(STARTS):
        node.run("systemctl", "restart", "nodemirrord")
        shown = node.sh("systemctl show -P ExecMainStartTimestampMonotonic "
                        "-P ActiveEnterTimestampMonotonic nodemirrord").split()
        started, active = sorted(int(value) for value in shown)
        out.append((active - started) / 1e6)
    return statistics.median(out)


def lay_out(node, build, directory):
    """The daemon as it lies on a disk, where its code is clean memory; a file of the node's own
    file system, which is in memory, would count as dirty. And the mirror's CA as update-ca-certificates
    installs it."""
    build_go("rival", Path(directory))
    node.run("mount", "--bind", build / "daemon/nodemirrord", "/usr/sbin/nodemirrord")
    os.sync()
    node.sh("cd /etc/ssl/certs && cp /etc/nodetest/ca.crt test.pem && "
            "ln -s test.pem $(openssl x509 -in test.pem -noout -hash).0")


def start_rival(node, directory, registries):
    """What the small Go program costs for the same files."""
    files = [f"/etc/containerd/certs.d/r{n}.test/hosts.toml" for n in range(registries)]
    node.run("systemd-run", "--unit=rival", "--working-directory=/", f"{directory}/rival", *files)
    wait_until(lambda: "ready" in node.journal("rival"), "the Go program is ready")


def run(arguments):
    build, cache = prepare(arguments.build)
    with tempfile.TemporaryDirectory(dir=build) as directory, \
            Node(arguments.containerd, build, cache) as node:
        lay_out(node, build, directory)
        node.desire(desired(arguments.registries))
        node.start_daemon()
        node.wait_for_phase("Ready")
        ready = start_times(node)
        node.wait_for_phase("Ready")
        start_rival(node, directory, arguments.registries)
        time.sleep(10)  # the first probes of all mirrors
        measured = measure(node, ("nodemirrord", "rival", "containerd"), arguments.seconds)
    result = {"containerdVersion": arguments.containerd, "registries": arguments.registries,
              "secondsToReady": ready, "nodemirrord": measured["nodemirrord"],
              "go": measured["rival"], "containerd": measured["containerd"]}
    for rival in ("go", "containerd"):
        result[f"pssRatioTo_{rival}"] = result["nodemirrord"]["pssMiB"] / result[rival]["pssMiB"]
    return result


def table(result):
    print(f"containerd {result['containerdVersion']}, {result['registries']} registries of four "
          "mirrors")
    print(f"{'':14}{'RSS':>10}{'PSS':>10}{'dirty':>10}{'threads':>9}{'wakeups/min':>13}")
    for name in ("nodemirrord", "go", "containerd"):
        row = result[name]
        print(f"{name:14}{row['rssMiB']:7.1f}MiB{row['pssMiB']:7.1f}MiB"
              f"{row['privateDirtyMiB']:7.1f}MiB{row['threads']:9}{row['wakeupsPerMinute']:13.1f}")
    print(f"PSS to the Go program's {result['pssRatioTo_go']:.2f}, to containerd's "
          f"{result['pssRatioTo_containerd']:.2f}")
    print(f"READY=1 after {result['secondsToReady'] * 1000:.0f} ms, median of {STARTS} starts")


if __name__ == "__main__":
    show(run, table, OPTIONS)
