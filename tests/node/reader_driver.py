"""Runs in a test node: for every layout, lets the real containerd pull and compares the requests
that the servers saw with what `nodemirrorctl inspect` says.
Arguments: a JSON file of the layouts, containerd's version, the CRI probe."""
import json
import os
import posixpath
import shutil
import subprocess
import sys
import time
from urllib.parse import urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import layouts  # noqa: E402

NAMES = set(layouts.ALL_NAMES + ["localhost", "127.0.0.1"])
TLS_PORTS = (443, 5443)
CERTS = "/etc/containerd/certs.d"
LOG = "/run/requests.log"
cases, version, probe = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
ca = open("/etc/nodetest/ca.crt").read()


def lay(tree):
    shutil.rmtree(CERTS, ignore_errors=True)
    os.makedirs(CERTS)
    for path, content in tree.items():
        full = f"{CERTS}/{path}"
        if content is None:
            os.makedirs(full)
            continue
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if isinstance(content, list):
            os.symlink(content[1], full)
        else:
            with open(full, "w", newline="") as out:
                out.write(ca if content == "CA" else content)


def inspect(registry):
    done = subprocess.run(["nodemirrorctl", "inspect", "-o", "json", CERTS, registry,
                           "--containerd", version], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"inspect: {done.stderr}")
    return json.loads(done.stdout)


def expected(said, registry):
    """The requests for a tag that follow from what inspect says, in order."""
    if said["error"]:
        return []
    out = []
    for host in said["hosts"]:
        if not {"pull", "resolve"} <= set(host["capabilities"]):
            continue
        url = urlsplit(host["url"])
        if url.scheme not in ("http", "https") or not url.netloc:
            continue  # nothing can be asked there
        scheme = url.scheme
        if url.hostname not in NAMES:
            continue  # a slip in the name: it resolves to nothing
        tls = host["skipVerify"] or host["ca"] or host["client"] or any(
            warning.startswith(host["url"] + " has TLS options") for warning in said["warnings"])
        # 1.7 and later try https first where TLS options stand on http and the port is not 80, and
        # fall back to http where the port does not speak TLS.
        if scheme == "http" and tls and not version.startswith("1.6.") and url.port != 80:
            scheme = "https" if (url.port or 443) in TLS_PORTS else "http"
        if scheme == "http" and url.port in TLS_PORTS:
            continue  # plain HTTP to a port that speaks TLS: no server sees a request
        path = posixpath.join(url.path, "some/repo/manifests/tag")
        upstream = registry == "docker.io" and url.netloc == "registry-1.docker.io"
        query = "" if url.netloc == registry or upstream else f"?ns={registry}"
        out.append((scheme, url.netloc, path.lstrip("/"), query))
    return out


def seen():
    """The requests as the servers saw them; how often the last is repeated is not compared."""
    out = []
    for line in open(LOG):
        method, url = line.split()
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        if method == "HEAD":
            out.append((parts.scheme, parts.netloc, parts.path.lstrip("/"),
                        query.replace("%3A", ":")))
    return out


def wait_for_cri():
    end = time.monotonic() + 60
    while subprocess.run([probe, "status"], capture_output=True).returncode != 0:
        if time.monotonic() > end:
            sys.exit("CRI did not come back")


differing, counts = [], {"asked": 0, "error": 0, "ignored": 0, "crash": 0}
for index, (registry, tree) in enumerate(cases):
    lay(tree)
    said = inspect(registry)
    if "itself dies" in said["error"]:
        if counts["crash"] >= 3:
            continue  # a restart each
        counts["crash"] += 1
    elif said["error"]:
        counts["error"] += 1
    elif said["ignored"]:
        counts["ignored"] += 1
    else:
        counts["asked"] += 1
    open(LOG, "w").close()
    pulled = subprocess.run([probe, "pull", f"{registry}/some/repo:tag"], capture_output=True,
                            text=True)
    wanted, got = expected(said, registry), seen()
    died = "Socket closed" in pulled.stderr or "Connection re" in pulled.stderr
    if died != ("itself dies" in said["error"]) or wanted != got:
        differing.append({"index": index, "registry": registry, "tree": tree, "inspect": said,
                          "wanted": wanted, "seen": got, "pull": pulled.stderr[-300:]})
    if died:
        wait_for_cri()
print(json.dumps({"counts": counts, "differing": differing}))
