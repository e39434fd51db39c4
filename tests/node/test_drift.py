"""Drift of hosts.toml is healed at once and told; a fight is not fought at full speed."""
from case import CERTS, DESIRED, HOSTS, NodeCase

# Reads a file in a loop until told to end, and prints everything odd that it saw.
READER = r"""
import os, sys
path, stop, allowed = sys.argv[1], sys.argv[2], set(sys.argv[3:])
seen = {}
reads = 0
while not os.path.exists(stop):
    try:
        text = open(path).read()
    except OSError as error:
        text = f"missing: {error}"
    reads += 1
    if not any(mark in text and text.endswith("\n") for mark in allowed):
        seen[text[:80]] = seen.get(text[:80], 0) + 1
print(reads, seen)
"""


class Drift(NodeCase):
    def test_every_kind_of_drift_is_healed_and_told(self):
        node = self.ready()
        wanted = node.read(HOSTS)
        directory = f"{CERTS}/docker.io"
        kinds = {
            f"echo '# mine' >>{HOSTS}": "edited",
            f"sed -i s/daocloud/evil/ {HOSTS}": "edited",
            f": >{HOSTS}": "truncated",
            f"rm {HOSTS}": "deleted",
            f"chmod 600 {HOSTS}": "mode",
            f"chown nobody {HOSTS}": "owner",
            f"rm -r {directory}": "deleted",
            f"rm -r {directory} && echo hello >{directory}": "replaced by a file",
            f"rm -r {directory} && mkdir /root/evil; ln -s /root/evil {directory}": "symbolic link",
            f"rm {HOSTS} && ln -s /etc/passwd {HOSTS}": "symbolic link",
            f"rm {HOSTS} && mkdir {HOSTS}": "replaced by a directory",
            f"rm {HOSTS} && mkdir -p {HOSTS}/inner && touch {HOSTS}/inner/file":
                "replaced by a directory",
            f"rm -r {CERTS}": "deleted",
            f"mv {CERTS} {CERTS}.moved": "deleted",
        }
        for command, told in kinds.items():
            with self.subTest(command):
                # Far apart enough not to look like a fight.
                self.wait_for(lambda: self.registry(node, "docker.io")["state"] == "InSync",
                              "it is in sync", 90)
                node.sh(command)
                self.wait_for(lambda: node.run("cat", HOSTS, check=False).stdout == wanted,
                              "the content is back", 90)
                self.assertEqual(node.sh(f"stat -c '%a %U %F' {HOSTS}").strip(),
                                 "644 root regular file")
                self.wait_for(lambda: told in self.registry(node, "docker.io")["lastHeal"]["cause"],
                              f"status says {told}", 90)
        self.assertEqual(node.sh("cat /root/evil/hosts.toml 2>/dev/null", check=False), "",
                         "nothing is written through a planted link")
        self.assertEqual(node.sh("head -1 /etc/passwd").split(":")[0], "root")

    def test_a_secret_header_makes_the_file_private_and_is_never_told(self):
        node = self.boot()
        node.write("/etc/nodemirrord/secret/token", "Bearer t0p-s3cret\n", "600")
        node.desire(DESIRED.replace("- url: https://docker.m.daocloud.io",
                                    "- url: https://docker.m.daocloud.io\n"
                                    "        headerFiles: {Authorization: "
                                    "/etc/nodemirrord/secret/token}"))
        dry = node.sh("nodemirrord --dry-run; true")
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertEqual(node.sh(f"stat -c %a {HOSTS}").strip(), "600")
        self.assertIn("t0p-s3cret", node.read(HOSTS))
        node.sh(f"chmod 644 {HOSTS}")
        self.wait_for(lambda: node.sh(f"stat -c %a {HOSTS}").strip() == "600", "private again")
        node.sh(f"sed -i s/daocloud/evil/ {HOSTS}")
        told = dry + node.journal(lines=1000) + node.sh(
            "nodemirrorctl plan; nodemirrorctl status -o json; nodemirrorctl status;"
            "curl -s --unix-socket /run/nodemirrord/status.sock http://x/metrics", check=False)
        self.assertIn("Authorization", dry)
        self.assertNotIn("t0p-s3cret", told)
        node.write("/etc/nodemirrord/secret/token", "Bearer rotated\n", "600")
        self.wait_for(lambda: "rotated" in node.read(HOSTS), "a rotated secret is taken up")

    def test_a_reader_never_sees_a_torn_or_missing_file(self):
        node = self.ready()
        reader = node.command("python3", "-c", READER, HOSTS, "/run/stop-reading",
                              "daocloud.io", "# drifted")
        import subprocess
        with subprocess.Popen(reader, stdout=subprocess.PIPE, text=True) as reading:
            for _ in range(30):
                node.sh(f"printf '# drifted\\n[host]\\n' >{CERTS}/new && mv {CERTS}/new {HOSTS}")
                self.wait_for(lambda: "daocloud" in node.read(HOSTS), "healed", 90)
            node.sh("touch /run/stop-reading")
            reads, seen = reading.communicate(timeout=30)[0].split(" ", 1)
        self.assertGreater(int(reads), 100)
        self.assertEqual(seen.strip(), "{}")

    def test_a_fight_is_contested_and_ends_well(self):
        node = self.ready()
        wanted = node.read(HOSTS)
        import subprocess
        fighter = subprocess.Popen(node.command(
            "/bin/sh", "-c", f"while [ ! -e /run/peace ]; do echo '# mine' >{HOSTS}; done"))
        try:
            self.wait_for(lambda: self.registry(node, "docker.io")["state"] == "Contested",
                          "it is told as contested", 30)
            heals = node.status()["reconcile"]["heals"]
            reason = self.reasons(node)["RegistryContested"]
            self.assertIn("docker.io/hosts.toml", reason["remedy"])
            # The others are healed as fast as ever meanwhile.
            other = f"{CERTS}/registry.k8s.io/hosts.toml"
            node.sh(f"rm {other}")
            self.wait_for(lambda: node.exists(other), "the other registry is healed", 5)
            self.wait_for(lambda: node.status()["reconcile"]["heals"] > heals + 1,
                          "it has not given up", 60)
            self.assertLess(node.status()["reconcile"]["heals"], heals + 20)
        finally:
            node.sh("touch /run/peace")
            fighter.wait(30)
        self.wait_for(lambda: node.read(HOSTS) == wanted, "healed for good", 90)
        self.wait_for(lambda: self.registry(node, "docker.io")["state"] == "InSync",
                      "peace is noticed", 90)
