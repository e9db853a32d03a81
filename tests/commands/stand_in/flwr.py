"""``flwr run | ls | log | stop``, asked of the stand-in for a SuperLink."""

import json
import os
import sys
import time
from urllib.request import urlopen


def answer(path):
    with urlopen(f"http://127.0.0.1:{os.environ['FLWR_LOCAL_SUPERLINK_HTTP_API_PORT']}/{path}") as reply:
        return json.load(reply)


what, *words = sys.argv[1:]
if what == "log":
    shown = 0
    while True:
        ended = next(run for run in answer("ls")["runs"] if run["run-id"] == words[0])["status"] != "running"
        log = answer(f"log/{words[0]}")["log"]
        sys.stdout.write(log[shown:])
        sys.stdout.flush()
        shown = len(log)
        if ended:
            break
        time.sleep(0.05)
elif "--run-id" in words:
    number = words[words.index("--run-id") + 1]
    runs = [run for run in answer("ls")["runs"] if run["run-id"] == number]
    sys.stdout.write(json.dumps({"runs": runs}))
else:
    sys.stdout.write(json.dumps(answer(f"stop/{words[0]}" if what == "stop" else what)))
