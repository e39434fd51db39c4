"""Drift of hosts.toml is healed at once and told; a fight is not fought at full speed."""
import subprocess

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
        # A registry for each kind, so that none of them looks like a fight.
        names = [f"r{index}.example" for index in range(20)]
        more = "".join(f"  {name}:\n    mirrors:\n      - url: https://mirror.example\n"
                       for name in names)
        node = self.ready(DESIRED.replace("registries:\n", "registries:\n" + more))
        wanted = node.read(f"{CERTS}/{names[0]}/hosts.toml")
        kinds = {
            "echo '# mine' >>HOSTS": "edited",
            "sed -i s/mirror/evil/ HOSTS": "edited",
            ": >HOSTS": "truncated",
            "rm HOSTS": "deleted",
            "chmod 600 HOSTS": "mode",
            "chown nobody HOSTS": "owner",
            "rm -r DIRECTORY": "deleted",
            "rm -r DIRECTORY && echo hello >DIRECTORY": "replaced by a file",
            "rm -r DIRECTORY && mkdir /root/evil; ln -s /root/evil DIRECTORY": "symbolic link",
            "rm HOSTS && ln -s /etc/passwd HOSTS": "symbolic link",
            "rm HOSTS && mkdir HOSTS": "replaced by a directory",
            "rm HOSTS && mkdir -p HOSTS/inner && touch HOSTS/inner/file": "replaced by a directory",
            f"rm -r {CERTS}": "deleted",
            f"mv {CERTS} {CERTS}.moved": "deleted",
            "rm -r /etc/containerd": "deleted",
        }
        for name, (command, told) in zip(names, kinds.items()):
            hosts = f"{CERTS}/{name}/hosts.toml"
            with self.subTest(command):
                # Held meanwhile: it heals faster than two commands of a shell follow one another.
                node.run("systemctl", "kill", "--kill-who=main", "-s", "STOP", "nodemirrord")
                node.sh(command.replace("HOSTS", hosts).replace("DIRECTORY", f"{CERTS}/{name}"))
                node.run("systemctl", "kill", "--kill-who=main", "-s", "CONT", "nodemirrord")
                self.wait_for(lambda: node.run("cat", hosts, check=False).stdout == wanted,
                              "the content is back", 10)
                self.wait_for(lambda: node.sh(f"stat -c '%a %U %F' {hosts}", check=False).strip() ==
                              "644 root regular file", "its mode and owner are back", 10)
                self.wait_for(lambda: told in self.registry(node, name)["lastHeal"]["cause"],
                              f"status says {told}", 10)
        self.assertEqual(node.sh("cat /root/evil/hosts.toml 2>/dev/null", check=False), "",
                         "nothing is written through a planted link")
        self.assertEqual(node.sh("head -1 /etc/passwd").split(":")[0], "root")

    def test_a_link_on_the_way_to_it_that_comes_to_lead_elsewhere_is_followed(self):
        node = self.ready()
        # As a deployment switches releases: certs.d is two links away.
        node.run("systemctl", "stop", "nodemirrord")
        node.sh(f"""mkdir -p /etc/sets/one /etc/sets/two/certs.d && mv {CERTS} /etc/sets/one/certs.d
            ln -s one /etc/sets/current && ln -s /etc/sets/current/certs.d {CERTS}""")
        node.run("systemctl", "start", "nodemirrord")
        node.wait_for_phase("Ready")
        node.sh("ln -s two /etc/sets/new && mv -T /etc/sets/new /etc/sets/current")
        self.wait_for(lambda: node.exists("/etc/sets/two/certs.d/docker.io/hosts.toml"),
                      "the new one is filled", 10)
        node.sh("rm /etc/sets/two/certs.d/docker.io/hosts.toml")
        self.wait_for(lambda: node.exists("/etc/sets/two/certs.d/docker.io/hosts.toml"),
                      "the new one is watched", 10)

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
        reader = subprocess.Popen(
            node.command("python3", "-c", READER, HOSTS, "/run/stop-reading", "daocloud.io",
                         "mirror.example", "# drifted"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(reader.kill)
        # A few heals, fewer than would look like a fight, and many changes of what is desired.
        for _ in range(4):
            node.sh(f"printf '# drifted\\n[host]\\n' >{CERTS}/new && mv {CERTS}/new {HOSTS}")
            self.wait_for(lambda: "daocloud" in node.read(HOSTS), "healed", 10)
        for _ in range(20):
            node.desire(DESIRED.replace("docker.m.daocloud.io", "mirror.example"))
            self.wait_for(lambda: "mirror.example" in node.read(HOSTS), "changed", 10)
            node.desire(DESIRED)
            self.wait_for(lambda: "daocloud" in node.read(HOSTS), "changed back", 10)
        node.sh("touch /run/stop-reading")
        reads, seen = reader.communicate(timeout=30)[0].split(" ", 1)
        self.assertGreater(int(reads), 100)
        self.assertEqual(seen.strip(), "{}")

    def test_a_fight_is_contested_and_ends_well(self):
        node = self.ready()
        wanted = node.read(HOSTS)
        node.run("systemd-run", "--unit=fighter", "/bin/sh", "-c",
                 f"while [ ! -e /run/peace ]; do echo '# mine' >{HOSTS}; done")
        try:
            self.wait_for(lambda: self.registry(node, "docker.io")["state"] == "Contested",
                          "it is told as contested", 30)
            heals = node.status()["reconcile"]["heals"]
            reason = self.wait_for(
                lambda: "pid" in self.reasons(node)["RegistryContested"]["message"] and
                self.reasons(node)["RegistryContested"], "the other writer is named", 60)
            self.assertIn("sh (pid ", reason["message"])
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
            self.wait_for(lambda: node.run("systemctl", "is-active", "fighter",
                                           check=False).returncode != 0, "the fighter ends")
        self.wait_for(lambda: node.read(HOSTS) == wanted, "healed for good", 90)
        self.wait_for(lambda: self.registry(node, "docker.io")["state"] == "InSync",
                      "peace is noticed", 90)
