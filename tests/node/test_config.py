"""containerd's configuration: what is missing is mended, what cannot be is told, and an edit with
which CRI does not load is taken back."""
import json

from case import CERTS, CRI, DESIRED, SANDBOX, VERSION, NodeCase

FORMAT = 2 if VERSION < "2" else 3
REGISTRY = f'plugins."{CRI}".registry'

COMMENTED = f"""# kept by the platform team
version = {FORMAT}   # do not touch

[debug]
  level = "info" # quiet

# registry settings
[{REGISTRY}]   # below
  # config_path was never set here
  [{REGISTRY}.configs."private.example".auth]
    username = "robot"
    password = "s3cr3t-w0rd"   # rotate in March
"""

# A list of directories is read where CRI pulls by itself, as it does with this on 2.1 too.
LISTED = f"""version = {FORMAT}
[plugins."{CRI}"]
  max_concurrent_downloads = 5
[{REGISTRY}]
  config_path = "{CERTS}:/etc/docker/certs.d"
"""

# The old way, with certs.d set beside it: CRI refuses to load.
CONFLICT = f"""version = {FORMAT}
[{REGISTRY}]
  config_path = "{CERTS}"
# mirrors of 2021
[{REGISTRY}.mirrors]
  [{REGISTRY}.mirrors."docker.io"]
    endpoint = ["https://old.example"]   # gone
"""

LEGACY = f"""version = {FORMAT}
[{REGISTRY}.mirrors]
  [{REGISTRY}.mirrors."docker.io"]
    endpoint = ["https://old.example"]
  [{REGISTRY}.mirrors."quay.io"]
    endpoint = ["https://quay-mirror.example", "https://user:pa55@second.example"]
"""

POISONED = """#!/bin/sh
if grep -q config_path /etc/containerd/config.toml; then
    exec /usr/bin/containerd -c /etc/containerd/poison.toml
fi
exec /usr/bin/containerd
"""

# What required_plugins calls CRI.
PLUGIN = "io.containerd.grpc.v1.cri"


