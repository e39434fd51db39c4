"""Services are restarted exactly when that is needed, and never outside the budget."""
from case import DESIRED, SANDBOX, NodeCase


class Restarts(NodeCase):
    def service(self, node, unit):
        return next(item for item in node.status()["services"] if item["unit"] == unit)

    def test_a_pause_image_that_is_back_at_once_restarts_nothing(self):
        node = self.ready()
        starts = node.kubelet_starts()
        for _ in range(3):
            node.probe("remove", SANDBOX, check=True)
            self.wait_for(lambda: node.image_present(SANDBOX), "the pause image is back", 10)
        self.wait_for(lambda: node.status()["phase"] == "Ready", "all is well")
        self.assertEqual(node.kubelet_starts(), starts)

    def test_hosts_toml_never_needs_one(self):
        node = self.ready()
        pid = node.sh("systemctl show -p MainPID containerd")
        starts = node.kubelet_starts()
        node.desire(DESIRED.replace("docker.m.daocloud.io", "mirror.example"))
        self.wait_for(lambda: "mirror.example" in
                      node.read("/etc/containerd/certs.d/docker.io/hosts.toml"), "in place")
        node.sh("mv /etc/containerd/certs.d /root/away")
        self.wait_for(lambda: node.exists("/etc/containerd/certs.d/docker.io/hosts.toml"), "healed")
        self.assertEqual(node.sh("systemctl show -p MainPID containerd"), pid)
        self.assertEqual(node.kubelet_starts(), starts)

    def test_the_budget_holds_and_survives_the_daemon(self):
        node = self.ready(DESIRED + "services: {budget: {restarts: 2, per: 1h}}\n")
        self.assertEqual(node.kubelet_starts(), 2)
        for _ in range(4):
            self.miss_the_pause_image(node)
            self.wait_for(lambda: self.service(node, "kubelet.service")["budgetLeft"] == 0 or
                          node.kubelet_starts() == 3, "the restart is done or refused")
        self.wait_for(lambda: "RestartBudget" in self.reasons(node), "the refusal is told")
        self.assertEqual(node.kubelet_starts(), 3)
        node.run("systemctl", "restart", "nodemirrord")
        self.miss_the_pause_image(node)
        self.wait_for(lambda: "RestartBudget" in self.reasons(node), "the refusal is told again")
        self.assertEqual(node.kubelet_starts(), 3)
        # The budget is given room: the restart that was due is made.
        node.desire(DESIRED + "services: {budget: {restarts: 3, per: 1h}}\n")
        self.wait_for(lambda: node.kubelet_starts() == 4, "the restart that was due")

    def test_never_means_never(self):
        node = self.boot(config={"config.toml": ""})
        pid = node.sh("systemctl show -p MainPID containerd")
        node.desire(DESIRED + "services: {containerd: {restart: never}, kubelet: {restart: never}}\n")
        node.start_daemon()
        self.wait_for(lambda: node.status() and "RestartNeeded" in self.reasons(node),
                      "the need is told")
        self.assertEqual(node.sh("systemctl show -p MainPID containerd"), pid)
        node.run("systemctl", "restart", "containerd")
        self.wait_for(lambda: node.image_present(SANDBOX), "the pause image", 60)
        self.assertEqual(node.kubelet_starts(), 1)

    def test_a_unit_that_does_not_exist_is_told_once(self):
        node = self.ready(kubelet=False)
        self.assertIn("UnitMissing", self.reasons(node))
        for _ in range(3):
            node.probe("remove", SANDBOX, check=True)
            self.wait_for(lambda: node.image_present(SANDBOX), "the pause image is back", 10)
        told = node.journal(lines=1000).count("there is no such unit")
        self.assertEqual(told, 1)
        self.assertEqual(self.service(node, "kubelet.service")["restarts"], 0)

    def test_a_containerd_unit_that_does_not_exist_is_no_reason_to_be_ready(self):
        node = self.boot(config={"config.toml": ""})
        node.desire(DESIRED + "services: {containerd: {unit: nope.service}}\n")
        node.start_daemon()
        node.wait_for_phase("Degraded")
        self.wait_for(lambda: "RestartNeeded" in self.reasons(node), "the need is told")
        self.assertFalse(node.run("nodemirrorctl", "status", check=False).returncode == 0)

    def test_a_unit_of_another_containerd_is_restarted_once_at_most(self):
        node = self.boot(config={"config.toml": ""})
        node.write("/etc/systemd/system/other.service",
                   "[Service]\nExecStart=/bin/sleep infinity\n")
        node.sh("systemctl daemon-reload && systemctl start other")
        pid = node.sh("systemctl show -p MainPID containerd")
        node.desire(DESIRED + "services: {containerd: {unit: other.service}}\n")
        node.start_daemon()
        self.wait_for(lambda: "RestartNeeded" in self.reasons(node), "the need is told", 60)
        self.assertIn(pid.strip().partition("=")[2], self.reasons(node)["RestartNeeded"]["message"])
        node.run("nodemirrorctl", "reconcile", check=False)
        self.assertIn("RestartNeeded", self.reasons(node))
        self.assertEqual(self.service(node, "other.service")["restarts"], 1)
        self.assertEqual(node.sh("systemctl show -p MainPID containerd"), pid)
        node.run("systemctl", "restart", "containerd")
        node.wait_for_phase("Ready")

    def test_a_daemon_that_is_stopped_while_containerd_starts_takes_nothing_back(self):
        node = self.boot(config={"config.toml": ""})
        node.write("/etc/systemd/system/containerd.service.d/slow.conf",
                   "[Service]\nExecStartPre=/bin/sh -c 'while test -e /run/hold; do sleep 0.1; done'"
                   "\nTimeoutStartSec=infinity\n")
        node.sh("systemctl daemon-reload && touch /run/hold")
        node.desire(DESIRED)
        node.start_daemon()
        self.wait_for(lambda: "activating" in node.sh("systemctl show -p ActiveState containerd"),
                      "containerd is being restarted")
        edited = node.read("/etc/containerd/config.toml")
        self.assertIn("config_path", edited)
        node.run("systemctl", "restart", "nodemirrord")
        node.run("rm", "/run/hold")
        node.wait_for_phase("Ready")
        self.assertNotIn("rolling-back", node.journal(lines=1000))
        self.assertEqual(node.read("/etc/containerd/config.toml"), edited)

    def test_a_kubelet_that_was_stopped_stays_stopped(self):
        node = self.boot()
        node.run("systemctl", "stop", "kubelet")
        starts = node.kubelet_starts()
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        self.assertEqual(node.kubelet_starts(), starts)
