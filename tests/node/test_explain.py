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
        # kubelet's error is told in containerd's own words: people search for them.
        lines = [f"{case}\n  real {real}\n  told {told}" for case, real, told in
                 result["otherWords"]]
        self.assertFalse(lines, "\n" + "\n".join(lines))

    def test_a_path_with_escapes_is_the_one_that_containerd_asks_for(self):
        node = self.boot()
        node.sh("""python3 -c 'import socket
listener = socket.create_server(("127.0.0.1", 5999))
open("/run/listens", "w").close()
while True:
    asked, _ = listener.accept()
    with open("/run/asked", "ab") as log: log.write(asked.recv(4096).split(b"\\r\\n")[0] + b"\\n")
    asked.sendall(b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    asked.close()' >/run/listener.out 2>&1 &""")
        self.wait_for(lambda: node.exists("/run/listens"), "somebody listens")
        for path, sent in [("a%20b", True), ("a%25zz", False), ("x%0d%0aPOST%20/admin", False)]:
            node.write(f"{CERTS}/odd.test/hosts.toml",
                       f'server = "http://127.0.0.1:5999"\n[host."http://127.0.0.1:5999/{path}"]\n')
            node.sh(": >/run/asked")
            real = node.probe("pull", "odd.test/app/odd:1")
            real_asked = set(node.read("/run/asked").splitlines())
            node.sh(": >/run/asked")
            said = json.loads(node.run("nodemirrorctl", "explain", "-o", "json", "odd.test/app/odd:1",
                                       check=False).stdout)
            asked = set(node.read("/run/asked").splitlines())
            with self.subTest(path=path):
                self.assertFalse(said["verdict"]["works"])
                self.assertIn((real.stdout + real.stderr).strip(), said["verdict"]["kubeletError"])
                heads = {line for line in asked if line.startswith("HEAD")}
                self.assertEqual(heads, real_asked)
                self.assertEqual(any("a%20b" in line for line in heads), sent)
                self.assertFalse(any(line.startswith("POST") for line in asked), asked)

    def test_the_proxy_of_containerds_unit_is_used(self):
        node = self.boot()
        node.write(f"{CERTS}/docker.io/hosts.toml",
                   'server = "https://docker.m.daocloud.io"\nca = "/etc/nodetest/ca.crt"\n[host]\n')
        node.write("/etc/systemd/system/containerd.service.d/proxy.conf",
                   "[Service]\nEnvironment=HTTPS_PROXY=http://user:secret@127.0.0.1:3128\n"
                   "EnvironmentFile=-/etc/default/containerd-proxy\n")
        node.run("systemctl", "daemon-reload")

        def explain():
            done = node.run("nodemirrorctl", "explain", "-o", "json", "app:1.0", check=False)
            self.assertNotIn("secret", done.stdout)
            said = json.loads(done.stdout)
            return said["verdict"], said["hosts"][0]["exchanges"][0]
        verdict, exchange = explain()
        self.assertEqual((verdict["works"], verdict["class"]), (False, "proxy"))
        self.assertEqual(exchange["proxy"], "127.0.0.1:3128")
        doctor = json.loads(node.run("nodemirrorctl", "doctor", "-o", "json", check=False).stdout)
        finding = next(item for item in doctor["findings"] if item["code"] == "proxy-in-the-way")
        self.assertEqual(finding["subject"], "127.0.0.1:3128")
        self.assertIn("docker.m.daocloud.io", finding["evidence"])
        self.assertIn("NO_PROXY", finding["remedy"])
        node.sh(f"python3 {SUPPORT}/connect_proxy.py 3128 /run/proxy.log >/dev/null 2>&1 &")
        self.wait_for(lambda: node.exists("/run/proxy.log"), "the proxy listens")
        verdict, exchange = explain()
        self.assertTrue(verdict["works"], verdict)
        self.assertIn("CONNECT docker.m.daocloud.io:443", node.read("/run/proxy.log"))
        # The real containerd, restarted into it, goes the same way.
        node.run("systemctl", "restart", "containerd")
        node.wait_for_cri()
        node.sh(": >/run/proxy.log")
        self.assertEqual(node.probe("pull", "docker.io/library/app:1.0").returncode, 0)
        self.assertIn("CONNECT docker.m.daocloud.io:443", node.read("/run/proxy.log"))
        node.write("/etc/default/containerd-proxy", "NO_PROXY=.daocloud.io\n")
        verdict, exchange = explain()
        self.assertEqual((verdict["works"], exchange["proxy"]), (True, ""))
