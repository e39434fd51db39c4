"""Runs in a test node: mirrors on loopback, one kind of trouble a port (KINDS). All serve the same
image for a repository, made from its name, so that every pull has blobs that are new to containerd.
The moody one behaves as the kind that stands in the file /run/mood.
Arguments: the log of answers, and the directory of the certificates."""
import gzip
import hashlib
import io
import json
import socket
import ssl
import struct
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Every kind of mirror, on the port 7100 + its index.
KINDS = ["good", "refuse", "reset", "hang", "token", "denied", "basic", "bare401", "token-refused",
         "token-hangs", "forbidden", "missing", "limited", "broken500", "broken503", "expired",
         "wrong-name", "unknown-ca", "plain", "no-digest", "no-head", "redirect", "redirect-loop",
         "blobs-denied", "blobs-missing", "blobs-500", "short-layer", "cut-layer", "wrong-layer",
         "wrong-manifest", "wrong-config", "trickle", "layer-hangs", "index", "other-platform",
         "huge-manifest", "not-json", "moody", "tag-hangs", "bad-digest", "twice", "interim"]
PORT = {kind: 7100 + index for index, kind in enumerate(KINDS)}
TOKEN_PORT = 7099
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
LAYER_SIZE = 150000  # more than one ranged read


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Image:
    """The blobs and manifests of one repository."""

    def __init__(self, repository):
        noise = b"".join(hashlib.sha256(f"{repository} {n}".encode()).digest()
                         for n in range(LAYER_SIZE // 32))
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            entry = tarfile.TarInfo("noise")
            entry.size = len(noise)
            tar.addfile(entry, io.BytesIO(noise))
        self.layer = gzip.compress(raw.getvalue(), mtime=0)
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                                  "rootfs": {"type": "layers",
                                             "diff_ids": [digest(raw.getvalue())]}}).encode()
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                       "size": len(self.config), "digest": digest(self.config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(self.layer), "digest": digest(self.layer)}]}).encode()
        self.blobs = {digest(self.layer): self.layer, digest(self.config): self.config}

    def index(self, architecture):
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "size": len(self.manifest), "digest": digest(self.manifest),
             "platform": {"os": "linux", "architecture": architecture}}]}).encode()


images, lock = {}, threading.Lock()


