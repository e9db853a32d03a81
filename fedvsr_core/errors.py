"""The errors a caller can tell apart, each one also a builtin."""

from fedvsr_core.printable import printable

REFUSED = "this run can't go on: "
"""How the log says that the server has ended a run itself; continuing it as it is would end it again."""


class FedVSRError(Exception):
    """Base of all errors that this project raises on purpose; the message is one sentence for a person.

    It may quote names of files and words of others: what can't be printed in them is escaped.
    """

    def __str__(self) -> str:
        return "\n".join(map(printable, super().__str__().split("\n")))


class ConfigurationError(FedVSRError, ValueError):
    """A key, an option or a value of the configuration is wrong; lists every problem found."""


class DataError(FedVSRError, ValueError):
    """A video, a frame or a partition isn't what training needs; names the clip and the remedy."""


class ShapeError(FedVSRError, ValueError):
    """A tensor or array has another shape, dtype or range than the function takes."""


class AggregationError(FedVSRError, ValueError):
    """Client updates or reports that can't be combined."""


class CheckpointError(FedVSRError, ValueError):
    """A file that a run left is damaged, or doesn't fit the model."""


class FederationError(FedVSRError, RuntimeError):
    """The federation can't go on: nodes are missing, workers died, or nodes run other code."""


class StorageError(FedVSRError, OSError):
    """A disk is full, or may not be written to; what was there before is whole.

    Args:
        message: One sentence.
        errno: The system's number for it.
    """

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class CodeError(FedVSRError, RuntimeError):
    """The code isn't what the operator of a site has reviewed."""


class LimitError(FedVSRError, ValueError):
    """A run asks a site for more than its operator allows."""


class SecureError(FedVSRError, RuntimeError):
    """What is asked of a client in a secure sum would show more of it than the sum."""


class AuditError(FedVSRError, RuntimeError):
    """A site can't record what it is asked and what it sends, and sends nothing."""


class MissingToolError(FedVSRError, ImportError):
    """An optional package, program or file of weights is missing; the message has the line to install it."""
