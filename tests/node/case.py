"""The base of the node tests. Which containerd and which build come from the command line of
run.py, by way of the environment."""
import os
import sys
import unittest
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent.parent / "support"
sys.path.insert(0, str(SUPPORT))

from containerds import RELEASES, SANDBOXES  # noqa: E402
from faulty_registry import PORT  # noqa: E402
from node import Node, wait_until  # noqa: E402

VERSION = os.environ.get("NODE_CONTAINERD", "1.6")
BUILD = os.environ.get("NODE_BUILD", "")
CACHE = os.environ.get("NODE_CACHE", "")

SANDBOX = SANDBOXES[VERSION]
RELEASE = RELEASES[VERSION]

# What a user in the field would write.
DESIRED = """apiVersion: nodemirrord/v1
registries:
  docker.io:
    mirrors:
      - url: https://docker.m.daocloud.io
  registry.k8s.io:
    fallback: none
    mirrors:
      - url: https://registry.aliyuncs.com
        repositoryPrefix: google_containers
pause:
  sources: [registry.aliyuncs.com/google_containers/pause:3.10]
  aliases: [k8s.gcr.io/pause:3.10]
"""

CERTS = "/etc/containerd/certs.d"
HOSTS = f"{CERTS}/docker.io/hosts.toml"

# A configuration with which containerd reads certs.d from the start, so that nothing is restarted.
CRI = "io.containerd.grpc.v1.cri" if VERSION < "2" else "io.containerd.cri.v1.images"
CONFIGURED = f"""version = {2 if VERSION < '2' else 3}
[plugins."{CRI}".registry]
  config_path = "{CERTS}"
"""


def mirrors_yaml(*kinds):
    """The entries of `mirrors` for faulty mirrors."""
    return "".join(f"      - {{url: \"https://mirror.example:{PORT[kind]}\", "
                   "ca: /etc/nodetest/ca.crt}\n" for kind in kinds)


class NodeCase(unittest.TestCase):
    """One node a test, so that no test sees what another left."""

    config = {"config.toml": CONFIGURED}
    kubelet = True

    def boot(self, **options):
        node = Node(VERSION, BUILD, CACHE, **{"config": self.config, "kubelet": self.kubelet,
                                              **options})
        node.__enter__()
        self.addCleanup(node.close)
        return node

    def ready(self, desired=DESIRED, **options):
        """A node whose daemon runs and has everything as desired."""
        node = self.boot(**options)
        node.desire(desired)
        node.start_daemon()
        node.wait_for_phase("Ready")
        return node

    def start_mirrors(self, node):
        """The faulty mirrors of support/faulty_registry.py, on loopback in the node."""
        node.sh(f"python3 {SUPPORT}/faulty_registry.py /run/mirrors.log /etc/nodetest "
                ">/run/mirrors.out 2>&1 &")
        self.wait_for(lambda: node.exists("/run/mirrors.log"), "the mirrors listen")

    def miss_the_pause_image(self, node):
        """Long enough that kubelet may have given up on sandboxes for a while."""
        node.run("systemctl", "stop", "mirror")
        for image in (SANDBOX, "k8s.gcr.io/pause:3.10",
                      "registry.aliyuncs.com/google_containers/pause:3.10"):
            node.probe("remove", image)
        # Of this name: of the others the pulls may fail while this one's is still to be answered.
        self.wait_for(lambda: any(reason["code"] == "PauseImageMissing" and
                                  reason["subject"] == SANDBOX and "cannot" in reason["message"]
                                  for reason in self.status(node)["reasons"]),
                      "it cannot be brought")
        node.run("systemctl", "start", "mirror")
        self.wait_for(lambda: node.image_present(SANDBOX), "the pause image is back", 30)

    def wait_for(self, condition, what, seconds=30):
        return wait_until(condition, what, seconds)

    def status(self, node):
        """The status; waited for, since a daemon that restarts does not answer for a moment."""
        return wait_until(node.status, "the daemon answers", 30)

    def registry(self, node, name):
        status = self.status(node)
        return next((item for item in status["registries"] if item["name"] == name), None)

    def reasons(self, node):
        return {reason["code"]: reason for reason in self.status(node)["reasons"]}
