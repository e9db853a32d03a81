"""One way to ask nodes: for each that is asked, an answer or a refusal, whatever was asked."""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import size_bytes
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.declines import why_declined
from fedvsr_core.flower.records import records_of
from fedvsr_core.printable import NAME, printable

POLL_S = 0.2
SLACK_S = 60.0
_LONGEST_REASON = 300
_DEAD_WORKER = ("ActorDiedError", "ActorUnavailableError", "OutOfMemoryError", "The actor is dead")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """An answer that isn't used, or is missing.

    Attributes:
        client: Name of the client that was asked; ``unknown`` where it isn't known.
        node: The node that was asked; 0 where the reply answers nothing that we asked.
        code: The kind of reason: ``timeout``, ``unsent``, ``error``, ``declined``, ``unknown``,
            ``duplicate``, ``identity`` or ``code``, of any answer; ``report`` and others of
            `server_app.updates`, of what it holds; ``lost``, of an upload that is lost on purpose.
        reason: One sentence.
    """

    client: str
    node: int
    code: str
    reason: str

    def row(self) -> dict[str, Any]:
        """As the journal has it."""
        return asdict(self) | {"node": str(self.node)}

    def log(self, title: str) -> None:
        """Say it in the log.

        Args:
            title: What was asked, such as ``round 3``.
        """
        who = self.client if self.client != "unknown" else f"node {self.node}"
        _log.warning("%s: left out %s (%s): %s", title, who, self.code, self.reason)


