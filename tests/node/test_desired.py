"""The desired-state file: however it is replaced it is taken up, and a bad one changes nothing."""
from case import CERTS, DESIRED, HOSTS, NodeCase

OTHER = DESIRED.replace("docker.m.daocloud.io", "mirror.example")
BAD = DESIRED.replace("fallback: none", "fallbck: none").replace("https://docker", "docker")


class DesiredState(NodeCase):
    def use(self, node, host):
        self.wait_for(lambda: host in node.read(HOSTS), f"{host} is in place", 10)

    def test_every_way_to_replace_it(self):
        node = self.ready()
        path = "/etc/nodemirrord/desired.yaml"
        node.write("/root/other.yaml", OTHER)
        node.write("/root/first.yaml", DESIRED)
        node.sh(f"cp /root/other.yaml {path}")
        self.use(node, "mirror.example")
        node.sh(f"cp /root/first.yaml {path}.tmp && mv {path}.tmp {path}")
        self.use(node, "daocloud")
        # As kubelet swaps a ConfigMap volume.
        node.sh(f"""cd /etc/nodemirrord && mkdir ..v1 ..v2 && cp /root/other.yaml ..v1/desired.yaml
            cp /root/first.yaml ..v2/desired.yaml
            ln -s ..v1 ..data && rm desired.yaml && ln -s ..data/desired.yaml desired.yaml""")
        self.use(node, "mirror.example")
        node.sh("cd /etc/nodemirrord && ln -s ..v2 ..tmp && mv -T ..tmp ..data")
        self.use(node, "daocloud")
        node.sh(f"rm {path}; cp /root/other.yaml {path}")
        self.use(node, "mirror.example")

    def test_a_bad_file_leaves_the_last_good_state_in_force(self):
        node = self.ready()
        node.desire(BAD)
        status = node.wait_for_phase("Degraded")
        self.assertFalse(status["desired"]["valid"])
        errors = {(error["line"], error["key"]) for error in status["desired"]["errors"]}
        self.assertEqual(errors, {(5, 'registries."docker.io".mirrors[0].url'),
                                  (7, 'registries."registry.k8s.io".fallbck')})
        node.sh(f"rm {HOSTS}")
        self.wait_for(lambda: node.exists(HOSTS), "it is still defended", 5)
        node.run("systemctl", "restart", "nodemirrord")
        node.wait_for_phase("Degraded")
        node.sh(f"rm {HOSTS}")
        self.wait_for(lambda: node.exists(HOSTS), "and after a restart too", 5)
        node.sh("rm /etc/nodemirrord/desired.yaml; rm " + HOSTS)
        self.wait_for(lambda: node.exists(HOSTS), "and without any file", 5)
        node.desire(DESIRED)
        node.wait_for_phase("Ready")

    def test_nothing_is_done_without_any_good_state(self):
        node = self.boot()
        node.desire(BAD)
        node.start_daemon()
        status = node.wait_for_phase("Blocked")
        self.assertEqual([reason["code"] for reason in status["reasons"]], ["DesiredInvalid"])
        self.assertFalse(node.exists("/etc/containerd/certs.d/docker.io"))
        done = node.run("nodemirrorctl", "validate", "/etc/nodemirrord/desired.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/etc/nodemirrord/desired.yaml:5:14: error:", done.stdout)
        self.assertIn('did you mean "fallback"?', done.stdout)

    def test_a_file_that_is_being_written_is_not_half_applied(self):
        node = self.ready()
        second = f"{CERTS}/registry.k8s.io/hosts.toml"
        self.assertTrue(node.exists(second))
        half = OTHER.index("  registry.k8s.io")
        node.sh("rm /etc/nodemirrord/desired.yaml")
        with node.being_written("/etc/nodemirrord/desired.yaml", OTHER[:half], OTHER[half:]):
            self.wait_for(lambda: "open for writing" in node.journal(), "the half is seen")
            self.assertTrue(node.exists(second))
        self.use(node, "mirror.example")
        self.assertTrue(node.exists(second))
        self.assertNotIn("event=released", node.journal())

    def test_the_copy_for_the_next_start_is_made_up_for(self):
        node = self.ready()
        copy = "/var/lib/nodemirrord/last-good.json"
        # As a full disk: it cannot be replaced.
        node.sh(f"rm {copy} && mkdir -p {copy}/full")
        node.desire(OTHER)
        self.use(node, "mirror.example")
        status = node.wait_for_phase("Degraded")
        self.assertIn("StateNotWritable", [reason["code"] for reason in status["reasons"]])
        node.sh(f"rm -r {copy}")
        node.wait_for_phase("Ready")
        self.assertIn("mirror.example", node.read(copy))

    def test_a_damaged_cache_does_not_keep_it_from_starting(self):
        node = self.ready()
        node.run("systemctl", "stop", "nodemirrord")
        for name in ("proofs", "config-seen", "mirrors", "restarts", "certs-reader"):
            node.write(f"/var/lib/nodemirrord/{name}.json", '{"version":1,')
        node.sh(f"rm {HOSTS}")
        node.run("systemctl", "start", "nodemirrord")
        self.wait_for(lambda: node.exists(HOSTS), "it is defended")
        node.wait_for_phase("Ready")
