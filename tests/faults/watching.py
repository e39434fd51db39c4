#!/usr/bin/env python3
"""A daemon that cannot watch files, or is flooded with changes, heals all the same.
    watching.py --build build/sanitize"""
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from daemon import Daemon, build_and_rest  # noqa: E402

BUILD = None
DESIRED = "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
    f"  r{n}.example: {{mirrors: [{{url: https://m.example}}]}}\n" for n in range(3))


class Watching(unittest.TestCase):
    def daemon(self, *prefix):
        work = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="watching.")))
        (work / "desired.yaml").write_text(DESIRED)
        daemon = self.enterContext(Daemon(BUILD, work, prefix))
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
        ended = threading.Event()
        written = [0]

        def flood():
            while not ended.is_set():
                other.write_text("# flood\n")
                written[0] += 1
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            began = time.monotonic()
            daemon.wait(lambda: any(item["state"] == "Contested"
                                    for item in daemon.status()["registries"]), "contested", 60)
            for _ in range(4):
                self.hosts.write_text("# drift\n")
                daemon.wait(self.healed, "the others are healed meanwhile", 10)
                time.sleep(0.2)
            rate = written[0] / (time.monotonic() - began)
        finally:
            ended.set()
            thread.join()
        print(f"{rate:.0f} changes a second", file=sys.stderr)
        daemon.wait(lambda: other.read_text() == self.wanted, "healed when it is over", 90)

    def test_a_tree_full_of_other_things(self):
        daemon = self.daemon()
        root = self.hosts.parent.parent
        for number in range(20000):
            (root / f"junk{number}").touch()
        daemon.process.send_signal(1)
        daemon.wait(lambda: any(reason["code"] == "TooManyEntries"
                                for reason in daemon.status()["reasons"]), "it is told", 60)
        self.hosts.unlink()
        daemon.wait(self.healed, "and it heals", 30)


if __name__ == "__main__":
    BUILD, rest = build_and_rest()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
