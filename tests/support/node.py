"""A whole node on this machine: systemd as the first process of its own namespaces, D-Bus,
containerd of a chosen version, a registry with TLS on loopback, and no route to anywhere else."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import containerds
import fixtures

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
CONTROL_GROUPS = Path("/sys/fs/cgroup")

CONTAINERD_UNIT = """[Unit]
Description=containerd container runtime
After=network.target local-fs.target
[Service]
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNOFILE=infinity
OOMScoreAdjust=0
[Install]
WantedBy=multi-user.target
"""

REGISTRY_UNIT = """[Unit]
Description=a registry for the test node
[Service]
ExecStart=/usr/bin/docker-registry serve /etc/nodetest/registry.yml
StandardOutput=null
StandardError=null
[Install]
WantedBy=multi-user.target
"""

# No kubelet runs here: this stands in for one and writes down its starts.
KUBELET_UNIT = """[Unit]
Description=stands in for kubelet
[Service]
ExecStart=/bin/sh -c 'echo start >>/run/kubelet-starts; exec sleep infinity'
[Install]
WantedBy=multi-user.target
"""

# This machine may withhold CAP_SYS_RESOURCE, without which runc cannot lower an OOM score.
RUNC = """#!/bin/sh
bundle=.
previous=
for argument in "$@"; do
    [ "$previous" = --bundle ] && bundle=$argument
    previous=$argument
done
[ -f "$bundle/config.json" ] && sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
exec /usr/sbin/runc "$@"
"""


def unshare_mounts():
    """unshare with a mount namespace. In a plain chroot the root is no mount point, and its
    propagation cannot be changed from there."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    rooted = any(line.split()[4] == "/" for line in mounts)
    return ["unshare", "--mount", *([] if rooted else ["--propagation", "unchanged"])]


def unshare_command():
    """unshare with the namespaces of a node. boot_node.sh makes a root that is a mount point."""
    return [*unshare_mounts(), "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net",
            "--cgroup"]


