"""Compression of replies: trained weights as they are, or float16 differences, in half the bytes."""

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedvsr_core.flower import keys
from fedvsr_core.flower.differences import to_differences
from fedvsr_core.settings import ClientSettings


def compress_upload(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Send differences in float16 if ``training.upload`` says so.

    A mod of Flower's, for training, outside of what adds noise: that needs whole weights.

    Args:
        message: The global model and the settings.
        context: This node's.
        call_next: What trains.
    """
    start = message.content.array_records[keys.ARRAYS]
    config = message.content.config_records[keys.CONFIG]
    upload = ClientSettings.model_validate_json(str(config[keys.SETTINGS])).training.upload
    reply = call_next(message, context)
    if upload == "float16" and reply.has_content():
        reply.content[keys.ARRAYS] = to_differences(reply.content.array_records[keys.ARRAYS], start)
    return reply