def image_of(repository):
    with lock:
        if repository not in images:
            images[repository] = Image(repository)
        return images[repository]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *ignored):
        pass

    def note(self, status):
        with lock, open(sys.argv[1], "a") as out:
            out.write(f"{self.server.kind} {self.command} {self.path} {status}\n")

    def reply(self, status, body=b"", headers=None, limit=None):
        self.note(status)
        kind = self.kind()
        if kind == "interim":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </v2/>\r\n\r\n")
        self.send_response(status)
        sent = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in sent.items():
            if value is not None:
                self.send_header(name, value)
            if kind == "twice" and value is not None:
                self.send_header(name, value if name == "Content-Length" else "another")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if limit is None else body[:limit])
        if limit is not None:
            self.close_connection = True

    def refuse(self, status, code, headers=None):
        body = json.dumps({"errors": [{"code": code, "message": "no"}]}).encode()
        self.reply(status, body, {"Content-Type": "application/json", **(headers or {})})

    def challenge(self, extra=""):
        realm = f"http://127.0.0.1:{TOKEN_PORT}/{self.kind()}"
        self.refuse(401, "UNAUTHORIZED",
                    {"WWW-Authenticate": f'Bearer realm="{realm}",service="test"{extra}'})

    def do_HEAD(self):
        self.do_GET()

    def kind(self):
        if self.server.kind != "moody":
            return self.server.kind
        try:
            return open("/run/mood").read().strip()
        except OSError:
            return "good"

    def do_GET(self):
        kind = self.kind()
        if kind == "hang":
            time.sleep(600)
        if kind in ("broken500", "broken503"):
            return self.refuse(int(kind[-3:]), "UNKNOWN")
        if kind == "limited":
            return self.refuse(429, "TOOMANYREQUESTS")
        if kind == "forbidden":
            return self.refuse(403, "FORBIDDEN")
        if kind == "bare401":
            return self.refuse(401, "UNAUTHORIZED")
        if kind == "basic":
            return self.refuse(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="here"'})
        authorized = self.headers.get("Authorization") == "Bearer good"
        if kind in ("token", "token-refused", "token-hangs") and not authorized:
            return self.challenge()
        if kind == "denied":
            return self.challenge(',error="insufficient_scope"' if authorized else "")
        path = urlsplit(self.path).path
        if path == "/v2/":
            return self.reply(200, b"{}")
        parts = path.split("/")
        repository, what, name = "/".join(parts[2:-2]), parts[-2], parts[-1]
        if kind == "missing":
            return self.refuse(404, "MANIFEST_UNKNOWN")
        image = image_of(repository)
        if what == "manifests":
            return self.manifest(kind, image, name)
        return self.blob(kind, image, name)

    def manifest(self, kind, image, name):
        if kind == "tag-hangs" and not name.startswith("sha256:"):
            time.sleep(600)
        if kind == "no-head" and self.command == "HEAD":
            return self.refuse(405, "UNSUPPORTED")
        body, media = image.manifest, MANIFEST
        top = {"index": image.index("amd64"), "other-platform": image.index("s390x")}.get(kind)
        if top is not None and name in ("1", digest(top)):
            body, media = top, INDEX
        if kind == "not-json":
            body = b"<html>log in to the hotel's network</html>"
            media = MANIFEST
        if name not in ("1", digest(body)) and kind != "wrong-manifest":
            return self.refuse(404, "MANIFEST_UNKNOWN")
        headers = {"Content-Type": media, "Docker-Content-Digest": digest(body)}
        if kind == "no-digest":
            headers["Docker-Content-Digest"] = None
        if kind == "bad-digest":
            headers["Docker-Content-Digest"] = "../../../../admin/purge"
        if kind == "wrong-manifest" and name != "1":
            body = body[:-1] + b" }"
        if kind == "huge-manifest":
            body = b" " * (5 << 20)
        self.reply(200, body, headers)

    def blob(self, kind, image, name):
        if name not in image.blobs or kind == "blobs-missing":
            return self.refuse(404, "BLOB_UNKNOWN")
        if kind == "blobs-denied":
            return self.refuse(403, "DENIED")
        if kind == "blobs-500":
            return self.refuse(500, "UNKNOWN")
        if kind == "redirect":
            return self.reply(307, b"", {"Location": f"https://mirror.example:{PORT['good']}{self.path}"})
        if kind == "redirect-loop":
            return self.reply(307, b"", {"Location": self.path})
        body = image.blobs[name]
        layer = body is image.layer
        if kind == "wrong-layer" and layer:
            body = body[:100] + b"\0\0\0\0" + body[104:]
        if kind == "wrong-config" and not layer:
            body = body.replace(b"amd64", b"amd46")
        if kind == "short-layer" and layer:
            body = body[:len(body) // 2]
        start, end, status = 0, len(body), 200
        headers = {"Content-Type": "application/octet-stream"}
        ranged = self.headers.get("Range", "")
        if ranged.startswith("bytes="):
            first, last = ranged[6:].split("-")
            start = int(first)
            end = min(end, int(last) + 1) if last else end
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
            status = 206
        part = body[start:end]
        if kind == "cut-layer" and layer:
            return self.reply(status, part, headers, limit=max(0, 20000 - start))
        if kind == "layer-hangs" and layer:
            self.reply(status, part, headers, limit=max(0, 20000 - start))
            time.sleep(600)
        if kind == "trickle" and layer:
            return self.trickle(status, part, headers)
        return self.reply(status, part, headers)

    def trickle(self, status, part, headers):
        self.note(status)
        self.send_response(status)
        for header, value in {"Content-Length": str(len(part)), **headers}.items():
            self.send_header(header, value)
        self.end_headers()
        step = len(part) // 8 + 1
        for at in range(0, len(part), step):
            self.wfile.write(part[at:at + step])
            self.wfile.flush()
            time.sleep(0.05)

    def handle_one_request(self):
        # A TLS client on plain HTTP is told so in HTTP, as registries do.
        if self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()


class TokenHandler(Handler):
    """The token service: /KIND tells for which mirror."""

    def do_GET(self):
        kind = urlsplit(self.path).path.strip("/")
        if kind == "token-refused":
            return self.refuse(401, "UNAUTHORIZED")
        if kind == "token-hangs":
            time.sleep(600)
        return self.reply(200, b'{"token":"good"}', {"Content-Type": "application/json"})


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, handler, kind):
        super().__init__(("127.0.0.1", port), handler)
        self.kind = kind

    def handle_error(self, *ignored):
        pass


def reset_all(listener):
    """Takes connections and resets each once something was said."""
    while True:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def secured(server, certificates, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificates}/{name}.crt", f"{certificates}/{name}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)


def main():
    certificates = sys.argv[2]
    threading.Thread(target=Server(TOKEN_PORT, TokenHandler, "tokens").serve_forever,
                     daemon=True).start()
    for kind in KINDS:
        if kind == "refuse":
            continue
        if kind == "reset":
            listener = socket.create_server(("127.0.0.1", PORT[kind]), backlog=128)
            threading.Thread(target=reset_all, args=(listener,), daemon=True).start()
            continue
        server = Server(PORT[kind], Handler, kind)
        if kind != "plain":
            secured(server, certificates,
                    kind if kind in ("expired", "wrong-name", "unknown-ca") else "server")
        threading.Thread(target=server.serve_forever, daemon=True).start()
    open(sys.argv[1], "w").close()
    threading.Event().wait()


if __name__ == "__main__":
    main()
