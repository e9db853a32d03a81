"""Why a client can't do what it was asked: one word on the wire, whose sentence the server knows.

An error of Flower's carries what the exception said, which can name files of the site. Here nothing but one
of a few words leaves it; the details are in the site's own output.
"""

import errno

import torch
from flwr.app import ConfigRecord, RecordDict

from fedvsr_core.errors import (
    AuditError,
    CheckpointError,
    CodeError,
    ConfigurationError,
    DataError,
    FederationError,
    LimitError,
    SecureError,
)
from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of

REASONS = {
    "data": "it has nothing to train on: no videos, too small ones, or files that can't be read",
    "disk": "its disk is full, or may not be written to",
    "memory": "it has too little memory for this model and this size of crops",
    "configuration": "its node configuration and the settings of the run don't go together",
    "code": "it runs the code that its operator has reviewed, and no other",
    "limits": "its operator doesn't allow what the run asks for: so few steps or windows, such an optimiser,"
    " loss or network, so many rounds a day, scores, or rounds without secure aggregation",
    "secure": "it takes no part in a secure sum that would show more of it than the sum, or that it can't"
    " tell to be one",
    "audit": "it can't record what it sends, and sends nothing without",
    "weights": "it lacks the files of weights that the run starts from, or has others; give all sites"
    " the same",
    "state": "it lacks what it kept in earlier rounds, or runs another version",
    "files": "a file or a connection of it failed",
    "software": "its software failed",
}
"""What the server says for each word."""

_KINDS = (
    (DataError, "data"),
    (ConfigurationError, "configuration"),
    (CodeError, "code"),
    (LimitError, "limits"),
    (AuditError, "audit"),
    (CheckpointError, "weights"),
    (SecureError, "secure"),
    (FederationError, "state"),
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")  # torch on a CPU


def word_of(error: BaseException) -> str:
    """The word of `REASONS` for an error."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        phrase in str(error) for phrase in _OUT_OF_MEMORY
    ):
        return "memory"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "memory"
    if isinstance(error, OSError):
        return "disk" if error.errno in _FULL else "files"
    return next((word for kind, word in _KINDS if isinstance(error, kind)), "software")


def decline(word: str) -> RecordDict:
    """The content of a reply that declines, for a word of `REASONS`."""
    return RecordDict({keys.ABOUT: ConfigRecord({keys.DECLINED: word})})


def why_declined(content: RecordDict) -> str | None:
    """The server's sentence for a reply that declines; None if it doesn't."""
    about = records_of(content, ConfigRecord).get(keys.ABOUT)
    word = None if about is None else about.get(keys.DECLINED)
    if word is None:
        return None
    sentence = REASONS.get(str(word), "it gives a reason that isn't known here")
    return f"it declines: {sentence}; its own output says more"
