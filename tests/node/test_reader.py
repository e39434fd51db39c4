"""The reader of hosts.toml against containerd itself: hundreds of layouts, good and bad, where a
real containerd's requests show which hosts it asks, in what order, with what path and ns."""
import json
import os
import subprocess

from case import BUILD, CACHE, RELEASE, VERSION, NodeCase
import fixtures
import layouts

COUNT = 340
SEED = int(os.environ.get("LAYOUT_SEED", "20260101"))
HERE = fixtures.Path(__file__).resolve().parent


class Reader(NodeCase):
    def test_it_asks_whom_inspect_names(self):
        node = self.boot()
        node.run("systemctl", "stop", "mirror")
        node.sh("echo '127.0.0.1 %s' >>/etc/hosts" % " ".join(layouts.ALL_NAMES))
        # A certificate for all of their names, from the CA that the node trusts.
        place = fixtures.Path(CACHE) / f"reader-{VERSION}"
        place.mkdir(exist_ok=True)
        fixtures.make_server_certificate(fixtures.fixtures(CACHE), place,
                                         layouts.ALL_NAMES + ["localhost"])
        (place / "cases.json").write_text(json.dumps(list(layouts.layouts(SEED, COUNT))))
        server = subprocess.Popen(node.command(
            "python3", HERE.parent / "support/logging_server.py", "/run/requests.log",
            place / "server.crt", place / "server.key", "https:443", "https:5443", "http:80",
            "http:5080"))
        self.addCleanup(server.kill)
        self.wait_for(lambda: node.exists("/run/requests.log"), "the servers are up")
        # A containerd that dies of a file is back at once.
        node.sh("sed -i 's/^RestartSec=.*/RestartSec=100ms/;s/^Restart=.*/&\\nStartLimitBurst=100/' "
                "/etc/systemd/system/containerd.service && systemctl daemon-reload")
        done = node.run("python3", HERE / "reader_driver.py", place / "cases.json", RELEASE,
                        f"{BUILD}/tests/cri_probe", timeout=500, check=False)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        result = json.loads(done.stdout)
        print("layouts:", result["counts"], flush=True)
        self.assertGreaterEqual(sum(result["counts"].values()), 300)
        self.assertGreater(result["counts"]["asked"], 100)
        self.assertGreater(result["counts"]["ignored"], 50)
        self.assertGreater(result["counts"]["error"], 10)
        if VERSION == "1.6":
            self.assertGreater(result["counts"]["crash"], 0)
        self.assertEqual(result["differing"], [],
                         f"{len(result['differing'])} differ:\n" +
                         json.dumps(result["differing"][:5], indent=1))
