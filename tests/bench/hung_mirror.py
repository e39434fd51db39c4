#!/usr/bin/env python3
"""What a mirror that hangs costs: pulls through a good mirror alone, through a hung mirror with
containerd alone, and with the daemon from two probe timeouts after the mirror hung.
    hung_mirror.py --build build/release [--containerd 1.7] [--pulls 20] [--alone 100] [--json]
As root. Everything runs in a test node, on loopback; ratios are within one run."""
import statistics
import time

from bench import SUPPORT, prepare, show
from faulty_registry import PORT
from node import Node, wait_until

CERTS = "/etc/containerd/certs.d"
OPTIONS = {"pulls": 20, "alone": 100}
TIMEOUT = 2  # of a probe, and its interval, in seconds


def config(version):
    plugin = "io.containerd.grpc.v1.cri" if version < "2" else "io.containerd.cri.v1.images"
    return {"config.toml": f'version = {2 if version < "2" else 3}\n[plugins."{plugin}".registry]\n'
                           f'  config_path = "{CERTS}"\n'}


def hosts(*kinds):
    text = f'server = "https://mirror.example:{PORT[kinds[-1]]}"\nca = "/etc/nodetest/ca.crt"\n'
    for kind in kinds[:-1]:
        text += (f'[host."https://mirror.example:{PORT[kind]}"]\n'
                 '  ca = "/etc/nodetest/ca.crt"\n')
    return text + ("[host]\n" if len(kinds) == 1 else "")


def pull_times(node, registry, label, count, limit):
    """Seconds of each pull of an image that is new to the node; None for one that did not end."""
    out = []
    for number in range(count):
        began = time.monotonic()
        done = node.probe("pull", f"{registry}/{label}/{number}:1", str(limit))
        out.append(time.monotonic() - began if done.returncode == 0 else None)
    return out


def run(arguments):
    build, cache = prepare(arguments.build)
    with Node(arguments.containerd, build, cache, config=config(arguments.containerd)) as node:
        node.sh(f"python3 {SUPPORT}/faulty_registry.py /run/mirrors.log /etc/nodetest "
                ">/run/mirrors.out 2>&1 &")
        wait_until(lambda: node.exists("/run/mirrors.log"), "the mirrors listen")
        node.write("/run/mood", "good")
        node.write(f"{CERTS}/good.test/hosts.toml", hosts("good"))
        node.write(f"{CERTS}/alone.test/hosts.toml", hosts("hang", "good"))
        pull_times(node, "good.test", "warm", 3, 60)
        good = pull_times(node, "good.test", "good", arguments.pulls, 60)
        alone = pull_times(node, "alone.test", "alone", 1, arguments.alone)
        node.desire(f"""apiVersion: nodemirrord/v1
registries:
  fleet.test:
    fallback: none
    mirrors:
      - {{url: "https://mirror.example:{PORT['moody']}", ca: /etc/nodetest/ca.crt}}
      - {{url: "https://mirror.example:{PORT['good']}", ca: /etc/nodetest/ca.crt}}
health: {{order: health, interval: {TIMEOUT}s, timeout: {TIMEOUT}s}}
""")
        node.start_daemon()

        def healthy():
            status = node.status()
            chains = [item["chain"] for item in (status or {}).get("registries", [])
                      if item["name"] == "fleet.test"]
            return chains and all(host["health"]["state"] == "Healthy" for host in chains[0])
        wait_until(healthy, "both mirrors are healthy")
        node.write("/run/mood", "hang")
        time.sleep(2 * TIMEOUT)  # what is measured: a pull from two probe timeouts after the hang
        daemon = pull_times(node, "fleet.test", "daemon", arguments.pulls, 60)
    base = statistics.median(good)
    told = [value for value in daemon if value is not None]
    return {
        "containerd": arguments.containerd, "pulls": arguments.pulls,
        "probeTimeoutSeconds": TIMEOUT,
        "goodMirrorAlone": {"medianSeconds": base, "ratio": 1.0},
        "hungMirrorContainerdAlone": {"seconds": alone[0], "limitSeconds": arguments.alone,
                                      "ended": alone[0] is not None,
                                      "ratio": alone[0] / base if alone[0] else None},
        "hungMirrorWithDaemon": {"medianSeconds": statistics.median(told) if told else None,
                                 "firstSeconds": daemon[0], "failed": daemon.count(None),
                                 "firstRatio": daemon[0] / base if daemon[0] else None,
                                 "ratio": statistics.median(told) / base if told else None}}


def table(result):
    base = result["goodMirrorAlone"]["medianSeconds"]
    alone, shown = result["hungMirrorContainerdAlone"], result["hungMirrorWithDaemon"]
    print(f"containerd {result['containerd']}, {result['pulls']} pulls, "
          f"probe timeout {result['probeTimeoutSeconds']} s")
    print(f"{'':44}{'median':>10}{'ratio':>8}")
    print(f"{'good mirror alone':44}{base * 1000:8.1f}ms{1.0:8.2f}")
    ended = (f"{alone['seconds'] * 1000:8.1f}ms" if alone["ended"]
             else f"none in {alone['limitSeconds']} s")
    print(f"{'hung mirror first, containerd alone':44}{ended:>10}")
    if shown["medianSeconds"] is not None:
        print(f"{'hung mirror first, with the daemon':44}{shown['medianSeconds'] * 1000:8.1f}ms"
              f"{shown['ratio']:8.2f}   first pull {shown['firstSeconds'] or float('nan'):.3f} s, "
              f"{shown['failed']} failed")
    else:
        print("hung mirror first, with the daemon: no pull ended")


if __name__ == "__main__":
    show(run, table, OPTIONS)
