"""Messages out, replies in, one at a time and in the order of their arrival."""

import time
from collections.abc import Iterable, Iterator

from flwr.app import ArrayRecord, Message
from flwr.serverapp import Grid

from fedvsr_core.flower import keys
from fedvsr_core.flower.differences import from_differences

POLL_S = 0.2
SLACK_S = 60.0


class Exchange:
    """Messages that have been sent, and their replies as they come in.

    One reply at a time is taken from the grid, so that it can be used and freed before the next.

    Args:
        grid: Where to send.
        messages: What to send; sent at once.
        lifetime_s: Seconds after which Flower drops a message that hasn't reached its node, and a reply that
            hasn't reached us; `SLACK_S` are added, so that it's not Flower's clock that ends a round. None:
            Flower's default, half a day.

    Attributes:
        sent: Destination node by message id.
        waiting: Ids of messages that have no reply yet.
        unsent: Nodes whose message the grid refused, such as those that have just left.
    """

    def __init__(self, grid: Grid, messages: Iterable[Message], lifetime_s: float | None = None) -> None:
        self._grid = grid
        self.sent: dict[str, int] = {}
        self.unsent: list[int] = []
        for message in messages:
            node = message.metadata.dst_node_id
            if lifetime_s is not None:
                waited_s = time.time() - message.metadata.created_at  # for those that were sent before it
                message.metadata.ttl = waited_s + lifetime_s + SLACK_S
            accepted = [message_id for message_id in grid.push_messages([message]) if message_id]
            if accepted:
                self.sent[accepted[0]] = node
            else:
                self.unsent.append(node)
        self.waiting = list(self.sent)

    def replies(self, timeout_s: float) -> Iterator[Message]:
        """Yield replies until all are in or the time is over; a later call yields what came in between.

        Args:
            timeout_s: Seconds from now.
        """
        end = time.monotonic() + timeout_s
        while before := len(self.waiting):
            for message_id in list(self.waiting):
                for reply in self._grid.pull_messages([message_id]):
                    self.waiting.remove(message_id)
                    yield reply
                    del reply
            if time.monotonic() >= end:
                return
            if len(self.waiting) == before:
                time.sleep(POLL_S)


def restored(replies: Iterable[Message], start: ArrayRecord) -> Iterator[Message]:
    """Pass on replies, with whole weights where they carry differences from what was sent."""
    for reply in replies:
        if reply.has_content() and isinstance(record := reply.content.get(keys.ARRAYS), ArrayRecord):
            reply.content[keys.ARRAYS] = from_differences(record, start)
            del record
        yield reply
        del reply


def last_line(reason: str | None) -> str:
    """What an error says, without its traceback."""
    lines = (reason or "").replace("\\n", "\n").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "no reason given"
