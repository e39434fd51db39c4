"""As a service: signals, the socket, and neighbours that go away and come back."""
import json
import re
import time

from case import CERTS, DESIRED, HOSTS, SANDBOX, NodeCase

SOCKET = "/run/nodemirrord/status.sock"


class Service(NodeCase):
    def test_it_ends_within_a_second_whatever_is_under_way(self):
        node = self.boot()
        # A mirror that accepts and never answers: the pull hangs.
        node.run("systemctl", "stop", "mirror")
        node.sh("python3 -c 'import socket,time\ns=socket.create_server((\"127.0.0.1\",443))\n"
                "time.sleep(1000)' >/dev/null 2>&1 &")
        node.desire(DESIRED)
        node.start_daemon()
        self.wait_for(lambda: "event=missing" in node.journal(lines=1000), "a pull is under way")
        began = time.monotonic()
        node.run("systemctl", "stop", "nodemirrord")
        took = time.monotonic() - began
        self.assertLess(took, 5, "systemd would have killed it")
        result = node.sh("systemctl show -p Result,ExecMainStatus nodemirrord")
        self.assertIn("Result=success", result)
        self.assertIn("ExecMainStatus=0", result)

    def test_containerd_and_dbus_come_and_go(self):
        node = self.ready()
        node.run("systemctl", "stop", "containerd")
        status = node.wait_for_phase("Degraded")
        self.assertIn("ContainerdUnreachable", [reason["code"] for reason in status["reasons"]])
        self.assertFalse(status["containerd"]["reachable"])
        self.assertEqual([item["present"] for item in status["pause"]["required"]], [None, None])
        node.sh(f"rm {HOSTS}")
        self.wait_for(lambda: node.exists(HOSTS), "files are healed meanwhile", 5)
        self.assertIn("event=reason code=ContainerdUnreachable", node.journal(lines=1000))
        node.run("systemctl", "start", "containerd")
        node.wait_for_phase("Ready")
        self.assertIn("event=reason-gone code=ContainerdUnreachable", node.journal(lines=1000))
        node.run("systemctl", "kill", "--kill-who=main", "-s", "KILL", "containerd")
        node.run("systemctl", "kill", "--kill-who=main", "-s", "KILL", "dbus")
        node.wait_for_cri()
        node.wait_for_phase("Ready")
        node.ctr("images", "rm", SANDBOX)
        self.wait_for(lambda: node.image_present(SANDBOX), "events are followed again", 10)

    def test_a_containerd_that_accepts_and_never_answers(self):
        node = self.boot()
        # It asks as often as it tells the watchdog that it lives: every 4 s instead of a minute.
        node.write("/run/systemd/system/nodemirrord.service.d/beat.conf",
                   "[Service]\nWatchdogSec=8s\n")
        node.run("systemctl", "daemon-reload")
        node.desire(DESIRED)
        node.start_daemon()
        node.wait_for_phase("Ready")
        node.run("systemctl", "kill", "--kill-who=main", "-s", "STOP", "containerd")
        self.wait_for(lambda: "ContainerdUnreachable" in self.reasons(node), "it is told", 90)
        for _ in range(3):
            node.sh(f"echo '# drift' >{HOSTS}")
            self.wait_for(lambda: "m.daocloud.io" in node.read(HOSTS), "files are healed meanwhile", 5)
        status = node.status()
        self.assertEqual([item["present"] for item in status["pause"]["required"]], [None, None],
                         "what cannot be looked at is unknown")
        self.assertEqual([item["restarts"] for item in status["services"]
                          if item["unit"] == "containerd.service"], [0])
        node.run("systemctl", "kill", "--kill-who=main", "-s", "CONT", "containerd")
        node.wait_for_phase("Ready")

    def test_containerd_and_dbus_die_in_the_midst_of_calls(self):
        node = self.ready(DESIRED + "services: {budget: {restarts: 50, per: 1h}}\n")
        for unit in ("containerd", "dbus"):
            for pause in (0, 0.02, 0.1, 0.3):
                node.probe("remove", SANDBOX)  # it is pulled again
                time.sleep(pause)  # a moment to die at: what is under way then is not asserted
                node.run("systemctl", "kill", "--kill-who=main", "-s", "KILL", unit, check=False)
                node.wait_for_cri()
                try:
                    self.wait_for(lambda: node.image_present(SANDBOX), "the pause image is back", 60)
                except AssertionError as error:
                    raise AssertionError(f"{error}, {unit} killed after {pause} s\n"
                                         f"{node.journal(lines=40)}\n{node.journal('containerd')}")
        node.wait_for_phase("Ready")
        self.assertEqual(node.sh("systemctl show -P NRestarts nodemirrord").strip(), "0")

    def test_a_restart_whose_end_dbus_does_not_live_to_tell_holds_nothing_up(self):
        node = self.ready()
        node.write("/run/systemd/system/kubelet.service.d/wait.conf",
                   "[Service]\nExecStartPre=/bin/sh -c 'until test -e /run/go; do sleep 0.1; done'\n")
        node.run("systemctl", "daemon-reload")
        self.miss_the_pause_image(node)
        self.wait_for(lambda: "kubelet.service" in node.sh("systemctl list-jobs --no-legend"),
                      "kubelet is being restarted")
        node.run("systemctl", "kill", "--kill-who=main", "-s", "KILL", "dbus")
        node.probe("remove", SANDBOX, check=True)
        self.wait_for(lambda: node.image_present(SANDBOX), "the pause image is back")
        node.sh("touch /run/go")
        node.wait_for_phase("Ready")

    def test_what_others_say_over_dbus_is_not_believed(self):
        node = self.ready()
        node.run("systemctl", "daemon-reexec")  # which has another name on the bus from then on
        node.write("/run/systemd/system/kubelet.service.d/wait.conf",
                   "[Service]\nExecStartPre=/bin/sh -c 'until test -e /run/go; do sleep 0.1; done'\n")
        node.run("systemctl", "daemon-reload")
        restarted = lambda: node.journal(lines=1000).count("unit=kubelet.service event=restarted")
        before = restarted()
        self.miss_the_pause_image(node)
        job = self.wait_for(lambda: re.search(r"^ *(\d+) kubelet.service .* running$", node.sh(
            "systemctl list-jobs --no-legend"), re.M), "kubelet is being restarted")[1]
        pid = node.sh("systemctl show -P MainPID nodemirrord").strip()
        name = re.search(rf"^(:\S+)\s+{pid} ", node.sh("busctl --no-legend --no-pager list"), re.M)[1]
        node.run("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "busctl",
                 "emit", f"--destination={name}", "/org/freedesktop/systemd1",
                 "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", job,
                 f"/org/freedesktop/systemd1/job/{job}", "kubelet.service", "done")
        node.run("nodemirrorctl", "status", check=False)
        node.sh(f"echo '# drift' >{HOSTS}")
        self.wait_for(lambda: "m.daocloud.io" in node.read(HOSTS), "the daemon went on")
        self.assertEqual(restarted(), before)
        node.run("touch", "/run/go")
        self.wait_for(lambda: restarted() == before + 1, "the word of systemd is heard")

    def test_services_are_shown_as_they_are(self):
        node = self.ready()

        def kubelet():
            units = (node.status() or {"services": []})["services"]
            return next((unit["activeState"] for unit in units
                         if unit["unit"] == "kubelet.service"), None)
        self.wait_for(lambda: kubelet() == "active", "kubelet is up")
        node.run("systemctl", "stop", "kubelet")
        self.wait_for(lambda: kubelet() == "inactive", "it is told without being asked for", 20)
        node.run("systemctl", "start", "kubelet")
        self.wait_for(lambda: kubelet() == "active", "and that it is back", 20)

    def test_a_lost_configuration_is_not_replaced_after_a_restart(self):
        node = self.ready()
        config = node.read("/etc/containerd/config.toml")
        started = node.sh("systemctl show -P ExecMainStartTimestampMonotonic containerd")
        node.run("systemctl", "stop", "nodemirrord")
        node.sh("rm /etc/containerd/config.toml")
        node.start_daemon()
        self.wait_for(lambda: "ConfigUnreadable" in self.reasons(node), "it is told")
        self.assertFalse(node.exists("/etc/containerd/config.toml"))
        self.assertEqual(node.sh("systemctl show -P ExecMainStartTimestampMonotonic containerd"),
                         started)
        node.write("/etc/containerd/config.toml", config)
        node.wait_for_phase("Ready")

    def test_reload_and_once_and_dry_run(self):
        node = self.boot()
        node.desire(DESIRED)
        dry = node.run("nodemirrord", "--dry-run", check=False)
        self.assertEqual(dry.returncode, 1)
        self.assertIn("+[host.\"https://docker.m.daocloud.io\"]", dry.stdout)
        self.assertIn(f"pull {SANDBOX}", dry.stdout)
        self.assertFalse(node.exists(CERTS + "/docker.io"))
        self.assertEqual(node.sh("ls -A /var/lib/nodemirrord"), "")
        once = node.run("nodemirrord", "--once", "-o", "json", check=False)
        self.assertEqual(once.returncode, 0, once.stderr)
        self.assertEqual(json.loads(once.stdout)["phase"], "Ready")
        self.assertEqual(node.run("nodemirrord", "--dry-run").stdout, "Nothing to change.\n")
        node.start_daemon()
        node.wait_for_phase("Ready")
        node.run("systemctl", "reload", "nodemirrord")
        self.wait_for(lambda: "event=reload" in node.journal(lines=1000), "it reloads")
        second = node.run("nodemirrord", "--once", check=False)
        self.assertEqual(second.returncode, 2)
        self.assertIn("another nodemirrord is using it", second.stderr)

    def test_the_socket(self):
        node = self.ready()

        def curl(path, *options):
            done = node.run("curl", "-s", "-m", "20", "-w", "\n%{http_code} %{content_type}",
                            "--unix-socket", SOCKET, *options, f"http://localhost{path}")
            body, _, last = done.stdout.rpartition("\n")
            code, _, kind = last.partition(" ")
            return int(code), kind, body
        self.assertEqual(curl("/healthz")[0], 200)
        self.assertEqual(curl("/readyz")[0], 200)
        code, kind, body = curl("/v1/status")
        self.assertEqual((code, kind), (200, "application/json"))
        self.assertEqual(json.loads(body)["apiVersion"], "nodemirrord/v1")
        code, kind, body = curl("/metrics")
        self.assertIn('nodemirrord_phase{phase="Ready"} 1', body)
        self.assertEqual(curl("/v1/plan")[0], 200)
        code, kind, body = curl("/nope")
        self.assertEqual((code, kind), (404, "application/problem+json"))
        self.assertEqual(json.loads(body)["status"], 404)
        self.assertEqual(curl("/v1/reconcile")[0], 405)
        odd = node.run("python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); "
                       f"s.connect('{SOCKET}'); s.sendall(b'no http at all' + bytes([13, 10]) * 2); "
                       "print(s.recv(4096).decode())").stdout
        self.assertIn("400 Bad Request", odd)
        code, _, body = curl("/v1/reconcile", "-X", "POST")
        self.assertEqual((code, json.loads(body)["status"]["phase"]), (200, "Ready"))
        self.assertEqual(node.sh(f"stat -c '%a %U:%G' {SOCKET}").strip(), "660 root:nodemirror")
        # A member of the group may read, and may not reconcile; others may not even ask.
        member = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "nodemirror"]
        asked = node.run(*member, "nodemirrorctl", "status", check=False)
        self.assertEqual(asked.returncode, 0, asked.stderr)
        refused = node.run(*member, "nodemirrorctl", "reconcile", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("only root", refused.stderr)
        stranger = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
        asked = node.run(*stranger, "nodemirrorctl", "status", check=False)
        self.assertEqual(asked.returncode, 3)
        self.assertIn("group nodemirror", asked.stderr)
        # One that stands still: who asked is told while waiting, and again at the end.
        node.run("systemctl", "kill", "--kill-who=main", "-s", "STOP", "nodemirrord")
        asked = node.run("nodemirrorctl", "status", check=False)
        node.run("systemctl", "kill", "--kill-who=main", "-s", "CONT", "nodemirrord")
        self.assertEqual((asked.returncode, asked.stdout), (3, ""))
        self.assertIn("has not answered yet; waiting up to 15 s", asked.stderr)
        self.assertIn("it does not answer", asked.stderr)
        self.assertEqual(node.run("nodemirrorctl", "status").stderr, "")

    def test_without_a_daemon(self):
        node = self.boot()
        done = node.run("nodemirrorctl", "status", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("systemctl status nodemirrord", done.stderr)
        self.assertEqual(node.run("nodemirrorctl", "no-such", check=False).returncode, 2)
        self.assertEqual(node.run("nodemirrorctl", "validate", "/nope", check=False).returncode, 2)
        self.assertEqual(node.run("nodemirrorctl", "inspect", "/nope", check=False).returncode, 2)
        self.assertEqual(node.run("nodemirrord", "--nope", check=False).returncode, 2)
