#!/usr/bin/env python3
"""Whether probes hold up healing: the time from an edit of hosts.toml to its content being back,
without and with some hundred mirrors that hang.
    heal_under_probes.py --build build/release [--containerd 1.7] [--heals 400] [--hung 300] [--json]
As root. Everything runs in a test node, on loopback; the ratio is within one run."""
import json
import statistics
from pathlib import Path

from bench import SUPPORT, prepare, quantile, show
from faulty_registry import PORT
from node import Node, wait_until

HERE = Path(__file__).resolve().parent
HOSTS = "/etc/containerd/certs.d/quiet{}.test/hosts.toml"
# The files that are edited in turn: five edits of one within ten seconds would count as a fight
# over it.
QUIET = 20
PAUSE = 0.15  # seconds between two edits
OPTIONS = {"heals": 400, "hung": 300}


def registry(name, mirrors):
    return f"  {name}:\n    mirrors:\n" + "".join(
        f"      - {{url: \"https://mirror.example:{url}\", ca: /etc/nodetest/ca.crt}}\n"
        for url in mirrors)


def desired(hung):
    """Registries of five mirrors that hang, behind one that is good, and those that are edited."""
    text = "apiVersion: nodemirrord/v1\nregistries:\n"
    for n in range(QUIET):
        text += registry(f"quiet{n}.test", [PORT["good"]])
    for n in range(hung // 5):
        text += registry(f"fleet{n}.test", [PORT["good"]] + [f"{PORT['hang']}/m{n}/{m}"
                                                             for m in range(5)])
    return text + "health: {order: health, interval: 2s, timeout: 2s}\n"


def heals(node, count):
    done = node.run("python3", HERE / "drift.py", count, PAUSE,
                    *(HOSTS.format(n) for n in range(QUIET)), timeout=count * (PAUSE + 1) + 60)
    took = json.loads(done.stdout)
    if took["missed"]:
        raise AssertionError(f"{took['missed']} were not healed")
    return took["seconds"]


def run(arguments):
    build, cache = prepare(arguments.build)
    result = {}
    with Node(arguments.containerd, build, cache) as node:
        # Mirrors are other machines: here they must not take the daemon's share of the processor.
        node.sh(f"nice -n 19 python3 {SUPPORT}/faulty_registry.py /run/mirrors.log "
                "/etc/nodetest >/run/mirrors.out 2>&1 &")
        wait_until(lambda: node.exists("/run/mirrors.log"), "the mirrors listen")
        for name, hung in (("quiet", 0), ("hung", arguments.hung)):
            node.desire(desired(hung))
            if hung == 0:
                node.start_daemon()
            wait_until(lambda: node.exists(HOSTS.format(QUIET - 1)), "the files are there")
            if hung:
                wait_until(lambda: int(node.sh("ls /proc/$(pidof nodemirrord)/fd | wc -l")) >
                           hung // 2, "probes hang")
            values = heals(node, arguments.heals)
            result[name] = {"hung": hung, "p50Seconds": statistics.median(values),
                            "p99Seconds": quantile(values, 0.99)}
    for name in ("p50", "p99"):
        result[f"{name}Ratio"] = result["hung"][f"{name}Seconds"] / result["quiet"][f"{name}Seconds"]
    return result


def table(result):
    print(f"{'':28}{'p50':>10}{'p99':>10}")
    for name, words in (("quiet", "no mirror hangs"), ("hung", f"{result['hung']['hung']} mirrors hang")):
        print(f"{words:28}{result[name]['p50Seconds'] * 1000:8.2f}ms"
              f"{result[name]['p99Seconds'] * 1000:8.2f}ms")
    print(f"{'ratio':28}{result['p50Ratio']:10.2f}{result['p99Ratio']:10.2f}")


if __name__ == "__main__":
    show(run, table, OPTIONS)