def wait_until(condition, what, seconds=60, interval=0.05):
    """Waits for a condition to give something true, and gives it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(interval)


class Node:
    """A running test node. Use as a context manager; leaving it ends every process of it."""

    def __init__(self, version, build, cache, config=None, kubelet=True, cri=True):
        self.version = version
        self.build = Path(build)
        self.cache = Path(cache)
        self.config = config
        self.kubelet = kubelet
        self.cri = cri  # whether CRI is expected to load with this configuration
        self.boot = None
        self.pid = None
        self.work = None

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *ignored):
        self.close()

    def _lay_out(self, etc):
        """What differs from this machine's root."""
        shared = fixtures.fixtures(self.cache)
        place = etc / "etc/nodetest"
        units = etc / "etc/systemd/system"
        wants = units / "multi-user.target.wants"
        for directory in (place, wants, etc / "usr/local/sbin"):
            directory.mkdir(parents=True)
        for path in [*shared.glob("*.crt"), *shared.glob("*.key")]:
            if path.name != "ca.key":
                shutil.copy(path, place / path.name)
        # A copy: the node's /tmp is its own, wherever the cache is.
        shutil.copytree(shared / "registry", place / "registry")
        (etc / "etc/hostname").write_text("testnode\n")
        (place / "registry.yml").write_text(f"""version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: /etc/nodetest/registry}}}}
http:
  addr: 127.0.0.1:443
  tls: {{certificate: /etc/nodetest/server.crt, key: /etc/nodetest/server.key}}
""")
        chosen = {"containerd": CONTAINERD_UNIT, "mirror": REGISTRY_UNIT}
        if self.kubelet:
            chosen["kubelet"] = KUBELET_UNIT
        for name, text in chosen.items():
            (units / f"{name}.service").write_text(text)
            (wants / f"{name}.service").symlink_to(units / f"{name}.service")
        (etc / "etc/hosts").write_text(
            "127.0.0.1 localhost testnode " + " ".join(fixtures.HOSTS[:-1]) + "\n")
        stage = Path(self.cache) / "stage"
        if stage.exists():
            shutil.copytree(stage, etc, symlinks=True, dirs_exist_ok=True)
        sanitized = units / "nodemirrord.service.d"
        sanitized.mkdir()
        # Sanitizers take a multiple of the memory.
        (sanitized / "sanitizers.conf").write_text(
            "[Service]\nEnvironment=ASAN_OPTIONS=quarantine_size_mb=8:detect_leaks=0\n"
            "MemoryMax=infinity\nLimitDATA=infinity\n")
        # The machine's control groups are shared by all nodes that run at once: under one name, one
        # node's systemd would remove what the other's has just made.
        apart = units / "service.d"
        apart.mkdir()
        (apart / "slice.conf").write_text(f"[Service]\nSlice={self.slice}\n")
        runc = etc / "usr/local/sbin/runc"
        runc.write_text(RUNC)
        runc.chmod(0o755)
        if self.config is not None:
            (etc / "etc/containerd").mkdir(parents=True)
            for name, text in self.config.items():
                path = etc / "etc/containerd" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    def _boot(self):
        binaries = containerds.containerd(self.version, self.cache)
        self.work = Path(tempfile.mkdtemp(prefix="testnode."))
        self.slice = f"{self.work.name}.slice"
        etc, root = self.work / "etc", self.work / "node"
        for directory in (etc, root, self.work / "base"):
            directory.mkdir()
        self._lay_out(etc)
        self.log = open(self.work / "boot.log", "wb")
        self.boot = subprocess.Popen(
            [*unshare_command(), str(HERE / "boot_node.sh"), str(root), str(binaries), str(etc),
             str(SOURCE), str(self.build), str(self.cache)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = wait_until(self._init, "the node's first process", 20)
        wait_until(lambda: self.run("systemctl", "is-active", "dbus.service", "containerd.service",
                                    "mirror.service", check=False).returncode == 0,
                   "dbus, containerd and the registry are active", 60)
        if self.cri:
            self.wait_for_cri()

    def _init(self):
        """The pid here of the node's systemd, once it is that."""
        if self.boot.poll() is not None:
            raise AssertionError("the node did not boot: " +
                                 (self.work / "boot.log").read_text(errors="replace"))
        children = subprocess.run(["pgrep", "-P", str(self.boot.pid)], capture_output=True,
                                  text=True).stdout.split()
        if not children:
            return None
        name = Path(f"/proc/{children[0]}/comm").read_text().strip()
        return int(children[0]) if name == "systemd" else None

    def close(self):
        if self.boot is not None:
            if self.pid is not None:
                try:
                    os.kill(self.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.boot.kill()
            self.boot.wait()
            self.boot = None
            self.log.close()
        if self.work is not None:
            # Where the machine's mounts are shared, one may have come through to here.
            if os.path.ismount(self.work / "base"):
                subprocess.run(["umount", "-R", "-l", str(self.work / "base")],
                               capture_output=True)
            shutil.rmtree(self.work, ignore_errors=True)
            self.work = None
            self._remove_control_groups()

    def _remove_control_groups(self):
        """What the node's systemd made in the machine's control groups, of either version."""
        def removed():
            left = False
            for tree in [*CONTROL_GROUPS.glob(f"*/{self.slice}"), *CONTROL_GROUPS.glob(self.slice)]:
                for directory, _, _ in os.walk(tree, topdown=False):
                    try:
                        os.rmdir(directory)
                    except OSError:  # its last process is still ending
                        left = True
            return not left
        wait_until(removed, f"the control groups of {self.slice} are empty", 20)

    def command(self, *command):
        return ["nsenter", "-t", str(self.pid), "-a", "-r", "-W", "/", *[str(part) for part in command]]

    def run(self, *command, check=True, timeout=120, text=None):
        done = subprocess.run(self.command(*command), capture_output=True, text=True,
                              timeout=timeout, input=text)
        if check and done.returncode != 0:
            told = self.journal() if command[0] == "systemctl" else ""
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}{told}")
        return done

    def sh(self, script, check=True, timeout=120):
        return self.run("/bin/sh", "-c", script, check=check, timeout=timeout).stdout

    def read(self, path):
        return self.sh(f"cat '{path}'")

    def write(self, path, content, mode=None):
        self.run("/bin/sh", "-c", f"mkdir -p \"$(dirname '{path}')\" && cat >'{path}'", text=content)
        if mode:
            self.run("chmod", mode, path)

    @contextlib.contextmanager
    def being_written(self, path, begun, rest):
        """A file that somebody has open, and has written the beginning of, until the block ends."""
        self.write("/run/begun", begun)
        self.write("/run/rest", rest)
        self.sh(f"""(exec 3>'{path}'; cat /run/begun >&3; touch /run/half
            while [ ! -e /run/finish ]; do sleep 0.1; done
            cat /run/rest >&3; rm /run/half /run/finish) >/dev/null 2>&1 &""")
        wait_until(lambda: self.exists("/run/half"), f"the half of {path} is written", 10)
        try:
            yield
        finally:
            self.sh("touch /run/finish")
            wait_until(lambda: not self.exists("/run/finish"), f"{path} is finished", 10)

    def exists(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0

    # --- containerd and CRI -----------------------------------------------------------------

    def ctr(self, *command, check=True):
        return self.run("ctr", "-n", "k8s.io", *command, check=check)

    def probe(self, *command, check=False):
        """The CRI client of the tests."""
        return self.run(self.build / "tests/cri_probe", *command, check=check)

    def wait_for_cri(self, seconds=60):
        wait_until(lambda: self.probe("status").returncode == 0, "CRI answers", seconds)

    def start_pod(self):
        """Starts and removes a pod sandbox; gives its exit status and what containerd said."""
        done = self.probe("run-pod")
        return done.returncode, (done.stdout + done.stderr).strip()

    def image_present(self, name):
        return self.probe("image", name).returncode == 0

    # --- the daemon ---------------------------------------------------------------------------

    def desire(self, yaml):
        self.write("/etc/nodemirrord/desired.yaml.new", yaml)
        self.run("mv", "/etc/nodemirrord/desired.yaml.new", "/etc/nodemirrord/desired.yaml")

    def start_daemon(self):
        started = self.run("systemctl", "start", "nodemirrord", check=False)
        if started.returncode != 0:
            raise AssertionError(f"{started.stderr}\n{self.journal()}")

    def status(self):
        done = self.run("curl", "-sf", "--max-time", "10", "--unix-socket",
                        "/run/nodemirrord/status.sock", "http://localhost/v1/status", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_for_phase(self, phase, seconds=90):
        last = {}

        def reached():
            last["status"] = self.status()
            return last["status"] and last["status"]["phase"] == phase
        try:
            wait_until(reached, f"phase {phase}", seconds, 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(last['status'], indent=1)}\n"
                                 f"{self.journal()}")
        return last["status"]

    def journal(self, unit="nodemirrord", lines=60):
        return self.sh(f"journalctl -u {unit} -n {lines} --no-pager", check=False)

    def kubelet_starts(self):
        done = self.run("cat", "/run/kubelet-starts", check=False)
        return len(done.stdout.split())
