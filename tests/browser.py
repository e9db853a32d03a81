"""A headless Chromium, driven by its own protocol: what a page shows, says, asks for and lets a person do."""

import base64
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0")


class Page:
    """One open page.

    Attributes:
        requests: Addresses that the page has asked for, its own file and pictures inside it left out.
        complaints: What it wrote to the console as an error or a warning, and what it threw.
    """

    def __init__(self, socket):
        self._socket, self._number = socket, 0
        self._events = []
        self.requests, self.complaints = [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=120))
            if said.get("id") == self._number:
                assert "error" not in said, said["error"]
                return said["result"]
            self._hear(said)

    def _hear(self, said):
        self._events.append(said["method"])
        about = said["params"]
        if said["method"] == "Network.requestWillBeSent":
            address = about["request"]["url"]
            if not address.startswith(("data:", "file:")):
                self.requests.append(address)
        elif said["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(about["exceptionDetails"])[:600])
        elif said["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(about["args"])[:600])
        elif said["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"]["text"])

    def open(self, address):
        self._events.clear()
        self.call("Page.navigate", url=address)
        end = time.monotonic() + 60
        while "Page.loadEventFired" not in self._events:
            assert time.monotonic() < end, f"{address} doesn't load"
            self.call("Runtime.evaluate", expression="0")
        return self

    def ask(self, expression):
        """The value of an expression in the page; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression, timeout_s=60):
        """Until an expression is true."""
        end = time.monotonic() + timeout_s
        while not self.ask(expression):
            assert time.monotonic() < end, f"it never came true: {expression}"
            time.sleep(0.1)

    def press(self, key, code=None):
        codes = {"Tab": 9, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, " ": 32}
        about = {"key": key, "code": code or key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": " "} if key == " " else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def point(self, x, y):
        """Move the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def resize(self, width, height=900, *, phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )

    def dark(self, *, on=True):
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, path: Path, *, whole=True):
        """Take a screenshot."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def faults(self):
        """What axe finds, as (impact, rule, where)."""
        import axe_core_python

        script = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
        self.call("Page.setBypassCSP", enabled=True)
        self.call("Runtime.evaluate", expression=script)
        found = self.ask("axe.run().then(all => JSON.stringify(all.violations))")
        return [
            (fault["impact"], fault["id"], fault["nodes"][0]["html"][:200]) for fault in json.loads(found)
        ]


@contextmanager
def browsed(profile: Path):
    """A page in a new browser; the test is skipped where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine; apt-get install chromium")
    browser = subprocess.Popen(
        [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(profile / "DevToolsActivePort")
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (target,) = [tab for tab in json.load(answer) if tab["type"] == "page"]
        with connect(target["webSocketDebuggerUrl"], max_size=None, ping_interval=None) as socket:
            yield Page(socket)
    finally:
        browser.terminate()
        browser.wait(60)


def _port(file: Path) -> int:
    end = time.monotonic() + 60
    while not (file.is_file() and file.read_text().strip()):
        assert time.monotonic() < end, "Chromium doesn't start"
        time.sleep(0.1)
    return int(file.read_text().split()[0])
