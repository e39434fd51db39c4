"""A daemon without a node, for what it does with files."""
import argparse
import json
import os
import signal
import subprocess
import time
from pathlib import Path


def build_and_rest():
    """--build, and the arguments for unittest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    arguments, rest = parser.parse_known_args()
    return Path(arguments.build).resolve(), rest


class Daemon:
    """nodemirrord on a scratch directory. There is no containerd and nothing to restart."""

    def __init__(self, build, work, prefix=(), environment=None):
        self.work = work
        self.environment = environment or {}
        self.socket = work / "status.sock"
        self.desired = work / "desired.yaml"
        self.signals = 1  # to end it with, at most
        self.certs = work / "certs.d"
        self.command = [*prefix, build / "daemon/nodemirrord", "--desired", self.desired,
                        "--certs-dir", self.certs, "--state-dir", work / "state",
                        "--status-socket", self.socket, "--containerd-socket", work / "none.sock",
                        "--containerd-config", work / "config.toml", "--log-level", "warn"]

    def __enter__(self):
        self.log = open(self.work / "log", "w")
        # Leaks are not looked for under strace.
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0",
                       "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.work}/no-bus",
                       **self.environment}
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log,
                                        env=environment)
        self.wait(self.status, "it serves")
        return self

    def __exit__(self, *_):
        try:
            for left in reversed(range(self.signals)):
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(30 / self.signals)
                    break
                except subprocess.TimeoutExpired:
                    if not left:
                        raise
        finally:
            self.process.kill()  # nothing is left behind, even by a daemon that does not end
            self.log.close()

    def wait(self, condition, what, seconds=300, interval=0.005):
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{what}: {(self.work / 'log').read_text()[-2000:]}")
            time.sleep(interval)

    def get(self, path):
        done = subprocess.run(["curl", "-s", "-m", "60", "--unix-socket", self.socket,
                               f"http://localhost{path}"], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def status(self):
        text = self.get("/v1/status")
        return json.loads(text) if text else None

    def desire(self, yaml):
        fresh = self.work / "desired.yaml.new"
        fresh.write_text(yaml)
        os.rename(fresh, self.desired)

    def reconciles(self):
        return self.status()["reconcile"]["count"]

    def quiet(self):
        """Whether no pass was made for half a second."""
        before = self.reconciles()
        time.sleep(0.5)
        return self.reconciles() == before

    def pass_milliseconds(self):
        """How long a look at everything takes, as the daemon measures it."""
        before = self.reconciles()
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: self.reconciles() > before, "a pass is made")
        return self.status()["reconcile"]["lastDurationMs"]
