"""Runs in a test node: for every chain of faulty mirrors, lets the real containerd pull through it
and asks `nodemirrorctl explain` what it expects.
Arguments: the CRI probe, the certificates' directory."""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import fault_cases  # noqa: E402
from faulty_registry import PORT  # noqa: E402

CERTS, LOG = "/etc/containerd/certs.d", "/run/mirrors.log"
probe, certificates = sys.argv[1:3]
ENDLESS = set(fault_cases.ENDLESS)

# What containerd says, and the class that it stands for; the first that matches counts.
CLASSES = [
    (r"insufficient_scope", "denied"),
    (r"server message: denied|: 403 Forbidden - Server message: denied", "denied"),
    (r"no basic auth credentials|fetch anonymous token: unexpected status", "unauthorized"),
    (r"certificate has expired", "certificate-expired"),
    (r"certificate is valid for|not valid for any names", "certificate-name"),
    (r"certificate signed by unknown authority", "certificate-authority"),
    (r"server gave HTTP response", "plain-http"),
    (r"no such host|lookup .*:|server misbehaving|Temporary failure in name", "dns"),
    (r"connection refused", "refused"),
    (r"stopped after 10 redirects", "protocol"),
    (r"unexpected commit digest|failed to validate|digest mismatch", "digest-mismatch"),
    (r"unexpected EOF|unexpected commit size|failed size validation|short read", "truncated"),
    (r"connection reset|EOF", "reset"),
    (r"401 Unauthorized", "unauthorized"),
    (r"Server message: denied|DENIED", "denied"),
    (r"403 Forbidden", "forbidden"),
    (r"429 Too Many", "rate-limited"),
    (r"50[0-9] [A-Z]", "server-error"),
    (r"[Dd]eadline", "hang"),
    (r"no match for platform|unexpected media type|invalid character|media type", "image"),
    (r"not found", "not-found"),
]


def lay(index, case):
    directory = f"{CERTS}/f{index:03}.test"
    os.makedirs(directory)
    ca = f'ca = "{certificates}/ca.crt"\n'

    def url(kind):
        kind = kind.rstrip("!")
        if kind == "dns":
            return "https://nowhere.invalid"
        return f"https://mirror.example:{PORT[kind]}"

    def capabilities(kind):
        return 'capabilities = ["pull"]\n' if kind.endswith("!") else ""
    text = f'server = "{url(case[-1])}"\n{ca}'
    for kind in case[:-1]:
        text += f'[host."{url(kind)}"]\n{ca}{capabilities(kind)}'
    if len(case) == 1:
        text += "[host]\n"
    with open(f"{directory}/hosts.toml", "w") as out:
        out.write(text)


def classify(message):
    return next((name for pattern, name in CLASSES if re.search(pattern, message)), message)


def host_name(kind):
    kind = kind.rstrip("!")
    return "nowhere.invalid" if kind == "dns" else f"mirror.example:{PORT[kind]}"


def judge(index, case):
    registry = f"f{index:03}.test"
    endless = any(kind.rstrip("!") in ENDLESS for kind in case)
    pull = subprocess.Popen([probe, "pull", f"{registry}/app:1", "4" if endless else "30"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = subprocess.run(["nodemirrorctl", "explain", "-o", "json", "--timeout", "2s", "--full",
                           f"{registry}/told:1"], capture_output=True, text=True)
    message = pull.communicate()[1]
    if said.returncode not in (0, 1):
        return {"index": index, "case": case, "explain": said.stderr}
    explained = json.loads(said.stdout)
    verdict = explained["verdict"]
    works = pull.returncode == 0
    real = {"works": works, "class": "" if works else classify(message)}
    told = {"works": verdict["works"], "class": verdict["class"]}
    return {"index": index, "case": case, "real": real, "told": told, "message": message.strip(),
            "kubelet": verdict["kubeletError"], "host": verdict["host"]}


def resolvers():
    """By registry: the mirror that last gave containerd the manifest of the tag."""
    out = {}
    for line in open(LOG):
        kind, method, path, status = line.split()
        found = re.match(r"/v2/app/manifests/1\?ns=(f\d+\.test)$", path)
        if found and status == "200":
            out[found.group(1)] = host_name(kind)
    return out


cases = fault_cases.cases()
for number, chain in enumerate(cases):
    lay(number, chain)
with concurrent.futures.ThreadPoolExecutor(6) as pool:
    judged = list(pool.map(judge, range(len(cases)), cases))
resolved = resolvers()
for item in judged:
    if item.get("real", {}).get("works"):
        item["real"]["host"] = resolved.get(f"f{item['index']:03}.test")
        item["told"]["host"] = item["host"]
differing = [item for item in judged if item.get("real") != item.get("told") or "real" not in item]
print(json.dumps({"cases": len(cases), "works": sum(item["real"]["works"] for item in judged if "real" in item),
                  "differing": differing, "judged": judged}))
