"""kill -9 at any moment: the next start converges, and nothing of the user's is lost."""
from case import CERTS, DESIRED, NodeCase

# Runs in the node: many applies, each killed at a random instant, between two desired states that
# take over and give back files of the user's.
SCRIPT = r"""
import os, random, signal, subprocess, sys, time
certs, wanted = sys.argv[1], int(sys.argv[2])
random.seed(int(sys.argv[3]))
states = {name: open(f"/root/{name}.yaml").read() for name in ("with", "without")}
mine = {f"r{i}.example": f"# mine {i}\n[host.\"https://old{i}.example\"]\n" for i in range(6)}
def started():
    return subprocess.Popen(["nodemirrord", "--once"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
began = time.monotonic()
started().wait()
whole = time.monotonic() - began  # what an apply takes at most: the first has the most to do
killed, tried = 0, 0
while killed < wanted:
    tried += 1
    if tried > 10 * wanted:
        sys.exit(f"of {tried - 1} applies, {killed} could be killed before they ended")
    name = random.choice(["with", "without"])
    with open("/etc/nodemirrord/new", "w") as out:
        out.write(states[name])
    os.rename("/etc/nodemirrord/new", "/etc/nodemirrord/desired.yaml")
    child = started()
    try:
        child.wait(timeout=random.uniform(0, whole))
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        killed += 1
        child.wait()
    for registry, text in mine.items():
        path = f"{certs}/{registry}/hosts.toml"
        found = open(path).read()
        if found != text and "Written by nodemirrord" not in found:
            sys.exit(f"try {tried}: {path} holds {found!r}")
        if not found.endswith("\n"):
            sys.exit(f"try {tried}: {path} is torn: {found!r}")
print(killed, tried)
"""


def registries(names):
    return "".join(f"  {name}:\n    mirrors:\n      - url: https://mirror.example\n"
                   for name in names)


class Crash(NodeCase):
    def test_kill_at_random_instants(self):
        node = self.boot()
        mine = {f"r{i}.example": f'# mine {i}\n[host."https://old{i}.example"]\n' for i in range(6)}
        for registry, text in mine.items():
            node.write(f"{CERTS}/{registry}/hosts.toml", text)
        with_all = DESIRED.replace("registries:\n", "registries:\n" + registries(mine))
        node.write("/root/with.yaml", with_all)
        node.write("/root/without.yaml", DESIRED)
        node.desire(DESIRED)
        node.run("env", "ASAN_OPTIONS=detect_leaks=0", "python3", "-c", SCRIPT, CERTS,
                 "25", "7", timeout=240)
        node.desire(with_all)
        node.start_daemon()
        node.wait_for_phase("Ready")
        for registry in mine:
            self.assertIn("mirror.example", node.read(f"{CERTS}/{registry}/hosts.toml"))
        node.desire(DESIRED)
        for registry, text in mine.items():
            self.wait_for(lambda: node.read(f"{CERTS}/{registry}/hosts.toml") == text,
                          f"the user's file of {registry} is back")
        left = node.sh(f"find {CERTS} /etc/containerd /var/lib/nodemirrord -name '.nodemirrord-*'")
        self.assertEqual(left, "", "no temporary file is left")
