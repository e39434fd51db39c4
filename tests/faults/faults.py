#!/usr/bin/env python3
"""Makes system calls of the daemon fail, or the process die at them, one after the other: after
each, the next start converges, the user's files are as they were, nothing is left over, and no
reader ever saw a torn or missing hosts.toml.
    faults.py --build build/sanitize [--stride 1] [--kind fsync] [--verbose]
`--stride 5` takes every fifth place of every kind. Which calls there are is learnt from a run that
nothing befalls; only those that touch the daemon's own files are taken."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

# What each kind of call fails with.
KINDS = {"openat": "EMFILE", "write": "ENOSPC", "fsync": "EIO", "renameat": "EIO",
         "renameat2": "EINVAL", "unlinkat": "EACCES", "mkdir": "ENOSPC", "mkdirat": "ENOSPC",
         "read": "EIO", "newfstatat": "EACCES", "fchmod": "EPERM", "getdents64": "EIO",
         "flock": "EWOULDBLOCK"}

EARLIER = '# by hand\nserver = "https://registry-1.docker.io"\n\n[host."https://old.example"]\n'


def desired(**mirrors):
    text = "apiVersion: nodemirrord/v1\nregistries:\n" if mirrors else \
        "apiVersion: nodemirrord/v1\nregistries: {}\n"
    return text + "".join(f"  {name.replace('_', '.')}: {{mirrors: [{{url: https://{host}}}]}}\n"
                          for name, host in mirrors.items())


BEFORE = desired(docker_io="one.example", ghcr_io="one.example", k8s_io="one.example",
                 lab_io="one.example")
AFTER = desired(docker_io="two.example", ghcr_io="one.example", gcr_io="one.example",
                mcr_io="one.example")
NOTHING = desired()


class World:
    """A scratch directory with all that the daemon reads and writes."""

    def __init__(self, build, path):
        self.build, self.path = build, path
        self.certs = path / "certs.d"

    def command(self):
        return [self.build / "daemon/nodemirrord", "--once", "--desired", self.path / "desired.yaml",
                "--certs-dir", self.certs, "--state-dir", self.path / "state",
                "--status-socket", self.path / "socket", "--containerd-socket", self.path / "none",
                "--containerd-config", self.path / "config.toml", "--log-level", "error"]

    def run(self, yaml, prefix=()):
        (self.path / "desired.yaml").write_text(yaml)
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0",
                       "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.path}/no-bus"}
        return subprocess.run([*prefix, *self.command()], capture_output=True, text=True,
                              env=environment, timeout=120)

    def hosts(self):
        """The hosts.toml files by registry; a directory without one is None."""
        out = {}
        for directory in sorted(self.certs.iterdir()) if self.certs.exists() else []:
            file = directory / "hosts.toml"
            out[directory.name] = file.read_text() if file.exists() else None
        return out

    def leftovers(self):
        return [str(path) for path in self.path.rglob(".nodemirrord-*")]


def prepare(build, path):
    """Files of a user's, one of which the daemon has taken over, one drifted, one given back."""
    world = World(build, path)
    for name in ("docker.io", "quay.io"):
        (world.certs / name).mkdir(parents=True)
        (world.certs / name / "hosts.toml").write_text(EARLIER)
    (world.certs / "lab.io").mkdir()
    (world.certs / "lab.io/hosts.toml").write_text(EARLIER + "# lab\n")
    world.run(BEFORE)
    (world.certs / "ghcr.io/hosts.toml").write_text("# drift\n")
    return world


class Reader(threading.Thread):
    """Reads a file as containerd would at every pull, and keeps what it saw."""

    def __init__(self, path):
        super().__init__()
        self.path, self.seen, self.ended = path, set(), False

    def run(self):
        while not self.ended:
            try:
                self.seen.add(self.path.read_text())
            except FileNotFoundError:
                self.seen.add(None)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.join()


