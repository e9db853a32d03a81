"""Cases in a child process, which a reader written in C may end without ending the tests."""

import json
import os
import resource
import signal
import time
import traceback

LIMIT_S = 300
LIMIT_MB = 1500
"""Memory that the cases of a child may take beyond what the tests already have."""


def outcome_of(read, label):
    """``read``, ``named``, or what is wrong with how a reader takes a malformed input.

    Args:
        read: Reads it; raises an error of ours that names it, returns sentences that do, or returns None.
        label: What the sentence must name.
    """
    from fedvsr_core.errors import FedVSRError

    try:
        said = read()
    except FedVSRError as error:
        said = [str(error)]
    except BaseException:
        return f"traceback: {traceback.format_exc()}"
    if said is None:
        return "read"
    text = "\n".join(said)
    if label not in text:
        return f"unnamed: {text}"
    if not all(line.isprintable() for line in text.split("\n")):
        return f"not to be printed: {text!r}"
    return "named"


def in_child(cases, folder):
    """Outcomes by name of some cases ``(name, label, read)``, read in a process of their own."""
    log = folder / "outcomes.jsonl"
    child = os.fork()
    if not child:
        _go(cases, log)
    end = time.monotonic() + LIMIT_S
    status = None
    while status is None and time.monotonic() < end:
        done, ended = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(ended) if done else None
        time.sleep(0.01)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    begun = [line["begun"] for line in lines if "begun" in line]
    outcomes = {line["case"]: line["outcome"] for line in lines if "case" in line}
    if status != 0:
        outcomes[begun[-1] if begun else "start"] = f"the process ended with {status}"
    return outcomes


def _go(cases, log):
    status = 1
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with log.open("w") as file:
            for name, label, read in cases:
                file.write(json.dumps({"begun": name}) + "\n")
                file.flush()
                outcome = outcome_of(read, label)
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
                if grown > LIMIT_MB:
                    outcome, before = f"it took {grown:.0f} MB", before + grown * 1024
                file.write(json.dumps({"case": name, "outcome": outcome}) + "\n")
        status = 0
    finally:
        os._exit(status)
