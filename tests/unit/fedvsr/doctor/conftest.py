"""A server on loopback that speaks TLS, and keys and certificates for it."""

import ssl
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from fedvsr.deploy.certificates import issue, make_authority


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.end_headers()

    def do_POST(self):
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def authority(tmp_path):
    """Private key and certificate of an authority."""
    pair = tmp_path / "ca.key", tmp_path / "ca.crt"
    make_authority(*pair)
    return pair


@pytest.fixture
def serve(tmp_path, authority):
    """Starts a server, and yields its port."""

    @contextmanager
    def start(hosts=("127.0.0.1",), *, tls=True, status=403):
        server = HTTPServer(("127.0.0.1", 0), Answers)
        server.status = status
        if tls:
            key, certificate = tmp_path / "server.key", tmp_path / "server.crt"
            issue(key, certificate, authority=authority, hosts=hosts)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    return start
