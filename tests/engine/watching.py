"""A run as people watch it while it goes on: in a terminal, and in a browser."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.browser import browsed
from tests.engine.conftest import LIMIT_S

REPOSITORY = Path(__file__).parents[2]
WATCH = (sys.executable, "-m", "fedvsr.cli.main", "watch")


class Watched:
    """What is seen of a run; waits are in vain only if the run is, too.

    Attributes:
        address: Where its page is.
        page: The page in a browser, opened once: what changes later, it loads by itself.
    """

    def __init__(self, address, page, terminal):
        self.address, self.page, self._terminal = address, page.open(address), terminal

    def says(self, *words):
        """Wait until the page's head has these words."""
        self._until(lambda: all(word in self._head() for word in words), self._head, words)

    def terminal_says(self, *words):
        """Wait until the terminal has these words."""
        self._until(lambda: all(word in self.screen() for word in words), self.screen, words)

    def screen(self):
        """The terminal as text."""
        return self._terminal("capture-pane", "-p")

    def _head(self):
        try:
            return self.page.ask("document.querySelector('header').textContent") or ""
        except AssertionError:  # between one page and the next
            return ""

    def _until(self, condition, seen, words):
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, f"{words} never came: {seen()}"
            time.sleep(0.1)


@contextmanager
def watched(run, scratch):
    """Watch a run directory; skipped without a browser or tmux."""
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux on this machine; apt-get install tmux")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", "TERM": "xterm"}
    scratch.mkdir()

    def tmux(*words):
        command = ["tmux", "-S", str(scratch / "tmux"), "-f", "/dev/null", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    with ExitStack() as stack:
        web = subprocess.Popen(
            [*WATCH, str(run.path), "--web"], env=environment, stdout=subprocess.PIPE, text=True
        )
        stack.callback(web.wait, 60)
        stack.callback(web.terminate)
        page = stack.enter_context(browsed(scratch / "profile"))
        quoted = " ".join(json.dumps(word) for word in (*WATCH, str(run.path)))
        tmux("new-session", "-d", "-x", "120", "-y", "40", f"{quoted}; echo ended with $?; sleep 3600")
        stack.callback(tmux, "kill-server")
        yield Watched(web.stdout.readline().split()[0], page, tmux)
