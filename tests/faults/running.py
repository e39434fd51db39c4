#!/usr/bin/env python3
"""Makes system calls of the running daemon fail, or the process die at them, one after the other,
while files drift, the desired state changes and clients ask. After each it goes on, or ends and is
started again as systemd would: it converges, answers, and no reader ever saw a torn hosts.toml.
    running.py --build build/sanitize [--stride 1] [--kind connect] [--verbose]
`--stride 5` takes every fifth place of every kind."""
import argparse
import http.server
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from daemon import Daemon  # noqa: E402

# What each kind of call fails with, one after the other. Not epoll_ctl: without the memory for it
# Asio does not tell that signals will not be heard.
KINDS = {"read": ("EIO", "EINTR"), "readv": ("ECONNRESET",), "openat": ("EMFILE",),
         "connect": ("ECONNREFUSED", "ETIMEDOUT"), "socket": ("EMFILE",), "accept": ("EMFILE",),
         "accept4": ("EMFILE",), "sendmsg": ("EPIPE",), "recvmsg": ("ECONNRESET",),
         "sendto": ("EPIPE",), "recvfrom": ("ECONNRESET",), "epoll_wait": ("EINTR",),
         "inotify_add_watch": ("ENOMEM",), "inotify_rm_watch": ("EINVAL",),
         "timerfd_settime": ("EINVAL",), "eventfd2": ("EMFILE",), "clone3": ("EAGAIN",),
         "fsync": ("EIO",), "renameat": ("EIO",), "getdents64": ("EIO",), "bind": ("EADDRINUSE",),
         "listen": ("EADDRINUSE",), "fchmod": ("EPERM",), "getsockopt": ("ENOBUFS",),
         "rt_sigaction": ("EINVAL",), "unlinkat": ("EIO",), "unlink": ("EIO",)}
NAMES = ("r0.example", "r1.example", "r2.example")


class Mirror(http.server.BaseHTTPRequestHandler):
    """A registry's API root, so that probes have somebody to talk to."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that are killed go without a word


class World:
    def __init__(self, build, work, port):
        self.build, self.work, self.port = build, work, port
        self.torn = None

    def desired(self, prefix):
        return "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
            f"  {name}: {{mirrors: [{{url: 'http://127.0.0.1:{self.port}', "
            f"repositoryPrefix: {prefix}}}]}}\n" for name in NAMES)

    def texts(self):
        return [self.text(name) for name in NAMES]

    def text(self, name):
        path = self.work / "certs.d" / name / "hosts.toml"
        try:
            return path.read_text()
        except FileNotFoundError:
            return ""

    def converged(self, prefix):
        return all(f"/v2/{prefix}\"" in text and text.endswith("\n") for text in self.texts())

    def watch(self, ended):
        """Reads what the test itself never edits: it is to be whole whenever it is there."""
        while not ended.is_set():
            text = self.text(NAMES[2])
            if text and not text.endswith("\n"):
                self.torn = text
            time.sleep(0.001)

    def disturb(self, daemon):
        """What goes on while calls fail."""
        drifting = self.work / "certs.d" / NAMES[0] / "hosts.toml"
        daemon.wait(lambda: self.converged("one"), "the first state", 20)
        drifting.write_text("# drift\n")
        daemon.wait(lambda: self.converged("one"), "healed", 20)
        (self.work / "certs.d" / NAMES[1]).rename(self.work / "away")
        daemon.wait(lambda: self.converged("one"), "made again", 20)
        daemon.desire(self.desired("two"))
        daemon.wait(lambda: self.converged("two"), "the second state", 20)
        daemon.wait(lambda: daemon.get("/v1/status"), "it answers", 20)


def run(build, port, prefix):
    """One life under a fault. Gives what was wrong, or None."""
    with tempfile.TemporaryDirectory(prefix="running.") as directory:
        world = World(build, Path(directory), port)
        (world.work / "desired.yaml").write_text(world.desired("one"))
        ended = threading.Event()
        watcher = threading.Thread(target=world.watch, args=(ended,))
        watcher.start()
        try:
            return live(world, prefix) or (f"torn: {world.torn!r}" if world.torn else None)
        finally:
            ended.set()
            watcher.join()


def live(world, prefix):
    daemon = Daemon(world.build, world.work, prefix)
    # Asio leaves a signal in its pipe when reading that pipe fails, as on Linux it never does where
    # there is something to read.
    daemon.signals = 2 if any("read:error=" in str(part) for part in prefix) else 1
    problem, died = None, False
    try:
        with daemon:
            try:
                world.disturb(daemon)
            except AssertionError as error:
                problem = str(error)
            died = daemon.process.poll() is not None
    except (AssertionError, subprocess.TimeoutExpired) as error:  # at its start, or its end
        problem, died = str(error), daemon.process.poll() is not None
        daemon.process.kill()
    log = (world.work / "log").read_text()
    if "AddressSanitizer: CHECK failed: sanitizer_posix" in log:
        return None  # the sanitizer's own start, before any of the daemon
    if "Sanitizer" in log or "runtime error" in log:
        return log[-3000:]
    if problem is None or not died:
        return problem
    # It ended, as it may: systemd starts it again.
    (world.work / "desired.yaml").write_text(world.desired("two"))
    try:
        with Daemon(world.build, world.work) as daemon:
            daemon.wait(lambda: world.converged("two"), "converged after the next start", 20)
    except AssertionError as error:
        return str(error)
    return None


def strace(work, *expressions):
    return ["strace", "-D", "-f", "-q", "-o", work, *(part for text in expressions
                                                     for part in ("-e", text))]


def whole_trace(path):
    """The lines of a trace once strace, which is not our child, has written the last."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lines = path.read_text(errors="replace").splitlines()
        threads = {line.split()[0] for line in lines}
        if threads and threads == {line.split()[0] for line in lines if " +++ " in line}:
            return lines
        time.sleep(0.01)
    raise SystemExit("strace did not write its end:\n" + "\n".join(lines[:3] + lines[-9:]))


