"""Rewrites the page of a run while the run goes on."""

import logging
import time
from datetime import UTC, datetime

from fedvsr_core.checkpoints.atomic import write_atomically
from server_app.page.run_page import run_page
from server_app.records.journal import Line, read_checked
from server_app.records.run_dir import RunDir

_SHARE = 0.02
"""Of a run's time that its page may take."""

_log = logging.getLogger(__name__)


class PageWriter:
    """Listens to a journal, and writes the page anew after a line, unless that would take much time.

    Args:
        run: The run.
    """

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._next = 0.0

    def __call__(self, line: Line) -> None:
        """Hear of a line of the journal; nothing that goes wrong here ends the run."""
        began = time.monotonic()
        if line["phase"] == "end" or began < self._next:
            return
        try:
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            lines = read_checked(self._run.journal)
            write_atomically(self._run.page, run_page(lines, self._run, running=True, now=now))
        except Exception as error:
            _log.warning("the page of the run can't be written: %r", error)
        took = time.monotonic() - began
        self._next = time.monotonic() + took / _SHARE
