"""As root without authority: the service has no capability, nothing that others may write is
believed, and no peer costs it anything."""
import json
import re

from case import DESIRED, HOSTS, NodeCase

SOCKET = "/run/nodemirrord/status.sock"

# Peers that connect and say nothing, and peers that ask for much and never read it.
CROWD = """
import socket, sys, time
peers = []
def connect():
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    peer.connect("SOCKET")
    peers.append(peer)
    return peer
for _ in range(1000):
    connect()
for _ in range(40):
    peer = connect()
    peer.setblocking(False)
    try:
        for _ in range(2000):
            peer.send(b"GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    except OSError:
        pass
print("crowded", flush=True)
open("/tmp/crowded", "w").close()
time.sleep(1000)
""".replace("SOCKET", SOCKET)


class Sandbox(NodeCase):
    def test_it_needs_no_authority(self):
        node = self.ready()
        out = node.sh("systemd-analyze security --no-pager nodemirrord", check=False)
        exposure = float(re.search(r"exposure level for nodemirrord.service: ([0-9.]+)", out)[1])
        self.assertLessEqual(exposure, 1.5, out)
        pid = node.sh("systemctl show -P MainPID nodemirrord").strip()
        capabilities = re.findall(r"^Cap\w+:\s+(\w+)$", node.read(f"/proc/{pid}/status"), re.M)
        self.assertEqual({int(value, 16) for value in capabilities}, {0})
        # Restarts over D-Bus are among the features that work so: the pause image is configured
        # anew for a containerd that has none.
        node.sh("rm /etc/containerd/config.toml; printf 'version = 2\\n' >/etc/containerd/config.toml")
        before = node.sh("systemctl show -P MainPID containerd")
        self.wait_for(lambda: "config_path" in node.read("/etc/containerd/config.toml"), "edited", 60)
        self.wait_for(lambda: node.sh("systemctl show -P MainPID containerd") != before,
                      "containerd is restarted", 60)
        node.wait_for_phase("Ready")

    def test_what_others_may_write_is_not_believed(self):
        node = self.ready()
        node.sh("sed 's/docker.m.daocloud.io/evil.example/' /etc/nodemirrord/desired.yaml "
                ">/etc/nodemirrord/new && chmod 666 /etc/nodemirrord/new && "
                "mv /etc/nodemirrord/new /etc/nodemirrord/desired.yaml")
        reason = self.wait_for(lambda: self.reasons(node).get("DesiredInvalid"), "it is told")
        self.assertIn("others may write it", reason["message"] + str(self.status(node)["desired"]))
        self.assertIn("daocloud", node.read(HOSTS))
        checked = node.run("nodemirrorctl", "validate", "/etc/nodemirrord/desired.yaml")
        self.assertIn("will not take it as it is", checked.stderr)
        node.run("systemctl", "restart", "nodemirrord")
        self.wait_for(lambda: self.reasons(node).get("DesiredInvalid"), "it is told again")
        self.assertIn("daocloud", node.read(HOSTS))
        node.sh("chmod 600 /etc/nodemirrord/desired.yaml")
        self.wait_for(lambda: "evil.example" in node.read(HOSTS), "a file of root's alone is taken")
        node.run("systemctl", "stop", "nodemirrord")
        node.sh("chmod 777 /var/lib/nodemirrord")
        node.sh("sed -i s/StateDirectory/#/ /lib/systemd/system/nodemirrord.service", check=False)
        done = node.run("nodemirrord", "--once", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("chmod 700 /var/lib/nodemirrord", done.stderr)

    def test_a_crowd_of_peers_keeps_nobody_out(self):
        node = self.ready()
        member = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "nodemirror"]
        for who in ([], member):
            node.sh("rm -f /tmp/crowded")
            node.run("systemd-run", "--unit=crowd", "--property=LimitNOFILE=4096", *(
                [*who, "python3", "-c", CROWD]))
            self.wait_for(lambda: node.exists("/tmp/crowded"), "the crowd is there", 60)
            asked = node.run("nodemirrorctl", "status", "-o", "json", check=False, timeout=20)
            self.assertEqual(asked.returncode, 0, asked.stderr)
            self.assertEqual(json.loads(asked.stdout)["phase"], "Ready")
            node.sh(f"echo '# drift' >{HOSTS}")
            self.wait_for(lambda: "daocloud" in node.read(HOSTS), "it heals meanwhile", 5)
            node.run("systemctl", "stop", "crowd")
        pid = node.sh("systemctl show -P MainPID nodemirrord").strip()
        self.wait_for(lambda: int(node.sh(f"ls /proc/{pid}/fd | wc -l")) < 60,
                      "their connections are gone", 60)