def places(build, port):
    """How many calls of each kind there are when nothing befalls it."""
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "trace"
        problem = run(build, port, strace(trace, "trace=" + ",".join(KINDS), "signal=SIGKILL"))
        if problem:
            raise SystemExit(f"without any fault: {problem}")
        lines = whole_trace(trace)
    return {kind: sum(f" {kind}(" in line for line in lines) for kind in KINDS}


def faults(counts, stride):
    for kind, errors in KINDS.items():
        for what in [f"error={error}" for error in errors] + ["signal=SIGKILL"]:
            offset = sum(map(ord, kind + what)) % stride
            for place in range(1 + offset, counts[kind] + 1, stride):
                yield kind, what, place


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--kind")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    build = Path(arguments.build).resolve()
    server = Server(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    counts = places(build, server.server_port)
    chosen = [fault for fault in faults(counts, arguments.stride)
              if arguments.kind in (None, fault[0])]

    def attempt(fault):
        kind, what, place = fault
        with tempfile.TemporaryDirectory() as directory:
            trace = Path(directory) / "trace"
            problem = run(build, server.server_port,
                          strace(trace, f"trace={kind}", f"inject={kind}:{what}:when={place}",
                                 "signal=SIGKILL"))
            struck = any("(INJECTED)" in line or "killed by SIGKILL" in line
                         for line in whole_trace(trace))
        return problem, struck
    failed, missed = 0, 0
    with ThreadPoolExecutor(2) as pool:
        for fault, (problem, struck) in zip(chosen, pool.map(attempt, chosen)):
            if problem or arguments.verbose:
                print(*fault, problem or ("ok" if struck else "did not take place"), flush=True)
            failed += problem is not None
            missed += not struck
    print(f"{len(chosen)} faults of {sum(counts.values())} calls of {len(KINDS)} kinds: "
          f"{failed} failed, {missed} did not take place")
    # A fault that did not take place proves nothing: not every life has as many calls.
    if not chosen or failed or missed > len(chosen) * 0.1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
