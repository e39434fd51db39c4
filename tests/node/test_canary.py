"""Proof: a change of a chain is kept only where the canary can be pulled through it."""
import json
import re
import time

from case import CERTS, NodeCase, mirrors_yaml
from faulty_registry import PORT

PROOFS = "/var/lib/nodemirrord/proofs.json"
CANARY = "fleet.test/canary/image:1"


def desired(*kinds, canary=CANARY, extra=""):
    return f"""apiVersion: nodemirrord/v1
registries:
  fleet.test:
    fallback: none
    canary: {canary}
{extra}    mirrors:
{mirrors_yaml(*kinds)}pause: {{pin: false}}
"""


class Canary(NodeCase):
    def start(self, text):
        node = self.boot()
        self.start_mirrors(node)
        node.desire(text)
        node.start_daemon()
        self.wait_for(node.status, "the daemon answers")
        return node

    def ports(self, node):
        text = node.read(f"{CERTS}/fleet.test/hosts.toml")
        return [int(port) for port in re.findall(r"mirror.example:(\d+)", text)]

    def proven(self, node):
        return "event=proven" in node.journal(lines=200)

    def answers(self, node, kind, path):
        """How often a mirror was asked for something."""
        return sum(line.startswith(f"{kind} GET") and path in line
                   for line in node.read("/run/mirrors.log").splitlines())

    def test_a_change_to_dead_mirrors_is_never_put_in_place(self):
        node = self.start(desired("good"))
        self.wait_for(lambda: self.proven(node), "the first chain is proven")
        # The pull was a real one: its layer was fetched.
        self.assertGreaterEqual(self.answers(node, "good", "canary/image/blobs/"), 2)
        # A watcher sees every version of the file.
        node.sh(f"cp -r {CERTS}/fleet.test /run/seen; (while sleep 0.02; do "
                f"cmp -s {CERTS}/fleet.test/hosts.toml /run/seen/hosts.toml || "
                "echo changed >>/run/changes; done) >/dev/null 2>&1 &")
        node.desire(desired("refuse", "forbidden"))
        reason = self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told")
        self.assertEqual(reason["subject"], "fleet.test")
        self.assertIn("refuses the connection", reason["message"])
        self.assertIn("was not put in place", reason["message"])
        self.assertEqual(self.ports(node), [PORT["good"]])
        self.assertEqual(self.status(node)["phase"], "Degraded")
        self.assertEqual(node.probe("pull", "fleet.test/app/still:1").returncode, 0)
        self.assertFalse(node.exists("/run/changes"), "the node could pull throughout")
        self.assertIn("last proven", self.registry(node, "fleet.test")["why"])
        # An edit is healed to what is in force, and a restart changes nothing.
        node.sh(f"echo '# x' >>{CERTS}/fleet.test/hosts.toml")
        self.wait_for(lambda: "# x" not in node.read(f"{CERTS}/fleet.test/hosts.toml"), "healed")
        node.run("systemctl", "restart", "nodemirrord")
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is still told")
        self.assertEqual(self.ports(node), [PORT["good"]])
        # The change is given up: nothing is told of it any more.
        node.desire(desired("good"))
        self.wait_for(lambda: "ChangeRolledBack" not in self.reasons(node), "it is forgotten")
        self.assertEqual(self.registry(node, "fleet.test")["why"], "")
        # Another desired state is tried at once.
        node.desire(desired("refuse", "good"))
        self.wait_for(lambda: self.ports(node) == [PORT["good"], PORT["refuse"]] or
                      self.ports(node) == [PORT["refuse"], PORT["good"]], "it is in place")
        self.wait_for(lambda: "ChangeRolledBack" not in self.reasons(node), "nothing is told")

    def test_a_change_that_resolves_and_does_not_pull_is_taken_back(self):
        node = self.start(desired("good"))
        self.wait_for(lambda: self.proven(node), "the first chain is proven")
        node.desire(desired("blobs-denied"))
        reason = self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told", 60)
        self.assertIn("403", reason["message"])
        self.assertIn("has it", reason["message"])
        self.assertEqual(self.ports(node), [PORT["good"]])
        self.assertEqual(node.probe("pull", "fleet.test/app/again:1").returncode, 0)

    def test_a_mirror_that_hangs_on_tags_alone_proves_nothing(self):
        node = self.start(desired("good"))
        self.wait_for(lambda: self.proven(node), "the first chain is proven")
        node.desire(desired("tag-hangs", "good"))
        reason = self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told", 120)
        self.assertIn("waits without an end", reason["message"])
        self.assertIn("was not put in place", reason["message"])
        self.assertEqual(self.ports(node), [PORT["good"]])
        # One that says everything twice, or that it is still at it, is as good as any.
        for kind in ("twice", "interim"):
            node.desire(desired(kind))
            self.wait_for(lambda: self.ports(node) == [PORT[kind]], f"{kind} is tried")
            self.wait_for(lambda: f":{PORT[kind]}" in
                          json.loads(node.read(PROOFS))["registries"]["fleet.test"]["knownGood"],
                          f"{kind} is proven")

    def test_a_first_chain_that_fails_gives_way_to_what_was_there(self):
        node = self.boot()
        self.start_mirrors(node)
        own = (f'server = "https://mirror.example:{PORT["good"]}"\n'
               'ca = "/etc/nodetest/ca.crt"\n[host]\n')
        node.write(f"{CERTS}/fleet.test/hosts.toml", own)
        node.desire(desired("refuse"))
        node.start_daemon()
        reason = self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told", 60)
        self.assertIn("the chain before", reason["message"])
        self.assertEqual(node.read(f"{CERTS}/fleet.test/hosts.toml"), own)
        self.assertIn("before nodemirrord", self.registry(node, "fleet.test")["why"])

    def test_where_both_fail_the_new_one_stays(self):
        node = self.start(desired("refuse"))
        reason = self.wait_for(lambda: self.reasons(node).get("CanaryFails"), "it is told", 60)
        self.assertIn("connection refused", reason["message"])
        self.assertEqual(self.ports(node), [PORT["refuse"]])

    def test_fallback_none_never_gives_way_to_upstream(self):
        node = self.boot()
        # This registry's own upstream serves the canary, and is not to be asked.
        self.assertEqual(node.probe("pull", "docker.m.daocloud.io/library/app:1.0").returncode, 0)
        node.probe("remove", "docker.m.daocloud.io/library/app:1.0", check=True)
        node.desire(desired("refuse").replace("fleet.test", "docker.m.daocloud.io")
                    .replace("canary/image:1", "library/app:1.0"))
        node.start_daemon()
        self.wait_for(lambda: self.reasons(node).get("CanaryFails"), "it is told", 60)
        self.assertNotIn("ChangeRolledBack", self.reasons(node))
        text = node.read(f"{CERTS}/docker.m.daocloud.io/hosts.toml")
        self.assertIn(f"mirror.example:{PORT['refuse']}", text)

    def test_fallback_none_never_goes_back_to_a_file_that_leads_upstream(self):
        node = self.boot()
        self.start_mirrors(node)
        # The registry itself would serve the canary.
        node.write(f"{CERTS}/docker.m.daocloud.io/hosts.toml",
                   f'[host."https://mirror.example:{PORT["refuse"]}"]\n'
                   'ca = "/etc/nodetest/ca.crt"\n')
        node.desire(desired("missing").replace("fleet.test", "docker.m.daocloud.io")
                    .replace("canary/image:1", "library/app:1.0"))
        node.start_daemon()
        self.wait_for(lambda: self.reasons(node).get("CanaryFails"), "it is told", 60)
        self.assertNotIn("ChangeRolledBack", self.reasons(node))
        text = node.read(f"{CERTS}/docker.m.daocloud.io/hosts.toml")
        self.assertIn(f"mirror.example:{PORT['missing']}", text)

    def test_the_chain_that_stands_in_is_ordered_by_health(self):
        health = "health: {order: health, interval: 1s, timeout: 1s}\n"
        node = self.boot()
        node.write("/run/mood", "good")
        self.start_mirrors(node)
        node.desire(desired("moody", "good") + health)
        node.start_daemon()
        self.wait_for(lambda: node.status() and self.proven(node), "the first chain is proven")
        proven = node.read(f"{CERTS}/fleet.test/hosts.toml")
        # The change has none of the mirrors that stand in for its own.
        node.desire(desired("refuse") + health)
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told", 60)
        self.assertEqual(node.read(f"{CERTS}/fleet.test/hosts.toml"), proven)
        node.write("/run/mood.new", "hang")
        node.run("mv", "/run/mood.new", "/run/mood")
        turned = self.ports(node)[::-1]
        self.wait_for(lambda: self.ports(node) == turned, "the mirror that hangs goes last")
        self.assertEqual(node.probe("pull", "fleet.test/app/turned:1").returncode, 0)
        view = self.registry(node, "fleet.test")
        self.assertIn("last proven", view["why"])
        self.assertIn("is down and tried last", view["why"])
        self.assertEqual({host["role"] for host in view["chain"]}, {"mirror"})
        self.assertIn(f":{PORT['moody']}", self.reasons(node)["MirrorDown"]["message"])
        # Nor does a restart, or another change that fails, put it first.
        node.run("systemctl", "restart", "nodemirrord")
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is still told")
        self.assertEqual(self.ports(node), turned)
        node.desire(desired("forbidden") + health)
        self.wait_for(lambda: f":{PORT['forbidden']}" in
                      self.reasons(node).get("ChangeRolledBack", {"message": ""})["message"],
                      "it is told", 60)
        self.assertEqual(self.ports(node), turned)
        # Once it is back, what is in place is what was proven, to the byte.
        node.write("/run/mood.new", "good")
        node.run("mv", "/run/mood.new", "/run/mood")
        self.wait_for(lambda: node.read(f"{CERTS}/fleet.test/hosts.toml") == proven, "it is back")

    def test_a_change_that_was_taken_back_is_tried_again_after_an_hour(self):
        node = self.start(desired("good"))
        self.wait_for(lambda: self.proven(node), "the first chain is proven")
        node.write("/run/mood", "broken500")
        node.desire(desired("moody"))
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told", 60)
        node.run("systemctl", "stop", "nodemirrord")
        # All but some seconds of the hour pass.
        proofs = json.loads(node.read(PROOFS))
        proofs["registries"]["fleet.test"]["rejectedAt"] = int(time.time()) - 3600 + 20
        node.write(PROOFS, json.dumps(proofs))
        node.write("/run/mood", "good")
        node.start_daemon()
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is still told")
        self.assertEqual(self.ports(node), [PORT["good"]])
        self.wait_for(lambda: self.ports(node) == [PORT["moody"]], "it is tried again", 60)
        self.wait_for(lambda: "ChangeRolledBack" not in self.reasons(node), "nothing is told")

    def test_a_change_that_was_taken_back_is_not_left_in_place_while_the_network_is_away(self):
        node = self.start(desired("good"))
        self.wait_for(lambda: self.proven(node), "the first chain is proven")
        node.desire(desired("refuse"))
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told", 60)
        node.run("systemctl", "stop", "nodemirrord")
        proofs = json.loads(node.read(PROOFS))
        proofs["registries"]["fleet.test"]["rejectedAt"] = int(time.time()) - 7200
        node.write(PROOFS, json.dumps(proofs))
        node.sh("pkill -f [f]aulty_registry.py")
        node.start_daemon()
        self.wait_for(lambda: json.loads(node.read(PROOFS))["registries"]["fleet.test"]["rejectedAt"]
                      > time.time() - 3600, "it was tried again, and rejected again", 120)
        self.assertEqual(self.ports(node), [PORT["good"]])
        self.assertNotIn("CanaryFails", self.reasons(node))

    def test_a_change_that_reconcile_brings_is_proven_too(self):
        node = self.start(desired("good"))
        self.wait_for(lambda: self.proven(node), "the first chain is proven")
        node.write("/run/desired.yaml", desired("refuse"))
        # Before the daemon has seen the file by itself.
        node.sh("cp /run/desired.yaml /etc/nodemirrord/desired.yaml && curl -sf -X POST --unix-socket "
                "/run/nodemirrord/status.sock http://localhost/v1/reconcile >/dev/null")
        self.assertEqual(self.ports(node), [PORT["good"]])
        self.wait_for(lambda: self.reasons(node).get("ChangeRolledBack"), "it is told")
        self.assertEqual(self.ports(node), [PORT["good"]])

    def test_an_image_that_is_in_use_is_not_removed(self):
        node = self.boot()
        self.start_mirrors(node)
        node.write(f"{CERTS}/fleet.test/hosts.toml",
                   f'server = "https://mirror.example:{PORT["good"]}"\n'
                   'ca = "/etc/nodetest/ca.crt"\n[host]\n')
        node.probe("pull", CANARY, check=True)
        node.ctr("images", "tag", CANARY, "docker.io/library/keep:1")
        node.desire(desired("good"))
        node.start_daemon()
        self.wait_for(lambda: self.proven(node), "the chain is proven")
        self.assertTrue(node.image_present(CANARY))
        self.assertTrue(node.image_present("docker.io/library/keep:1"))

    def test_a_canary_of_another_registry_is_refused(self):
        node = self.boot()
        node.write("/tmp/d.yaml", desired("good", canary="docker.io/library/nginx:1"))
        done = node.run("nodemirrorctl", "validate", "/tmp/d.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("must be an image of fleet.test", done.stdout + done.stderr)
