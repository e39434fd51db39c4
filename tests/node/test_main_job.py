"""The main job: a node that cannot reach any upstream starts pods."""
from case import DESIRED, SANDBOX, VERSION, NodeCase


class MainJob(NodeCase):
    def test_pods_start_with_no_route_out(self):
        node = self.boot(config=None)
        code, said = node.start_pod()
        self.assertEqual(code, 1, said)
        self.assertIn(SANDBOX, said)

        node.desire(DESIRED)
        node.start_daemon()
        status = node.wait_for_phase("Ready")
        code, said = node.start_pod()
        self.assertEqual(code, 0, said)

        self.assertEqual(status["containerd"]["sandboxImage"], SANDBOX)
        self.assertTrue(status["containerd"]["configPath"]["effective"])
        self.assertEqual(status["containerd"]["configPath"]["source"],
                         "live" if VERSION < "2" else "inferred")
        self.assertEqual([(item["name"], item["present"], item["pinned"])
                          for item in status["pause"]["required"]],
                         [(SANDBOX, True, True), ("k8s.gcr.io/pause:3.10", True, True)])
        chains = {item["name"]: [(host["url"], host["role"]) for host in item["chain"]]
                  for item in status["registries"]}
        self.assertEqual(chains["docker.io"],
                         [("https://docker.m.daocloud.io/v2", "mirror"),
                          ("https://registry-1.docker.io/v2", "upstream")])
        self.assertEqual(chains["registry.k8s.io"],
                         [("https://registry.aliyuncs.com/v2/google_containers", "mirror")])
        # Once for the pause image that came back, and never again.
        self.assertEqual(node.kubelet_starts(), 2)
        self.assertEqual(node.probe("pull", "docker.io/library/app:1.0").returncode, 0)

    def test_pause_names_come_back(self):
        node = self.ready()
        names = [SANDBOX, "k8s.gcr.io/pause:3.10"]
        for name in names:
            node.ctr("images", "rm", name)
            self.wait_for(lambda: node.image_present(name), f"{name} is back", 5)
        # CRI removes every name of an image at once.
        node.probe("remove", SANDBOX, check=True)
        self.wait_for(lambda: all(node.image_present(name) for name in names),
                      "both names are back", 10)
        code, said = node.start_pod()
        self.assertEqual(code, 0, said)

    def test_a_name_comes_back_from_a_source_at_hand_while_the_mirror_is_down(self):
        node = self.ready()
        node.run("systemctl", "stop", "mirror")
        node.ctr("images", "rm", "k8s.gcr.io/pause:3.10")
        self.wait_for(lambda: node.image_present("k8s.gcr.io/pause:3.10"), "the alias is back", 5)

    def test_a_wiped_pin_comes_back(self):
        node = self.ready()

        def pinned(name):
            listed = node.ctr("images", "ls").stdout
            line = next((line for line in listed.splitlines() if line.startswith(name + " ")), "")
            return "io.cri-containerd.pinned=pinned" in line
        self.assertTrue(pinned("k8s.gcr.io/pause:3.10"))
        node.ctr("images", "label", "k8s.gcr.io/pause:3.10", "io.cri-containerd.pinned=")
        self.wait_for(lambda: pinned("k8s.gcr.io/pause:3.10"), "the pin is back", 5)

    def test_images_are_kept_present(self):
        node = self.ready(DESIRED + "images: [app:1.0]\n")
        name = "docker.io/library/app:1.0"
        status = node.status()
        self.assertEqual([(item["name"], item["present"]) for item in status["images"]],
                         [(name, True)])
        node.ctr("images", "rm", name)
        self.wait_for(lambda: node.image_present(name), "the image is back", 10)
        self.assertEqual(node.kubelet_starts(), 2, "an image that is no pause image restarts nothing")

    def test_a_pause_image_that_cannot_be_had_is_told(self):
        node = self.boot()
        node.run("systemctl", "stop", "mirror")
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Degraded")
        reason = self.wait_for(lambda: self.reasons(node).get("PauseImageMissing"), "it is told")
        self.assertIn(reason["subject"], [SANDBOX, "k8s.gcr.io/pause:3.10"])
        self.assertIn("pause.sources", reason["remedy"])
        self.assertEqual(node.kubelet_starts(), 1)
        node.run("systemctl", "start", "mirror")
        node.wait_for_phase("Ready", 60)
        self.assertEqual(node.kubelet_starts(), 2)
