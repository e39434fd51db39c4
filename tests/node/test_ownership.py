"""What was there before comes back; what is not declared is not touched."""
from case import CERTS, DESIRED, HOSTS, NodeCase

EARLIER = '# by hand, 2023\nserver = "https://registry-1.docker.io"\n\n[host."https://old.example"]\n'
WITHOUT = DESIRED.replace("""  docker.io:
    mirrors:
      - url: https://docker.m.daocloud.io
""", "")


class Ownership(NodeCase):
    def test_the_earlier_file_comes_back_byte_for_byte(self):
        node = self.boot()
        node.write(HOSTS, EARLIER, "640")
        node.sh(f"chown root:adm {HOSTS}; echo cert >{CERTS}/docker.io/ca.crt")
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertIn("daocloud", node.read(HOSTS))
        node.run("systemctl", "restart", "nodemirrord")
        node.desire(WITHOUT)
        self.wait_for(lambda: node.read(HOSTS) == EARLIER, "the earlier file is back")
        self.assertEqual(node.sh(f"stat -c '%a %U:%G' {HOSTS}").strip(), "640 root:adm")
        self.assertEqual(node.read(f"{CERTS}/docker.io/ca.crt"), "cert\n")
        # It is the user's own again: nobody heals it.
        node.sh(f"echo '# mine' >>{HOSTS}")
        node.run("nodemirrorctl", "reconcile", check=False)
        self.assertEqual(node.read(HOSTS), EARLIER + "# mine\n")

    def test_a_directory_that_it_made_goes_with_the_registry(self):
        node = self.ready()
        node.desire(WITHOUT)
        self.wait_for(lambda: not node.exists(f"{CERTS}/docker.io"),
                      "no empty directory is left, which would hide _default")

    def test_a_symbolic_link_comes_back(self):
        node = self.boot()
        node.write("/etc/shared/hosts.toml", EARLIER)
        node.sh(f"mkdir -p {CERTS} && ln -s /etc/shared {CERTS}/docker.io")
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertEqual(node.read("/etc/shared/hosts.toml"), EARLIER)
        node.desire(WITHOUT)
        self.wait_for(lambda: node.sh(f"readlink {CERTS}/docker.io", check=False).strip() ==
                      "/etc/shared", "the link is back")

    def test_another_users_directory_is_kept_aside_and_comes_back(self):
        node = self.boot()
        directory, inner = f"{CERTS}/docker.io", f"{CERTS}/quay.io/hosts.toml/precious"
        node.write(HOSTS, EARLIER)
        node.sh(f"echo cert >{directory}/extra.txt; chown -R 1234:1234 {directory}")
        node.write(inner, "precious\n")
        look = f"cd {CERTS} && find docker.io* quay.io* -printf '%p %u %g %m\\n' | sort"
        before = node.sh(look)
        node.desire(DESIRED.replace("registries:\n", "registries:\n"
                                    "  quay.io: {mirrors: [{url: https://docker.m.daocloud.io}]}\n"))
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertEqual(node.read(f"{directory}.aside-1/hosts.toml"), EARLIER)
        self.assertEqual(node.read(f"{CERTS}/quay.io/hosts.toml.aside-1/precious"), "precious\n")
        # What is kept aside is nobody's registry.
        for said in (node.run("nodemirrorctl", "status", check=False).stdout,
                     node.run("nodemirrorctl", "doctor", check=False).stdout):
            self.assertNotIn("aside", said)
        node.sh("kill -9 $(pidof nodemirrord)")
        node.wait_for_phase("Ready")
        node.desire(WITHOUT)
        self.wait_for(lambda: node.sh(look) == before, "everything is as it was")
        self.assertEqual((node.read(HOSTS), node.read(inner)), (EARLIER, "precious\n"))

    def test_undeclared_registries_are_kept_and_checked(self):
        node = self.boot()
        quay = f"{CERTS}/quay.io/hosts.toml"
        node.write(quay, '[host."https://m.example"]\n  capabilities = ["pull", "resolv"]\n')
        before = node.sh(f"stat -c '%i %Y' {quay}")
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        view = self.registry(node, "quay.io")
        self.assertEqual(view["state"], "Invalid")
        self.assertIn("resolv", view["problem"])
        self.assertIn("UnmanagedInvalid", self.reasons(node))
        self.assertEqual(node.sh(f"stat -c '%i %Y' {quay}"), before)
        node.write(quay, '[host."https://m.example"]\n')
        self.wait_for(lambda: self.registry(node, "quay.io")["state"] == "Unmanaged",
                      "the mended file is seen")

    def test_prune_and_back(self):
        node = self.boot()
        quay = f"{CERTS}/quay.io/hosts.toml"
        node.write(quay, EARLIER)
        node.desire(DESIRED + "unmanaged: prune\n")
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertFalse(node.exists(f"{CERTS}/quay.io"))
        node.desire(DESIRED)
        self.wait_for(lambda: node.exists(quay) and node.read(quay) == EARLIER,
                      "what was pruned is back")

    def test_somebody_elses_newer_file_stays(self):
        node = self.ready()
        node.run("systemctl", "stop", "nodemirrord")
        node.write(HOSTS, EARLIER)
        node.desire(WITHOUT)
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertEqual(node.read(HOSTS), EARLIER)