class Config(NodeCase):
    def apply(self, config, phase="Ready", desired=DESIRED):
        node = self.boot(config=config)
        node.desire(desired)
        node.start_daemon()
        status = node.wait_for_phase(phase)
        return node, status

    def poisoned(self, node, text):
        """As soon as config_path is there, containerd starts with this file, which CRI refuses."""
        node.write("/etc/containerd/poison.toml", text)
        node.write("/usr/local/bin/containerd-poisoned", POISONED, "755")
        node.sh("sed -i 's,^ExecStart=.*,ExecStart=/usr/local/bin/containerd-poisoned,' "
                "/etc/systemd/system/containerd.service && systemctl daemon-reload")
        node.desire(DESIRED)
        node.start_daemon()
        return node.wait_for_phase("Blocked")

    def test_comments_and_every_other_byte_stay(self):
        node, status = self.apply({"config.toml": COMMENTED})
        after = node.read("/etc/containerd/config.toml")
        added = [line for line in after.splitlines() if line not in COMMENTED.splitlines()]
        self.assertEqual(added, [f'  config_path = "{CERTS}"'])
        self.assertEqual([line for line in after.splitlines() if line not in added],
                         COMMENTED.splitlines())
        self.assertEqual(node.start_pod()[0], 0)
        everything = (node.journal(lines=1000) + str(status) +
                      node.sh("nodemirrorctl plan -o json; nodemirrorctl status", check=False))
        self.assertNotIn("s3cr3t-w0rd", everything)

    def test_legacy_mirrors_that_keep_cri_from_loading_are_moved_out(self):
        node = self.boot(config=None)
        node.write("/etc/containerd/config.toml", CONFLICT)
        node.run("systemctl", "restart", "containerd")
        self.wait_for(lambda: "mirrors" in node.probe("status").stderr or
                      node.probe("status").returncode == 1, "CRI is not loaded")
        starts = node.kubelet_starts()
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        after = node.read("/etc/containerd/config.toml")
        self.assertNotIn("endpoint", after)
        self.assertIn("# mirrors of 2021", after)
        self.assertIn("# gone", after)
        self.assertIn("https://old.example", node.journal(lines=1000))
        self.assertEqual(node.start_pod()[0], 0)
        self.assertEqual(node.kubelet_starts(), starts + 1,
                         "containerd was restarted because CRI had been broken")
        # What led to the registry before comes back in the form that containerd reads now.
        node.desire("apiVersion: nodemirrord/v1\nregistries: {}\n")
        self.wait_for(lambda: "old.example" in node.read(f"{CERTS}/docker.io/hosts.toml"),
                      "the legacy mirror is given back")

    def test_a_mirror_that_nothing_covers_is_a_reason_to_stop(self):
        # A file that says nothing takes the place of no mirror.
        node, status = self.apply({"config.toml": LEGACY, "certs.d/quay.io/hosts.toml": "# none\n"},
                                  "Blocked")
        reason = next(item for item in status["reasons"] if item["code"] == "LegacyMirrors")
        self.assertEqual(reason["subject"], "quay.io")
        self.assertIn("https://quay-mirror.example", reason["message"])
        self.assertNotIn("pa55", str(status) + node.journal(lines=1000))
        self.assertEqual(node.read("/etc/containerd/config.toml"), LEGACY)
        node.desire(DESIRED.replace("registries:\n", "registries:\n  quay.io:\n    mirrors:\n"
                                    "      - url: https://quay-mirror.example\n"))
        # The mirror of the test does not exist, and that is all that is told.
        self.wait_for(lambda: set(self.reasons(node)) == {"AllMirrorsDown"}, "nothing else is told",
                      90)
        self.assertNotIn("mirrors]", node.read("/etc/containerd/config.toml"))

    def test_imports(self):
        main = f'version = {FORMAT}\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
        extra = (f'version = {FORMAT}\n# ours\n[plugins."{CRI}"]\n'
                 '  max_concurrent_downloads = 5\n')
        node, _ = self.apply({"config.toml": main, "conf.d/10-cri.toml": extra})
        self.assertEqual(node.start_pod()[0], 0)
        files = {path: node.read(f"/etc/containerd/{path}")
                 for path in ("config.toml", "conf.d/10-cri.toml")}
        holder = [path for path, text in files.items() if "config_path" in text]
        # On 1.x a later file's section replaces an earlier one: it has to be the last.
        self.assertEqual(holder, ["conf.d/10-cri.toml"] if VERSION < "2" else ["config.toml"])
        self.assertIn("max_concurrent_downloads = 5", files["conf.d/10-cri.toml"])

    def test_a_second_directory_that_is_read_is_left_alone(self):
        node = self.boot(config={"config.toml": LISTED})
        node.write("/etc/docker/certs.d/second.example/hosts.toml",
                   'server = "https://docker.m.daocloud.io"\nca = "/etc/nodetest/ca.crt"\n[host]\n')
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertEqual(node.read("/etc/containerd/config.toml"), LISTED)
        image = "second.example/library/app:1.0"
        self.assertEqual(node.probe("pull", image).returncode, 0)
        told = node.run("nodemirrorctl", "explain", image, check=False)
        self.assertEqual(told.returncode, 0, told.stdout)
        self.assertIn("/etc/docker/certs.d/second.example", told.stdout)
        doctor = node.run("nodemirrorctl", "doctor", check=False).stdout
        self.assertNotIn("config-path", doctor)

    def test_an_edit_with_which_cri_does_not_load_is_taken_back(self):
        original = f"# mine\nversion = {FORMAT}\n"
        node = self.boot(config={"config.toml": original})
        status = self.poisoned(node, CONFLICT)
        codes = [reason["code"] for reason in status["reasons"]]
        self.assertIn("ConfigRolledBack", codes)
        reason = status["reasons"][codes.index("ConfigRolledBack")]
        self.assertIn("`mirrors` cannot be set when `config_path` is provided", reason["message"])
        self.assertEqual(node.read("/etc/containerd/config.toml"), original)
        node.wait_for_cri()
        restarts = [item for item in status["services"] if item["unit"] == "containerd.service"]
        self.assertEqual(restarts[0]["restarts"], 2)
        # It is not tried again until something changes.
        node.run("nodemirrorctl", "reconcile", check=False)
        self.assertEqual(node.read("/etc/containerd/config.toml"), original)
        node.write("/etc/containerd/poison.toml", f"version = {FORMAT}\n[{REGISTRY}]\n"
                   f'  config_path = "{CERTS}"\n')
        node.write("/etc/containerd/config.toml", original + "# mended\n")
        node.run("systemctl", "stop", "nodemirrord")
        node.run("rm", "/var/lib/nodemirrord/restarts.json")
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertIn("# mended", node.read("/etc/containerd/config.toml"))

    def test_an_edit_with_which_containerd_does_not_start_is_taken_back(self):
        # With CRI among them, a containerd whose CRI does not load ends at once.
        required = f'version = {FORMAT}\nrequired_plugins = ["{PLUGIN}"]\n'
        node = self.boot(config={"config.toml": required})
        status = self.poisoned(
            node, CONFLICT.replace("[", f'required_plugins = ["{PLUGIN}"]\n[', 1))
        messages = {reason["code"]: reason["message"] for reason in status["reasons"]}
        self.assertIn("containerd does not start with it", messages["ConfigRolledBack"])
        self.assertEqual(node.read("/etc/containerd/config.toml"), required)
        node.wait_for_cri()

    def test_a_configuration_that_is_being_written_is_waited_for(self):
        node = self.ready()
        path = "/etc/containerd/config.toml"
        node.sh(f"mv {path} {path}.bak")
        half = COMMENTED.index("[debug]")
        with node.being_written(path, COMMENTED[:half], COMMENTED[half:]):
            self.wait_for(lambda: "open for writing" in json.dumps(node.status()["reasons"]),
                          "the half is seen")
            self.assertEqual(node.read(path), COMMENTED[:half])
        self.wait_for(lambda: "ConfigSettling" in self.reasons(node), "it is left alone at first")
        self.wait_for(lambda: "config_path =" in node.read(path), "the whole is edited", 90)
        for line in COMMENTED.splitlines():
            self.assertIn(line, node.read(path))
        node.wait_for_phase("Ready")

    def test_a_configuration_without_a_version(self):
        node, _ = self.apply({"config.toml": "# nothing is set\n"})
        self.assertEqual(node.start_pod()[0], 0)
        # As containerd itself reads what was written, of which 2.1 ignores what is misplaced.
        dump = node.sh("containerd config dump")
        self.assertIn(CERTS, dump)
        self.assertEqual(node.probe("pull", "docker.io/library/app:1.0").returncode, 0)

    def test_check_and_ignore_edit_nothing(self):
        config = {"config.toml": f"version = {FORMAT}\n"}
        node, status = self.apply(config, "Degraded",
                                  DESIRED + "containerd: {configPath: check}\n")
        self.assertIn("ConfigPathNotSet", [reason["code"] for reason in status["reasons"]])
        self.assertEqual(node.read("/etc/containerd/config.toml"), config["config.toml"])
        node.desire(DESIRED + "containerd: {configPath: ignore}\n")
        self.wait_for(lambda: "ConfigPathNotSet" not in self.reasons(node), "it is ignored")
        self.assertEqual(node.read("/etc/containerd/config.toml"), config["config.toml"])

    def test_a_disabled_cri_is_told(self):
        name = "cri" if VERSION == "1.6" else "io.containerd.grpc.v1.cri"
        node = self.boot(config=None)
        node.write("/etc/containerd/config.toml",
                   f'version = {FORMAT}\ndisabled_plugins = ["{name}"]\n'
                   if VERSION > "1.6" else f'disabled_plugins = ["{name}"]\n')
        node.run("systemctl", "restart", "containerd")
        node.desire(DESIRED)
        node.start_daemon()
        status = node.wait_for_phase("Blocked")
        self.assertIn("CriDisabled", [reason["code"] for reason in status["reasons"]])

    def test_a_configuration_that_cannot_be_read_is_left_alone(self):
        node = self.boot(config={"config.toml": f"version = {FORMAT}\n"})
        broken = f'version = {FORMAT}\n[plugins."{CRI}"\n'
        node.write("/etc/containerd/config.toml", broken)
        node.desire(DESIRED)
        node.start_daemon()
        status = node.wait_for_phase("Blocked")
        self.assertIn("ConfigUnreadable", [reason["code"] for reason in status["reasons"]])
        self.assertEqual(node.read("/etc/containerd/config.toml"), broken)
        self.assertEqual(status["containerd"]["sandboxImage"] or SANDBOX, SANDBOX)
