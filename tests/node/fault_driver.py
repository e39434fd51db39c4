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
    (r"in header not a valid digest", "invalid-digest"),
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
    (r"rejecting \d+ byte manifest", "too-large"),
    (r"no match for platform|expected index but found|unexpected media type|invalid character|media type", "image"),
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
    if message.startswith("deadline: "):
        return "hang"
    sizes = re.search(r"failed size validation: (\d+) != (\d+)", message)
    if sizes and int(sizes.group(1)) > int(sizes.group(2)):
        return "digest-mismatch"  # something else than what was asked for
    return next((name for pattern, name in CLASSES if re.search(pattern, message)), message)


def words(text):
    """An error without what differs between the two pulls of a case: they are of two repositories.
    What no look from outside can know goes too: local ports, what Go makes of a CA's name."""
    text = text.split(" desc = ")[-1]
    text = re.sub(r"(app|told)(/|%2F)(f\d{3})", r"app\2\3", text)
    text = re.sub(r"read tcp [^ ]*: read", "read tcp: read", text)
    text = re.sub(r"[0-9a-f]{64}|\d\d:\d\d:\d\dZ", "…", text)
    text = re.sub(r"(unknown authority) \(.*\)", r"\1", text)
    # Layers are compressed noise of each repository: their sizes differ by a few bytes.
    return re.sub(r"expected \d+ bytes but got \d+", "expected … bytes but got …", text)


def host_name(kind):
    kind = kind.rstrip("!")
    return "nowhere.invalid" if kind == "dns" else f"mirror.example:{PORT[kind]}"


def pull(index, case):
    """What the real containerd does."""
    registry = f"f{index:03}.test"
    endless = any(kind.rstrip("!") in ENDLESS for kind in case)
    limit, began = 4 if endless else 60, time.monotonic()
    done = subprocess.run([probe, "pull", f"{registry}/app/{registry[:4]}:1", str(limit)],
                          capture_output=True, text=True)
    # Either side may be the first to end a call at its deadline, each in words of its own.
    late = done.returncode != 0 and time.monotonic() - began >= limit
    return done.returncode == 0, ("deadline: " if late else "") + done.stderr.strip()


def explain(indexes):
    """What is expected, for several at once."""
    done = subprocess.run(["nodemirrorctl", "explain", "-o", "json", "--timeout", "2s", "--full"] +
                          [f"f{index:03}.test/told/f{index:03}:1" for index in indexes],
                          capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"explain: {done.returncode} {done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def resolvers():
    """By registry: the mirror that last gave containerd the manifest of the tag."""
    out = {}
    for line in open(LOG):
        kind, method, path, status = line.split()
        found = re.match(r"/v2/app/f\d+/manifests/1\?ns=(f\d+\.test)$", path)
        if found and status == "200":
            out[found.group(1)] = host_name(kind)
    return out


cases = fault_cases.cases()
for number, chain in enumerate(cases):
    lay(number, chain)
with concurrent.futures.ThreadPoolExecutor(6) as pool:
    half = len(cases) // 2
    told = [pool.submit(explain, range(half)), pool.submit(explain, range(half, len(cases)))]
    pulled = list(pool.map(pull, range(len(cases)), cases))
explained = told[0].result() + told[1].result()
resolved, judged = resolvers(), []
for index, case in enumerate(cases):
    (works, message), verdict = pulled[index], explained[index]["verdict"]
    real = {"works": works, "class": "" if works else classify(message)}
    said = {"works": verdict["works"], "class": verdict["class"]}
    if works:
        real["host"], said["host"] = resolved.get(f"f{index:03}.test"), verdict["host"]
    # 2.x leaves the body of a refusal out of its error: explain knows more than it tells.
    if real["class"] == "forbidden" and said["class"] == "denied" and "blobs-denied" in case:
        said["class"] = "forbidden"
    judged.append({"case": case, "real": real, "told": said, "message": message,
                   "kubelet": verdict["kubeletError"]})
# Where nothing answers there is no error, Go's resolver has words of its own, and whether a
# connection that is reset is seen as such or as ended is a race.
speechless = ("hang", "dns", "reset")
print(json.dumps({"otherWords": [[item["case"], words(item["message"]), words(item["kubelet"])]
                                 for item in judged if not item["real"]["works"] and
                                 item["real"]["class"] not in speechless and
                                 words(item["message"]) != words(item["kubelet"])],
                  "cases": len(cases), "works": sum(item["real"]["works"] for item in judged),
                  "differing": [item for item in judged if item["real"] != item["told"]],
                  "judged": judged}))