class RefusedError(Exception):
    """What is wrong with an answer; it becomes a `Refusal`.

    Args:
        code: As `Refusal.code`.
        reason: One sentence.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """What a node said.

    Attributes:
        client: Its client, by its own account; the one that was asked, if that was known.
        node: Its id.
        code: Digest of the code that it runs.
        content: All of it.
        seconds: From asking to the answer.
    """

    client: str
    node: int
    code: str
    content: RecordDict
    seconds: float


Read = TypeVar("Read")


class Asking(Generic[Read]):
    """A question to some nodes, under way; replies are taken one at a time, in the order of their arrival.

    So each can be used and freed before the next: nothing here holds on to a reply.

    Args:
        grid: Where to send.
        contents: What each node is sent, by its id; sent at once.
        kind: Flower's message type.
        read: Makes of an answer what is yielded; raises `RefusedError` for one that can't be used.
        clients: Name of the client of each node; one that isn't here tells it in its answer.
        lifetime_s: Seconds after which Flower drops a message that hasn't reached its node, and a reply that
            hasn't reached us; `SLACK_S` are added, so that it's not Flower's clock that ends a round.
        same_code: Whether to refuse who runs other code than this process.

    Attributes:
        sent: How many messages went out.
        bytes_down: Bytes of their arrays.
        bytes_up: Bytes of the arrays of all replies so far.
        dead_worker: What Flower said of a worker of the simulation engine that died, or None.
    """

    def __init__(
        self,
        grid: Grid,
        contents: Mapping[int, RecordDict],
        kind: str,
        *,
        read: Callable[[Answer], Read],
        clients: Mapping[int, str],
        lifetime_s: float,
        same_code: bool = True,
    ) -> None:
        self._grid, self._read, self._clients, self._same_code = grid, read, clients, same_code
        self._began = time.monotonic()
        self._nodes: dict[str, int] = {}  # by the id of the message that went to each
        self._replied: set[int] = set()
        self._unsent: list[int] = []
        self.bytes_down = self.bytes_up = 0
        self.dead_worker: str | None = None
        for node, content in sorted(contents.items()):
            # Flower takes a reply from whoever knows the id of the message, which is its digest.
            content[keys.NONCE] = ConfigRecord({keys.NONCE: secrets.token_hex(16)})
            message = Message(content, dst_node_id=node, message_type=kind, ttl=lifetime_s + SLACK_S)
            accepted = [message_id for message_id in grid.push_messages([message]) if message_id]
            if accepted:
                self._nodes[accepted[0]] = node
                self.bytes_down += message_bytes(content)
            else:
                self._unsent.append(node)
        self.sent = len(self._nodes)
        self._waiting = list(self._nodes)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return not self._waiting and not self._unsent

    def answers(self, timeout_s: float) -> Iterator[Read | Refusal]:
        """Yield what comes in, until all have answered or the time is over.

        A later call goes on; `missing` has those that haven't replied by then.

        Args:
            timeout_s: Seconds from now.
        """
        end = time.monotonic() + timeout_s
        while self._unsent:
            reason = "Flower didn't take its message: it has left, or the model is too large"
            yield self._refusal(self._unsent.pop(0), RefusedError("unsent", reason))
        while before := len(self._waiting):
            for message_id in list(self._waiting):
                pulled = list(self._grid.pull_messages([message_id]))
                while pulled:
                    judged = self._judge(pulled.pop(0))  # nothing but what is made of it stays
                    yield judged
                    del judged  # the next one may be as large
            if time.monotonic() >= end:
                return
            if len(self._waiting) == before:
                time.sleep(POLL_S)

    def missing(self) -> list[Refusal]:
        """Those that were asked and haven't replied."""
        late = RefusedError("timeout", "it didn't reply in time")
        return [self._refusal(node, late) for node in sorted(set(self._nodes.values()) - self._replied)]

    def _judge(self, reply: Message) -> Read | Refusal:
        node = self._nodes.get(reply.metadata.reply_to_message_id, 0)
        try:
            return self._read(self._answer(reply, node))
        except RefusedError as error:
            return self._refusal(node, error)

    def _refusal(self, node: int, error: RefusedError) -> Refusal:
        reason = printable(str(error)[:_LONGEST_REASON])
        return Refusal(self._clients.get(node, "unknown"), node, error.code, reason)

    def _answer(self, reply: Message, node: int) -> Answer:
        if not node:
            raise RefusedError("unknown", f"node {reply.metadata.src_node_id} answers nothing that we asked")
        if node in self._replied:
            raise RefusedError("duplicate", "its node has already replied")
        self._replied.add(node)
        self._waiting.remove(reply.metadata.reply_to_message_id)
        if reply.has_error():
            # A client's own exception has another code, whatever it says.
            raised = reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
            if not raised and any(sign in (reply.error.reason or "") for sign in _DEAD_WORKER):
                self.dead_worker = reply.error.reason
            raise RefusedError("error", f"error {reply.error.code}: {last_line(reply.error.reason)}")
        if not reply.has_content():
            raise RefusedError("error", "it has no content")
        content = reply.content
        self.bytes_up += message_bytes(content)
        if why := why_declined(content):
            raise RefusedError("declined", why)
        words = records_of(content, ConfigRecord).get(keys.ABOUT, ConfigRecord())
        if keys.CLIENT not in words or keys.CODE not in words:
            raise RefusedError("report", "it doesn't say who it is; it runs another app")
        client, code = str(words[keys.CLIENT]), str(words[keys.CODE])
        if client != self._clients.get(node, client):
            raise RefusedError("identity", f"it says that it is {client!r:.100}")
        for what, word in (("name", client), ("code", code)):
            if not NAME.fullmatch(word):
                raise RefusedError(
                    "report",
                    f"its {what} must be letters, digits, dots, hyphens and underscores, at most 64, got"
                    f" {word!r:.100}",
                )
        if self._same_code:
            check_code(code)
        return Answer(client, node, code, content, time.monotonic() - self._began)


def check_code(code: str) -> None:
    """Refuse who runs other code than this process.

    Args:
        code: The digest of the code that it runs.

    Raises:
        RefusedError: If it isn't ours.
    """
    if code != code_digest():
        raise RefusedError(
            "code",
            f"it runs other code (digest {code}) than the server ({code_digest()});"
            " restart its SuperNode from the server's version",
        )


def last_line(reason: str | None) -> str:
    """What an error says, without its traceback."""
    lines = (reason or "").replace("\\n", "\n").strip().splitlines()
    return lines[-1].strip()[:_LONGEST_REASON] if lines else "no reason given"


def log_all(refusals: Iterable[Refusal], title: str) -> None:
    """Say all of these in the log."""
    for refusal in refusals:
        refusal.log(title)


def message_bytes(content: RecordDict) -> int:
    """Bytes of all arrays of a message, and of what else it holds as bytes."""
    values = [value for record in records_of(content, ConfigRecord).values() for value in record.values()]
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    others = sum(len(item) for item in items if isinstance(item, bytes))
    return others + sum(map(size_bytes, records_of(content, ArrayRecord).values()))
