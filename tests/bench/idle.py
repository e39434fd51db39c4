#!/usr/bin/env python3
"""What the daemon costs while nothing happens: memory, threads, wakeups, and the time to READY=1,
beside containerd on the same node.
    idle.py --build build/release [--containerd 1.7] [--registries 100] [--seconds 60] [--json]
As root. Everything runs in a test node, on loopback; ratios are within one run."""
import json
import re
import statistics
import time

from bench import parse, prepare
from node import Node

STARTS = 5


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


def measure(node, unit, seconds):
    pid = node.sh(f"systemctl show -P MainPID {unit}").strip()
    before, began = wakeups(node, pid), time.monotonic()
    time.sleep(seconds)
    result = memory(node, pid)
    result["threads"] = len(node.sh(f"ls /proc/{pid}/task").split())
    result["wakeupsPerMinute"] = ((wakeups(node, pid) - before) * 60 /
                                  (time.monotonic() - began))
    return result


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


def main():
    arguments = parse(registries=100, seconds=60)
    build, cache = prepare(arguments.build)
    with Node(arguments.containerd, build, cache) as node:
        node.desire(desired(arguments.registries))
        node.start_daemon()
        node.wait_for_phase("Ready")
        ready = start_times(node)
        node.wait_for_phase("Ready")
        time.sleep(10)  # the first probes of all mirrors
        result = {"registries": arguments.registries, "secondsToReady": ready,
                  "nodemirrord": measure(node, "nodemirrord", arguments.seconds),
                  "containerd": measure(node, "containerd", 5)}
    result["pssRatio"] = result["nodemirrord"]["pssMiB"] / result["containerd"]["pssMiB"]
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"containerd {arguments.containerd}, {arguments.registries} registries of four mirrors")
    print(f"{'':14}{'RSS':>10}{'PSS':>10}{'dirty':>10}{'threads':>9}{'wakeups/min':>13}")
    for name in ("nodemirrord", "containerd"):
        row = result[name]
        print(f"{name:14}{row['rssMiB']:7.1f}MiB{row['pssMiB']:7.1f}MiB"
              f"{row['privateDirtyMiB']:7.1f}MiB{row['threads']:9}{row['wakeupsPerMinute']:13.1f}")
    print(f"{'PSS ratio':14}{'':10}{result['pssRatio']:10.2f}")
    print(f"READY=1 after {ready * 1000:.0f} ms, median of {STARTS} starts")


if __name__ == "__main__":
    main()
