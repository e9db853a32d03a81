"""Messages out, replies in, one at a time and in the order of their arrival."""

import time
from collections.abc import Iterable, Iterator

from flwr.app import Message
from flwr.serverapp import Grid

POLL_S = 0.2


class Exchange:
    """Messages that have been sent, and their replies as they come in.

    One reply at a time is taken from the grid, so that it can be used and freed before the next.

    Args:
        grid: Where to send.
        messages: What to send; sent at once.

    Attributes:
        sent: Destination node by message id.
    """

    def __init__(self, grid: Grid, messages: Iterable[Message]) -> None:
        self._grid = grid
        self.sent: dict[str, int] = {}
        for message in messages:
            for message_id in grid.push_messages([message]):  # none where the grid refuses it
                self.sent[message_id] = message.metadata.dst_node_id

    def replies(self, timeout_s: float) -> Iterator[Message]:
        """Yield replies until all are in or the time is over; what comes later is ignored.

        Args:
            timeout_s: Seconds from now.
        """
        waiting, end = list(self.sent), time.monotonic() + timeout_s
        while waiting:
            arrived = []
            for message_id in waiting:
                for reply in self._grid.pull_messages([message_id]):
                    arrived.append(message_id)
                    yield reply
            waiting = [message_id for message_id in waiting if message_id not in arrived]
            if time.monotonic() >= end:
                return
            if not arrived:
                time.sleep(POLL_S)
