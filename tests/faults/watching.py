#!/usr/bin/env python3
"""A daemon that cannot watch files, or is flooded with changes, heals all the same.
    watching.py --build build/sanitize"""
import datetime
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from daemon import Daemon, build_and_rest  # noqa: E402

BUILD = None
JUNK = int(os.environ.get("JUNK", "20000"))
DESIRED = "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
    f"  r{n}.example: {{mirrors: [{{url: https://m.example}}]}}\n" for n in range(3))


def compiled(directory, name, *options):
    """A program or library of this folder's, written in C."""
    out = directory / name
    source = Path(__file__).with_name(name).with_suffix(".c")
    subprocess.run(["cc", "-O2", *options, "-o", out, source], check=True)
    return out


def peak(daemon):
    """The most memory that it has had, in KiB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1))


class Watching(unittest.TestCase):
    def daemon(self, *prefix, environment=None):
        work = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="watching.")))
        (work / "desired.yaml").write_text(DESIRED)
        daemon = self.enterContext(Daemon(BUILD, work, prefix, environment))
        self.hosts = work / "certs.d/r1.example/hosts.toml"
        daemon.wait(self.hosts.exists, "the files are there", 30)
        self.wanted = self.hosts.read_text()
        return daemon

    def healed(self):
        return self.hosts.exists() and self.hosts.read_text() == self.wanted

    def test_without_inotify(self):
        for call, error in (("inotify_init1", "EMFILE"), ("inotify_add_watch", "ENOSPC")):
            daemon = self.daemon("strace", "-D", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                 f"inject={call}:error={error}")
            codes = [reason["code"] for reason in daemon.status()["reasons"]]
            self.assertIn("WatchesExhausted", codes)
            self.hosts.write_text("# drift\n")
            daemon.wait(self.healed, "drift is found by looking", 30)
            daemon.desire(DESIRED.replace("m.example", "n.example"))
            daemon.wait(lambda: "n.example" in self.hosts.read_text(), "a change is taken up", 30)

    def test_a_flood_of_changes(self):
        daemon = self.daemon()
        other = self.hosts.parent.parent / "r2.example/hosts.toml"
        tool, counter = compiled(daemon.work, "flood"), daemon.work / "counter"
        writer = subprocess.Popen([tool, other, counter])
        try:
            began = time.monotonic()
            daemon.wait(lambda: any(item["state"] == "Contested"
                                    for item in daemon.status()["registries"]), "contested", 60)
            for _ in range(4):
                self.hosts.write_text("# drift\n")
                daemon.wait(self.healed, "the others are healed meanwhile", 10)
                time.sleep(0.2)  # edits too close to each other count as a fight
            written = int.from_bytes(counter.read_bytes(), sys.byteorder)
            rate = written / (time.monotonic() - began)
        finally:
            writer.kill()
            writer.wait()
        print(f"{rate:.0f} changes a second", file=sys.stderr)
        daemon.wait(lambda: other.read_text() == self.wanted, "healed when it is over", 90)

    def test_more_changes_than_the_kernel_keeps(self):
        daemon = self.daemon()
        kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        daemon.process.send_signal(signal.SIGSTOP)
        directory = self.hosts.parent.parent / "r2.example"
        for number in range(kept // 2 + 1000):
            (directory / f"x{number % 2}").write_text("x")  # several events each
        self.hosts.write_text("# drift\n")  # of this one nothing is told
        daemon.process.send_signal(signal.SIGCONT)
        daemon.wait(self.healed, "it looks at everything", 30)

    def test_the_clock_jumps_by_a_day(self):
        tools = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="watching.")))
        clock, offset = compiled(tools, "clock", "-shared", "-fPIC"), tools / "offset"
        offset.write_text("0")
        # The sanitizer's own library need not be the first one.
        environment = {"LD_PRELOAD": str(clock), "CLOCK_OFFSET": str(offset),
                       "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}
        daemon = self.daemon(environment=environment)
        here = datetime.datetime.now(datetime.timezone.utc)
        for number, days in enumerate((1, -1, 0, -1)):
            offset.write_text(str(days * 86400))
            self.hosts.write_text(f"# drift {number}\n")
            daemon.wait(self.healed, "healed", 10)
            daemon.desire(DESIRED.replace("m.example", f"m{number}.example"))
            daemon.wait(lambda: f"m{number}.example" in self.hosts.read_text(), "changed", 10)
            self.wanted = self.hosts.read_text()
            loaded = datetime.datetime.fromisoformat(daemon.status()["desired"]["loadedAt"])
            self.assertEqual(round((loaded - here) / datetime.timedelta(days=1)), days,
                             "the daemon did see the jump")
        self.assertNotIn("level=error", (daemon.work / "log").read_text())

    def test_a_desired_state_of_a_hundred_megabytes(self):
        daemon = self.daemon()
        before = peak(daemon)
        large = daemon.work / "large"
        large.touch()
        os.truncate(large, 100 << 20)
        os.rename(large, daemon.desired)
        daemon.wait(lambda: not daemon.status()["desired"]["valid"], "it is refused", 10)
        self.assertIn("larger than", daemon.get("/v1/status"))
        self.assertLess(peak(daemon) - before, 50 << 10)
        self.hosts.write_text("# drift\n")
        daemon.wait(self.healed, "the last good state is in force", 10)

    def test_a_tree_full_of_other_things(self):
        daemon = self.daemon()
        root = self.hosts.parent.parent
        for number in range(JUNK):
            (root / f"junk{number}").touch()
        daemon.process.send_signal(1)
        daemon.wait(lambda: any(reason["code"] == "TooManyEntries"
                                for reason in daemon.status()["reasons"]), "it is told", 60)
        self.hosts.unlink()
        daemon.wait(self.healed, "and it heals", 30)


if __name__ == "__main__":
    BUILD, rest = build_and_rest()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
