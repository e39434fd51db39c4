"""explain against the real containerd: the same verdict, through the same host, for the same
reason."""
import json

from case import CERTS, SUPPORT, NodeCase


class Explain(NodeCase):
    def test_verdicts_are_those_of_the_real_containerd(self):
        node = self.boot()
        node.run("mkdir", "-p", CERTS)
        self.start_mirrors(node)
        done = node.run("python3", SUPPORT.parent / "node/fault_driver.py",
                        node.build / "tests/cri_probe", "/etc/nodetest", timeout=400, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-4000:])
        result = json.loads(done.stdout)
        self.assertGreaterEqual(result["cases"], 150)
        self.assertGreater(result["works"], 40)
        lines = [f"{item['case']}: real {item.get('real')}, told {item.get('told')}; "
                 f"containerd: {item.get('message')}" for item in result["differing"]]
        self.assertFalse(lines, "\n" + "\n".join(lines))
