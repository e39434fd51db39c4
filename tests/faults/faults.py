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
         "flock": "EWOULDBLOCK", "linkat": "EPERM"}

EARLIER = '# by hand\nserver = "https://registry-1.docker.io"\n\n[host."https://old.example"]\n'


def desired(**mirrors):
    text = "apiVersion: nodemirrord/v1\nregistries:\n" if mirrors else \
        "apiVersion: nodemirrord/v1\nregistries: {}\n"
    return text + "".join(f"  {name.replace('_', '.')}: {{mirrors: [{{url: https://{host}}}]}}\n"
                          for name, host in mirrors.items())


BEFORE = desired(docker_io="one.example", ghcr_io="one.example", k8s_io="one.example",
                 lab_io="one.example", lent_io="one.example", odd_io="one.example",
                 loan_io="one.example")
AFTER = desired(docker_io="two.example", ghcr_io="one.example", gcr_io="one.example",
                mcr_io="one.example", theirs_io="one.example", inner_io="one.example",
                file_io="one.example")
SOMEBODY = 1234
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

    def tree(self):
        """All there is below certs.d: owner, group, mode, and content of files, by path."""
        out = {}
        for path in sorted(self.certs.rglob("*")):
            status = path.stat()
            out[str(path.relative_to(self.certs))] = (
                status.st_uid, status.st_gid, oct(status.st_mode),
                path.read_text() if path.is_file() else None)
        return out

    def hosts(self, registry):
        return (self.certs / registry / "hosts.toml").read_text()

    def leftovers(self):
        return [str(path) for path in self.path.rglob(".nodemirrord-*")]


def users_files(world):
    """Files of a user's; of somebody else two directories and two files; two directories where
    hosts.toml should be."""
    for name in ("docker.io", "quay.io", "lab.io", "lent.io", "theirs.io", "loan.io", "file.io"):
        (world.certs / name).mkdir(parents=True)
        (world.certs / name / "hosts.toml").write_text(f"{EARLIER}# {name}\n")
    for name in ("lent.io", "theirs.io"):
        (world.certs / name / "ca.crt").write_text("a certificate\n")
        for path in (world.certs / name / "hosts.toml", world.certs / name):
            os.chown(path, SOMEBODY, SOMEBODY)
    for name in ("loan.io", "file.io"):
        os.chown(world.certs / name / "hosts.toml", SOMEBODY, SOMEBODY)
    for name in ("odd.io", "inner.io"):
        (world.certs / name / "hosts.toml").mkdir(parents=True)
        (world.certs / name / "hosts.toml/precious").write_text("precious\n")


def prepare(build, path):
    """Of the user's files some taken over and to be given back, some yet to be taken over; a drift."""
    world = World(build, path)
    users_files(world)
    given = world.tree()
    world.run(BEFORE)
    (world.certs / "ghcr.io/hosts.toml").write_text("# drift\n")
    return world, given


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
        self.start, self.given = prepare(build, scratch / "start")
        self.before = self.start.hosts("docker.io")
        reference = self.copy("reference")
        reference.run(AFTER)
        self.after = reference.tree()
        self.now = reference.hosts("docker.io")
        reference.run(NOTHING)
        self.check_reference(reference)
        self.failures = []
        self.hit = 0

    def check_reference(self, given_back):
        for name in ("docker.io", "ghcr.io", "gcr.io", "mcr.io", "theirs.io", "inner.io", "file.io"):
            host = "two.example" if name == "docker.io" else "one.example"
            assert host in self.after[f"{name}/hosts.toml"][3], self.after
        for name in ("quay.io", "lab.io", "lent.io", "odd.io", "loan.io"):
            of = {path: seen for path, seen in self.given.items() if path.split("/")[0] == name}
            assert of.items() <= self.after.items(), (of, self.after)
        assert given_back.tree() == self.given, (given_back.tree(), self.given)

    def copy(self, name):
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["cp", "-a", self.start.path, path], check=True)
        (path / "socket").unlink(missing_ok=True)
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
        if not seen <= {self.before, self.now}:
            problems.append(f"a reader saw {seen - {self.before, self.now}}")
        again = world.run(AFTER)
        if world.tree() != self.after:
            other = set(world.tree().items()) ^ set(self.after.items())
            problems.append(f"not converged: {again.stderr[-1000:]} {sorted(other, key=str)}")
        if world.leftovers():
            problems.append(f"left over: {world.leftovers()}")
        world.run(NOTHING)
        if world.tree() != self.given:
            other = set(world.tree().items()) ^ set(self.given.items())
            problems.append(f"not given back: {sorted(other, key=str)}")
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
