"""Runs in a test node: HTTP and HTTPS servers on loopback that write down every request and answer
404, so that containerd goes on to the next host of its chain.
Arguments: the log, a certificate and its key, then ports as http:80 or https:443."""
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log, certificate, key = sys.argv[1:4]
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        with lock, open(log, "a") as out:
            out.write(f"{self.command} {self.server.scheme}://{self.headers['Host']}{self.path}\n")
        body = b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = answer

    def handle_one_request(self):
        # A TLS client on plain HTTP is told so in HTTP, as registries do; it may then fall back.
        if self.server.scheme == "http" and self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def log_message(self, *ignored):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *ignored):
        pass


for place in sys.argv[4:]:
    scheme, port = place.split(":")
    server = Server(("127.0.0.1", int(port)), Handler)
    server.scheme = scheme
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
open(log, "w").close()
threading.Event().wait()
