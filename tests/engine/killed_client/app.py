"""The real ClientApp; its process kills itself where a file says.

The environment variable ``FEDVSR_TEST_FAULTS`` names a JSON file: round -> site -> stage.
"""

import json
import os
import signal
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp import ClientApp

from client_app.app import app as sound
from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of


class Killed(ClientApp):
    """As the real one, unless it's this site's turn."""

    def __call__(self, message: Message, context: Context) -> Message:
        config = records_of(message.content, ConfigRecord).get(keys.CONFIG, ConfigRecord())
        plan = json.loads(Path(os.environ["FEDVSR_TEST_FAULTS"]).read_text())
        stage = plan.get(str(config.get(keys.SERVER_ROUND)), {}).get(str(context.node_config[keys.SITE]))
        if stage and message.metadata.message_type.endswith(f"secure_{stage}"):
            os.kill(os.getpid(), signal.SIGKILL)
        return sound(message, context)


app = Killed()
