#!/usr/bin/env python3
"""Drift to healed: from an edit of hosts.toml to its content being back under its name, beside the
least that has to be done (floor.c), a small Go program (rival.go), and a systemd .path unit with a
shell script.
    heal.py --build build/release [--containerd 1.7] [--heals 1000] [--json]
As root. Everything runs in one test node, with the same files on the disk of the build; the programs
take turns."""
import json
import statistics
import tempfile
from pathlib import Path

from bench import build_go, compile_floor, prepare, quantile, show
from node import Node, wait_until

HERE = Path(__file__).resolve().parent
CERTS = "/etc/containerd/certs.d"
# Edited in turn: five edits of one file within ten seconds would count as a fight over it.
FILES = 60
PAUSE = 0.04
ROUNDS = 4
OPTIONS = {"heals": 1000}

SCRIPT = """#!/bin/sh
for file in /var/rival/*/hosts.toml; do
    cmp -s "$file" /var/rival/good && continue
    cp /var/rival/good "$file.new" && sync "$file.new" && mv "$file.new" "$file" &&
        sync "$(dirname "$file")"
done
"""
UNITS = {"/etc/systemd/system/rival.path": "[Path]\n" + "".join(
            f"PathChanged=/var/rival/{n}/hosts.toml\n" for n in range(FILES)) +
         "TriggerLimitIntervalSec=0\n",
         "/etc/systemd/system/rival.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
         "Type=oneshot\nExecStart=/usr/local/bin/rival.sh\n"}


def desired():
    return "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
        f"  quiet{n}.test: {{mirrors: [{{url: https://docker.m.daocloud.io}}]}}\n"
        for n in range(FILES)) + "health: {interval: 1h}\n"


class Contest:
    """Who heals, by name: how to start it, which files it heals, how to stop it."""

    def __init__(self, node):
        self.node = node
        self.rival_files = [f"/var/rival/{n}/hosts.toml" for n in range(FILES)]
        self.files = [f"{CERTS}/quiet{n}.test/hosts.toml" for n in range(FILES)]

    def start(self, name):
        node = self.node
        if name == "nodemirrord":
            node.run("systemctl", "start", "nodemirrord")
            return self.files
        if name == "path unit":
            node.run("systemctl", "start", "rival.path")
            return self.rival_files
        program = {"floor": ["/usr/local/bin/floor", "heal", self.rival_files[0]],
                   "go": ["/usr/local/bin/rival", *self.rival_files]}[name]
        node.run("systemd-run", "--unit=contender", *program)
        wait_until(lambda: "ready" in node.journal("contender"), f"{name} is ready")
        return self.rival_files[:1] if name == "floor" else self.rival_files

    def stop(self, name):
        unit = {"nodemirrord": "nodemirrord", "path unit": "rival.path"}.get(name, "contender")
        self.node.run("systemctl", "stop", unit)
        self.node.run("systemctl", "reset-failed", check=False)

    def measure(self, name, count):
        files = self.start(name)
        done = self.node.run("python3", HERE / "drift.py", count, PAUSE, *files, timeout=600)
        self.stop(name)
        return json.loads(done.stdout)


def set_up(node, rivals):
    # On a disk: in the node's own file system, which is in memory, fsync would cost nothing.
    for name, place in (("certs", CERTS), ("rivals", "/var/rival")):
        on_disk = Path(rivals) / name
        on_disk.mkdir()
        node.sh(f"mkdir -p {place} && mount --bind {on_disk} {place}")
    node.desire(desired())
    node.start_daemon()
    wait_until(lambda: node.exists(f"{CERTS}/quiet{FILES - 1}.test/hosts.toml"), "files are there")
    node.run("systemctl", "stop", "nodemirrord")
    node.sh(f"cp {CERTS}/quiet0.test/hosts.toml /var/rival/good;"
            f"for n in $(seq 0 {FILES - 1}); do mkdir -p /var/rival/$n;"
            "cp /var/rival/good /var/rival/$n/hosts.toml; done;"
            f"cp {rivals}/floor {rivals}/rival /usr/local/bin/")
    node.write("/usr/local/bin/rival.sh", SCRIPT, "755")
    for path, text in UNITS.items():
        node.write(path, text)
    node.run("systemctl", "daemon-reload")


def run(arguments):
    build, cache = prepare(arguments.build)
    names = ("floor", "nodemirrord", "go", "path unit")
    seconds = {name: [] for name in names}
    missed = {name: 0 for name in names}
    with tempfile.TemporaryDirectory(dir=build) as directory, \
            Node(arguments.containerd, build, cache, cri=False) as node:
        compile_floor(directory)
        build_go("rival", Path(directory))
        set_up(node, directory)
        contest = Contest(node)
        for _ in range(ROUNDS):
            for name in names:
                took = contest.measure(name, arguments.heals // ROUNDS)
                seconds[name] += took["seconds"]
                missed[name] += took["missed"]
    result = {"edits": arguments.heals}
    for name in names:
        result[name] = {"p50Seconds": statistics.median(seconds[name]),
                        "p99Seconds": quantile(seconds[name], 0.99), "missed": missed[name]}
        for part in ("p50", "p99"):
            result[name][f"{part}Ratio"] = (result[name][f"{part}Seconds"] /
                                            result["floor"][f"{part}Seconds"])
    return result


def table(result):
    print(f"{result['edits']} edits each{'':8}{'p50':>10}{'p99':>12}{'to the floor':>18}{'missed':>8}")
    for name, row in ((name, row) for name, row in result.items() if name != "edits"):
        print(f"{name:20}{row['p50Seconds'] * 1000:9.3f} ms{row['p99Seconds'] * 1000:9.3f} ms"
              f"{row['p50Ratio']:9.2f}{row['p99Ratio']:9.2f}{row['missed']:8}")


if __name__ == "__main__":
    show(run, table, OPTIONS)
