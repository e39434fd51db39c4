"""Mirrors that fail: seen, told, put last, and brought back."""
import re

from case import CERTS, NodeCase, mirrors_yaml
from faulty_registry import PORT


def url(kind, path=""):
    return f"https://mirror.example:{PORT[kind]}{path}"


def desired(*kinds, order="health", extra=""):
    return f"""apiVersion: nodemirrord/v1
registries:
  fleet.test:
    fallback: none
{extra}    mirrors:
{mirrors_yaml(*kinds)}health: {{order: {order}, interval: 1s, timeout: 1s}}
pause: {{pin: false}}
"""


class Health(NodeCase):
    def start(self, text):
        node = self.boot()
        self.start_mirrors(node)
        node.desire(text)
        node.start_daemon()
        self.wait_for(node.status, "the daemon answers")
        return node

    def order(self, node):
        """The ports in the order in which containerd tries them."""
        said = node.run("nodemirrorctl", "inspect", "-o", "json", CERTS, "fleet.test").stdout
        return [int(port) for port in re.findall(r'"url":"https://mirror.example:(\d+)/', said)]

    def states(self, node):
        chain = self.registry(node, "fleet.test")["chain"]
        return {int(re.search(r":(\d+)/", host["url"]).group(1)): host["health"] for host in chain}

    def mood(self, node, kind):
        node.write("/run/mood.new", kind)
        node.run("mv", "/run/mood.new", "/run/mood")

    def test_a_mirror_that_hangs_goes_last_and_comes_back(self):
        node = self.start(desired("moody", "good"))
        declared = [PORT["moody"], PORT["good"]]
        self.wait_for(lambda: all(health["state"] == "Healthy"
                                  for health in self.states(node).values()), "both are healthy")
        self.assertEqual(self.order(node), declared)
        self.assertGreater(self.states(node)[PORT["good"]]["latencyMs"], 0)
        metrics = node.sh("curl -s --unix-socket /run/nodemirrord/status.sock http://d/metrics")
        self.assertIn(f'nodemirrord_mirror_healthy{{registry="fleet.test",url="{url("good", "/v2")}"}} 1',
                      metrics)
        self.mood(node, "hang")
        self.wait_for(lambda: self.order(node) == declared[::-1], "the hung mirror is last", 10)
        self.assertEqual(node.probe("pull", "fleet.test/app/hung:1").returncode, 0)
        health = self.states(node)[PORT["moody"]]
        self.assertEqual(health["state"], "Unhealthy")
        self.assertIn("does not answer", health["error"])
        reason = self.reasons(node)["MirrorDown"]
        self.assertEqual(reason["subject"], "fleet.test")
        self.assertIn("is down and tried last", self.registry(node, "fleet.test")["why"])
        self.assertNotIn("AllMirrorsDown", self.reasons(node))
        # An edit of the reordered file is healed to the order that is in force.
        node.sh(f"echo >>{CERTS}/fleet.test/hosts.toml")
        self.wait_for(lambda: self.registry(node, "fleet.test")["lastHeal"]["cause"],
                      "the edit is healed")
        self.assertEqual(self.order(node), declared[::-1])
        # A restart of the daemon does not put it first again.
        node.run("systemctl", "restart", "nodemirrord")
        self.wait_for(lambda: self.registry(node, "fleet.test"), "the daemon answers again")
        self.assertEqual(self.order(node), declared[::-1])
        self.mood(node, "good")
        self.wait_for(lambda: self.order(node) == declared, "the declared order is back", 20)
        self.wait_for(lambda: "MirrorDown" not in self.reasons(node), "nothing is told any more")

    def test_what_counts_as_healthy(self):
        good = ["good", "token", "basic"]
        bad = {"refuse": "connection refused", "reset": "reset|EOF", "expired": "expired",
               "wrong-name": "not mirror.example", "unknown-ca": "unknown authority",
               "plain": "HTTP response to HTTPS client", "bare401": "401", "limited": "429",
               "broken500": "500", "broken503": "503", "forbidden": "403", "hang": "not answer"}
        node = self.start(desired(*bad, *good))
        wanted = {PORT[kind]: "Healthy" if kind in good else "Unhealthy" for kind in [*bad, *good]}
        self.wait_for(lambda: {port: health["state"] for port, health
                               in self.states(node).items()} == wanted, "all are judged rightly")
        states = self.states(node)
        for kind, words in bad.items():
            self.assertRegex(states[PORT[kind]]["error"], words, kind)
        self.wait_for(lambda: self.order(node)[:3] == [PORT[kind] for kind in good],
                      "the good ones go first, in their declared order")

    def test_a_ca_that_is_replaced_in_place_is_noticed(self):
        node = self.boot()
        self.start_mirrors(node)
        # Of all mirrors only this one is not trusted by what the whole node trusts.
        node.sh("cd /etc/nodetest; cp unknown-ca.crt mirror-ca.crt")
        node.desire(desired("unknown-ca").replace("nodetest/ca.crt", "nodetest/mirror-ca.crt"))
        node.start_daemon()
        health = lambda: self.states(node)[PORT["unknown-ca"]]
        self.wait_for(lambda: health()["state"] == "Healthy", "it is healthy")
        node.sh("cd /etc/nodetest; cat server.crt >mirror-ca.crt")
        # containerd makes a new connection for each pull, and so would not get through.
        self.wait_for(lambda: health()["state"] == "Unhealthy", "the wrong CA is noticed", 20)
        self.assertIn("unknown authority", health()["error"])
        self.assertNotEqual(node.probe("pull", "fleet.test/app/ca:1").returncode, 0)
        node.sh("cd /etc/nodetest; cat unknown-ca.crt >mirror-ca.crt")
        self.wait_for(lambda: health()["state"] == "Healthy", "the right one is noticed", 60)
        self.assertEqual(node.probe("pull", "fleet.test/app/ca:1").returncode, 0)

    def test_with_all_down_the_declared_order_stands(self):
        node = self.start(desired("refuse", "moody"))
        self.mood(node, "broken500")
        declared = [PORT["refuse"], PORT["moody"]]
        self.wait_for(lambda: "AllMirrorsDown" in self.reasons(node), "all are down")
        self.wait_for(lambda: self.order(node) == declared, "the declared order stands")
        self.assertEqual(self.status(node)["phase"], "Degraded")

    def test_an_upstream_that_is_no_longer_asked_is_not_called_down(self):
        text = desired("moody", extra=f"    server: {url('refuse')}\n")
        node = self.start(text.replace("    fallback: none\n", ""))
        self.mood(node, "broken500")
        upstream = lambda: self.states(node)[PORT["refuse"]]["state"]
        self.wait_for(lambda: upstream() == "Unhealthy", "both are down", 20)
        self.mood(node, "good")
        self.wait_for(lambda: self.states(node)[PORT["moody"]]["state"] == "Healthy",
                      "the mirror is up", 20)
        self.wait_for(lambda: upstream() != "Unhealthy", "nothing is told of the upstream")

    def test_declared_order_is_only_told(self):
        node = self.start(desired("refuse", "good", order="declared"))
        self.wait_for(lambda: "MirrorDown" in self.reasons(node), "it is told")
        self.assertEqual(self.order(node), [PORT["refuse"], PORT["good"]])

    def test_an_upstream_that_is_up_goes_before_dead_mirrors(self):
        text = desired("hang", extra=f"    server: {url('good')}\n")
        text = text.replace("    fallback: none\n", "")
        node = self.start(text)
        # The test's CA is not the system's: the upstream is trusted by the system's own means.
        node.sh("cp /etc/nodetest/ca.crt /usr/local/share/ca-certificates/test.crt && "
                "update-ca-certificates")
        node.run("systemctl", "restart", "nodemirrord", "containerd")
        node.wait_for_cri()
        self.wait_for(lambda: self.order(node) == [PORT["good"], PORT["hang"]],
                      "the upstream goes first", 20)
        self.assertEqual(node.probe("pull", "fleet.test/app/upstream:1").returncode, 0)

    def test_hundreds_of_hung_probes_hold_up_nothing(self):
        mirrors = "".join(f"      - {{url: \"{url('hang', f'/m{n}/v2')}\", "
                          "ca: /etc/nodetest/ca.crt}\n" for n in range(300))
        node = self.start(desired("good").replace("health:", f"{mirrors}health:")
                          .replace("interval: 1s", "interval: 8s").replace("timeout: 1s",
                                                                           "timeout: 8s"))
        hosts = f"{CERTS}/fleet.test/hosts.toml"
        self.wait_for(lambda: node.exists(hosts), "the file is there")
        # Opens that the daemon holds to the mirrors: the probes are under way.
        self.wait_for(lambda: int(node.sh("ls /proc/$(pidof nodemirrord)/fd | wc -l")) > 200,
                      "probes hang", 60)
        healed = node.sh(
            f"for i in 1 2 3 4 5; do echo '#' >>{hosts}; n=0; "
            f"while grep -q '^#$' {hosts}; do n=$((n+1)); [ $n -gt 2000 ] && exit 1; "
            "sleep 0.01; done; done; echo healed")
        self.assertEqual(healed.strip(), "healed")