class Harness:
    def __init__(self, build, scratch):
        self.build, self.scratch = build, scratch
        self.start = prepare(build, scratch / "start")
        self.before = self.start.hosts()["docker.io"]
        reference = self.copy("reference")
        reference.run(AFTER)
        self.after = reference.hosts()
        reference.run(NOTHING)
        self.given_back = reference.hosts()
        self.check_reference()
        self.failures = []
        self.hit = 0

    def check_reference(self):
        assert self.after["quay.io"] == EARLIER and "two.example" in self.after["docker.io"]
        assert self.given_back == {"docker.io": EARLIER, "quay.io": EARLIER,
                                   "lab.io": EARLIER + "# lab\n"}, self.given_back

    def copy(self, name):
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.start.path, path, symlinks=True,
                        ignore=lambda _, names: [n for n in names if n == "socket"])
        return World(self.build, path)

    def places(self, kind):
        """The numbers, from 1, of the calls of a kind that touch the daemon's files."""
        world = self.copy("learn")
        log = self.scratch / "learn.strace"
        world.run(AFTER, ["strace", "-f", "-y", "-o", log, "-e", f"trace={kind}"])
        number, out, main = 0, [], None
        for line in log.read_text(errors="replace").splitlines():
            pid, _, call = line.partition(" ")
            main = main or pid
            if pid != main or not call.strip().startswith(kind + "("):
                continue
            number += 1
            if str(world.path) in call:
                out.append(number)
        return out

    def check(self, what, world, faulted, seen):
        problems = []
        if faulted.returncode not in (0, 1, 2) and faulted.returncode not in (-9, 137):
            problems.append(f"ended with {faulted.returncode}: {faulted.stderr[-2000:]}")
        if "ERROR: AddressSanitizer" in faulted.stderr or "runtime error" in faulted.stderr:
            problems.append(faulted.stderr[-3000:])
        if not seen <= {self.before, self.after["docker.io"]}:
            problems.append(f"a reader saw {seen - {self.before, self.after['docker.io']}}")
        again = world.run(AFTER)
        if world.hosts() != self.after:
            problems.append(f"not converged: {again.stderr[-1000:]} {world.hosts()}")
        if world.leftovers():
            problems.append(f"left over: {world.leftovers()}")
        world.run(NOTHING)
        if world.hosts() != self.given_back:
            problems.append(f"not given back: {world.hosts()}")
        for problem in problems:
            self.failures.append(f"{what}: {problem}")
            print(f"FAILED {what}: {problem}", flush=True)

    def strike(self, kind, number, how):
        world = self.copy("struck")
        with Reader(world.certs / "docker.io/hosts.toml") as reader:
            faulted = world.run(AFTER, ["strace", "-f", "-o", self.scratch / "struck.strace",
                                        "-e", f"trace={kind}",
                                        "-e", f"inject={kind}:{how}:when={number}"])
        log = (self.scratch / "struck.strace").read_text(errors="replace")
        self.hit += "INJECTED" in log or "killed by SIGKILL" in log
        self.check(f"{kind} {number} {how}", world, faulted, reader.seen)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="faults."))
    try:
        harness = Harness(Path(arguments.build).resolve(), scratch)
        struck = 0
        for kind in [arguments.kind] if arguments.kind else KINDS:
            places = harness.places(kind)
            # Another remainder for each kind, so that not only the first calls are struck.
            chosen = places[len(kind) % arguments.stride::arguments.stride]
            print(f"{kind}: {len(chosen)} of {len(places)} places", flush=True)
            for number in chosen:
                for how in (f"error={KINDS[kind]}", "signal=KILL"):
                    harness.strike(kind, number, how)
                    struck += 1
        print(f"{struck} faults, {harness.hit} took place, {len(harness.failures)} failures")
        # A fault that did not take place proves nothing.
        sys.exit(1 if harness.failures or struck == 0 or harness.hit < struck * 0.9 else 0)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
