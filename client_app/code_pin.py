"""A site runs the code that its operator has reviewed, or none."""

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedvsr_core.errors import CodeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.code import code_digest


def require_pinned_code(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Refuse to answer anything if this code isn't what the node's configuration names.

    A mod of Flower's. It is part of the code that it checks, so it guards against mistakes, not against
    whoever sends other code; docs/privacy.md says what does.

    Args:
        message: What the server asks.
        context: This node's.
        call_next: What answers.

    Raises:
        CodeError: If the digests differ.
    """
    pin = str(context.node_config.get(keys.CODE, ""))
    if pin and pin != code_digest():
        raise CodeError(
            f"this site runs the code {pin} only, but the server has sent {code_digest()}; review that, and"
            f" write its digest as '{keys.CODE}' into site.toml"
        )
    return call_next(message, context)
