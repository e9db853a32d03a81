"""A run's report for browsers of this machine, loaded anew as the run goes on; nothing can be written."""

import ipaddress
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fedvsr_core.errors import CheckpointError, ConfigurationError
from server_app.page.run_page import run_page
from server_app.records.journal import read_checked
from server_app.records.run_dir import RunDir

_POLL_S, _KEEP_ALIVE_S = 0.5, 10.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Watcher(ThreadingHTTPServer):
    """Serves the page of a run at ``/``, and at ``/events`` word of each new version of it.

    Args:
        run: The run.
        host: An address of this machine. One that isn't loopback lets everyone in who can reach it.
        port: 0 for any that is free.

    Attributes:
        address: Where a browser finds it.

    Raises:
        ConfigurationError: If the address can't be listened at.
    """

    daemon_threads = True

    def __init__(self, run: RunDir, host: str, port: int) -> None:
        self.run = run
        self.names = _names(host)
        self._lock = threading.Lock()
        self._made: tuple[str, bytes] = ("", b"")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"the report can't be served at '{host}', port {port}: {error}; give another --host or --port"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.server_port}/"

    def version(self) -> str:
        """What tells this state of the run from the next."""
        about = self.run.journal.stat()
        return f"{about.st_size}-{about.st_mtime_ns}-{self.run.is_locked()}"

    def page(self) -> bytes:
        """The page as of now; made once for each version.

        Raises:
            CheckpointError: If the journal is damaged.
        """
        with self._lock:
            version = self.version()
            if version != self._made[0]:
                running, lines = self.run.is_locked(), read_checked(self.run.journal)
                self._made = version, run_page(lines, self.run, running=running, live=version)
            return self._made[1]


class _Handler(BaseHTTPRequestHandler):
    server: Watcher
    protocol_version = "HTTP/1.0"
    server_version = "fedvsr"
    sys_version = ""

    def do_GET(self) -> None:
        if not self._is_asked_by_name():
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"this report is at another address\n", "text/plain")
        elif self.path == "/":
            self._page()
        elif self.path == "/events":
            self._events()
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"the report is at /\n", "text/plain")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *words: object) -> None:
        """Nothing: a terminal has better to show."""

    def _is_asked_by_name(self) -> bool:
        """Whether the browser means this server: a foreign page can point a name of its own here."""
        name = self.headers.get("Host", "").rsplit(":", 1)[0] if self.headers.get("Host") else ""
        return self.server.names is None or name in self.server.names

    def _page(self) -> None:
        try:
            self._answer(HTTPStatus.OK, self.server.page(), "text/html; charset=utf-8")
        except (CheckpointError, OSError) as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode(), "text/plain; charset=utf-8")

    def _events(self) -> None:
        self._begin(HTTPStatus.OK, "text/event-stream")
        told, said_at = "", 0.0
        try:
            while self.command == "GET":
                version = self.server.version()
                if version != told:
                    self.wfile.write(f"data: {version}\n\n".encode())
                    told, said_at = version, time.monotonic()
                elif time.monotonic() - said_at > _KEEP_ALIVE_S:
                    self.wfile.write(b": still here\n\n")
                    said_at = time.monotonic()
                time.sleep(_POLL_S)
        except OSError:  # the browser has gone, or the run's directory
            return

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self._begin(status, kind, len(content))
        if self.command == "GET":
            self.wfile.write(content)

    def _begin(self, status: HTTPStatus, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


def _names(host: str) -> frozenset[str] | None:
    """What a browser may call a server at this address; None where whoever runs it lets others in."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigurationError(f"--host must be an IP address or localhost, got '{host}'") from error
    return frozenset({"localhost", "127.0.0.1", "[::1]", host}) if loopback else None
