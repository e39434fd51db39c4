"""What every test node shares: a CA and a server certificate, a pause image, and a registry's
storage that holds it under the names that a node asks for."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path

HOSTS = ["docker.m.daocloud.io", "registry.aliyuncs.com", "mirror.example", "localhost"]
PAUSE_TAGS = ["3.6", "3.8", "3.10", "3.10.1", "3.10.2"]

PAUSE_SOURCE = """
#include <signal.h>
#include <unistd.h>
static void end(int number) { (void)number; _exit(0); }
int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (;;) pause();
}
"""


def _run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, capture_output=True, **options)


def make_server_certificate(ca, directory, names, file="server", days="3650"):
    """FILE.crt and FILE.key in `directory`, for these names, from the CA in `ca`."""
    _run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=test server", "-keyout", directory / f"{file}.key",
         "-out", directory / "server.csr")
    listed = ",".join([f"DNS:{name}" for name in names] + ["IP:127.0.0.1"])
    (directory / "san").write_text(f"subjectAltName={listed}\n")
    _run("openssl", "x509", "-req", "-in", directory / "server.csr", "-CA", ca / "ca.crt",
         "-CAkey", ca / "ca.key", "-CAcreateserial", "-CAserial", directory / "serial",
         "-days", days, "-extfile", directory / "san", "-out", directory / f"{file}.crt")


def make_ca(directory):
    _run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "3650", "-subj", "/CN=Test CA", "-keyout", directory / "ca.key",
         "-out", directory / "ca.crt")


def make_certificates(directory):
    """ca.crt, server.crt and server.key for HOSTS; and certificates that nobody should take."""
    make_ca(directory)
    make_server_certificate(directory, directory, HOSTS)
    make_server_certificate(directory, directory, HOSTS, "expired", "-1")
    other = directory / "other"
    other.mkdir()
    make_ca(other)
    make_server_certificate(other, directory, HOSTS, "unknown-ca")
    _run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=mirror.example", "-keyout", directory / "wrong-name.key",
         "-out", directory / "server.csr")
    (directory / "san").write_text("subjectAltName=DNS:elsewhere.example\n")
    _run("openssl", "x509", "-req", "-in", directory / "server.csr", "-CA", directory / "ca.crt",
         "-CAkey", directory / "ca.key", "-CAserial", directory / "serial", "-days", "3650",
         "-extfile", directory / "san", "-out", directory / "wrong-name.crt")


def _digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layer(binary):
    """A gzipped layer with one file, /pause, and the digest of what is in the gzip."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(binary), 0o755
        tar.addfile(entry, io.BytesIO(binary))
    return gzip.compress(raw.getvalue(), mtime=0), _digest(raw.getvalue())


class Pusher:
    """Pushes to a registry on plain HTTP."""

    def __init__(self, base):
        self.base = base

    def _send(self, method, url, data=None, kind="application/octet-stream"):
        request = urllib.request.Request(url, data=data, method=method,
                                         headers={"Content-Type": kind})
        return urllib.request.urlopen(request, timeout=10)

    def blob(self, repository, data):
        location = self._send("POST", f"{self.base}/v2/{repository}/blobs/uploads/",
                              b"").headers["Location"]
        if location.startswith("/"):
            location = self.base + location
        joint = "&" if "?" in location else "?"
        self._send("PUT", f"{location}{joint}digest={_digest(data)}", data)

    def image(self, repository, tags, binary, note):
        layer, diff = _layer(binary)
        config = json.dumps({"architecture": "amd64", "os": "linux",
                             "config": {"Entrypoint": ["/pause"], "Labels": {"note": note}},
                             "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode()
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                       "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer), "digest": _digest(layer)}]}).encode()
        self.blob(repository, layer)
        self.blob(repository, config)
        for tag in tags:
            self._send("PUT", f"{self.base}/v2/{repository}/manifests/{tag}", manifest, kind)


def _fill_registry(directory, binary):
    """Runs a registry on loopback for as long as it takes to push the images."""
    config = directory / "fill.yml"
    config.write_text(f"""version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory / 'registry'}}}}}
http: {{addr: 127.0.0.1:0}}
""")
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    server = subprocess.Popen(["docker-registry", "serve", str(config)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        base = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(base + "/v2/", timeout=2)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        pusher = Pusher(base)
        for tag in PAUSE_TAGS:
            pusher.image("google_containers/pause", [tag], binary, f"pause {tag}")
            pusher.image("pause", [tag], binary, f"pause {tag}")
        pusher.image("library/app", ["1.0", "latest"], binary, "app")
    finally:
        server.terminate()
        server.wait()


def fixtures(cache):
    """The directory of the fixtures, made when it is not there."""
    target = Path(cache) / "fixtures"
    if (target / "done").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    make_certificates(target)
    (target / "pause.c").write_text(PAUSE_SOURCE)
    _run("gcc", "-Os", "-static", "-o", target / "pause", target / "pause.c")
    _run("strip", target / "pause")
    _fill_registry(target, (target / "pause").read_bytes())
    (target / "done").touch()
    return target


def staged(build, cache):
    """The build installed as its users would install it, in a directory of its own."""
    target = Path(cache) / "stage"
    shutil.rmtree(target, ignore_errors=True)
    _run("cmake", "--install", build, "--prefix", "/usr", "--strip",
         env={**os.environ, "DESTDIR": str(target)})
    return target
