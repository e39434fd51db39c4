#!/usr/bin/env python3
"""What file systems do to a daemon: full, read-only, mounted over, taken away. It tells, nothing is
torn or lost meanwhile, and it converges when they are well again.
    mounts.py --build build/sanitize
As root: it mounts in a namespace of its own."""
import ctypes
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from daemon import Daemon, build_and_rest  # noqa: E402
from node import unshare_mounts  # noqa: E402

BUILD = None
EARLIER = '# by hand\nserver = "https://registry-1.docker.io"\n'


def desired(host, count=3):
    return "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
        f"  r{n}.example: {{mirrors: [{{url: https://{host}}}]}}\n" for n in range(count))


def exchange(one, other):
    """renameat2(2) with RENAME_EXCHANGE."""
    here = -100  # AT_FDCWD
    if ctypes.CDLL(None).renameat2(here, os.fsencode(one), here, os.fsencode(other), 2) != 0:
        raise OSError(f"{one} and {other} cannot be exchanged")


class Mounts(unittest.TestCase):
    def setUp(self):
        self.work = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="mounts.")))
        self.certs = self.work / "certs.d"
        self.mounted = []
        self.addCleanup(lambda: [self.unmount(place) for place in reversed(list(self.mounted))])

    def mount(self, place, *options):
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", *options, place], check=True)
        self.mounted.append(place)

    def unmount(self, place):
        subprocess.run(["umount", "-l", place], check=True)
        self.mounted.remove(place)

    def small(self, place):
        self.mount(place, "-t", "tmpfs", "-o", "size=128k,mode=0700", "none")

    def fill(self, place):
        filler = place / ".filler"
        with open(filler, "wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"x" * 4096)
                except OSError:
                    return filler

    def start(self, *prefix):
        (self.work / "desired.yaml").write_text(desired("one.example"))
        daemon = self.enterContext(Daemon(BUILD, self.work, prefix))
        daemon.wait(lambda: self.all_have("one.example"), "the files are there", 30)
        return daemon

    def text(self, name="r1.example"):
        return (self.certs / name / "hosts.toml").read_text()

    def all_have(self, host, count=3):
        paths = [self.certs / f"r{n}.example/hosts.toml" for n in range(count)]
        return all(path.exists() and f'"https://{host}"' in path.read_text() for path in paths)

    def told(self, daemon, *words):
        text = daemon.get("/v1/status")
        return text is not None and all(word in text for word in words)

    def nothing_left_over(self, daemon):
        daemon.wait(lambda: not list(self.work.rglob(".nodemirrord-*")), "nothing is left over", 10)

    def test_certs_d_on_a_full_file_system(self):
        self.small(self.certs)
        daemon = self.start()
        filler = self.fill(self.certs)
        daemon.desire(desired("two.example"))
        daemon.wait(lambda: self.told(daemon, "No space left on device"), "it is told", 30)
        for number in range(3):
            self.assertIn('"https://one.example"', self.text(f"r{number}.example"))
        filler.unlink()
        daemon.wait(lambda: self.all_have("two.example"), "it goes on by itself", 60)
        self.nothing_left_over(daemon)

    def test_state_on_a_full_file_system(self):
        self.small(self.work / "state")
        (self.certs / "r9.example").mkdir(parents=True)
        (self.certs / "r9.example/hosts.toml").write_text(EARLIER)
        daemon = self.start()
        filler = self.fill(self.work / "state")
        daemon.desire(desired("two.example", 10))
        daemon.wait(lambda: self.told(daemon, "No space left on device"), "it is told", 30)
        self.assertTrue(self.told(daemon, f"make room on the file system of {self.work}/state"))
        # What could not be kept first is not replaced.
        self.assertEqual(self.text("r9.example"), EARLIER)
        filler.unlink()
        daemon.wait(lambda: self.all_have("two.example", 10), "it goes on by itself", 60)
        daemon.desire("apiVersion: nodemirrord/v1\nregistries: {}\n")
        daemon.wait(lambda: self.text("r9.example") == EARLIER, "the user's file is back", 30)
        self.nothing_left_over(daemon)

    def test_something_is_mounted_over_one_registry(self):
        daemon = self.start()
        other = self.work / "other"
        other.mkdir()
        (other / "hosts.toml").write_text(EARLIER)
        self.mount(self.certs / "r1.example", "--bind", other)
        daemon.wait(lambda: self.all_have("one.example"), "it is written there too", 30)
        self.unmount(self.certs / "r1.example")
        file = self.work / "file"
        file.write_text(EARLIER)
        self.mounted.append(self.certs / "r1.example/hosts.toml")
        subprocess.run(["mount", "--bind", file, self.mounted[-1]], check=True)
        daemon.wait(lambda: self.told(daemon, "Device or resource busy"), "it is told", 30)
        self.unmount(self.mounted[-1])
        daemon.wait(lambda: not self.told(daemon, "Device or resource busy"), "it is well again", 60)

    def test_a_read_only_file_system(self):
        self.small(self.certs)
        daemon = self.start()
        subprocess.run(["mount", "-o", "remount,ro", self.certs], check=True)
        daemon.desire(desired("two.example"))
        daemon.wait(lambda: self.told(daemon, "Read-only file system"), "it is told", 30)
        self.assertTrue(self.told(daemon, f"findmnt -T {self.certs}"))
        asked = subprocess.run([BUILD / "daemon/nodemirrorctl", "reconcile", "--socket",
                                self.work / "status.sock"], capture_output=True, text=True)
        self.assertEqual(asked.returncode, 1, asked.stderr)
        self.assertIn("3 files could not be changed.", asked.stdout)
        self.assertIn('"https://one.example"', self.text())
        subprocess.run(["mount", "-o", "remount,rw", self.certs], check=True)
        daemon.wait(lambda: self.all_have("two.example"), "it goes on by itself", 60)
        self.nothing_left_over(daemon)

    def test_a_file_of_another_file_system_comes_back(self):
        self.small(self.certs)
        (self.certs / "r1.example").mkdir()
        (self.certs / "r1.example/hosts.toml").write_text(EARLIER)
        daemon = self.start()
        daemon.desire("apiVersion: nodemirrord/v1\nregistries: {}\n")
        daemon.wait(lambda: self.text() == EARLIER, "the user's file is back", 30)
        self.assertFalse((self.certs / "r0.example").exists())
        self.nothing_left_over(daemon)

    def test_a_file_system_whose_rename_takes_no_flags(self):
        """As NFS and 9p: nothing is exchanged there, and nothing renamed only where a name is free."""
        (self.certs / "r1.example").mkdir(parents=True)
        (self.certs / "r1.example/hosts.toml").write_text(EARLIER)
        daemon = self.start("strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=renameat2", "-e",
                            "inject=renameat2:error=EINVAL")
        (self.certs / "r0.example").rename(self.work / "gone0")
        daemon.wait(lambda: self.all_have("one.example"), "a directory comes back", 30)
        # In one step, or the daemon is there first.
        (self.work / "file").write_text("in the way")
        exchange(self.work / "file", self.certs / "r2.example")
        daemon.wait(lambda: self.told(daemon, "cannot exchange two names"), "it is told", 30)
        (self.certs / "r2.example").unlink()
        daemon.wait(lambda: self.all_have("one.example"), "the way is free", 60)
        daemon.desire("apiVersion: nodemirrord/v1\nregistries: {}\n")
        daemon.wait(lambda: self.text() == EARLIER, "the user's file is back", 30)
        self.nothing_left_over(daemon)

    def test_certs_d_is_mounted_over_and_uncovered(self):
        daemon = self.start()
        other = self.work / "other"
        other.mkdir()
        subprocess.run(["mount", "--bind", other, self.certs], check=True)
        self.mounted.append(self.certs)
        daemon.wait(lambda: self.all_have("one.example"), "what lies over it is filled", 30)
        (self.certs / "r1.example/hosts.toml").write_text("# drift\n")
        daemon.wait(lambda: self.all_have("one.example"), "and kept", 30)
        (self.certs / "r1.example/hosts.toml").write_text("# drift\n")
        self.unmount(self.certs)
        self.assertTrue(self.all_have("one.example"))
        (self.certs / "r1.example/hosts.toml").write_text("# drift\n")
        daemon.wait(lambda: self.all_have("one.example"), "what was under it is kept again", 30)
        self.nothing_left_over(daemon)


if __name__ == "__main__":
    if os.environ.get("MOUNTS") != "private":
        os.environ["MOUNTS"] = "private"
        os.execvp("unshare", [*unshare_mounts(), sys.executable, *sys.argv])
    BUILD, rest = build_and_rest()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
