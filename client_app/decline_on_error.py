"""Errors of a client become replies that decline, and don't end its process."""

import logging

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedvsr_core.flower.declines import decline, word_of

_log = logging.getLogger(__name__)


def decline_on_error(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer with one word in place of an error, which could tell the server of files of this site.

    A mod of Flower's, the outermost. What went wrong is for the operator of the site: it is in the output of
    the SuperNode.

    Args:
        message: What the server asks.
        context: This node's.
        call_next: What answers.
    """
    try:
        return call_next(message, context)
    except Exception as error:  # any at all: what it says could name files, and Flower would send it
        word = word_of(error)
        _log.warning("declined (%s): %s", word, error, exc_info=error)
        return Message(decline(word), reply_to=message)
