"""The card of a published model: what it is, how it was made, how good it is, and nothing about a site."""

import json
import math
import statistics
from collections.abc import Sequence

from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.settings import Settings
from server_app.records.history import Evaluation, evaluations, reports, starts, trainings
from server_app.records.journal import Line
from server_app.records.markdown import harmless, signed, table

WEIGHTS = "model.safetensors"
_FEWEST_SITES = 3
"""From so many on, the sites' lowest and highest score are said: of two, each would know the other's."""
_MEDICAL = ("medical", "dicom", "endoscop", "surgical", "surgery", "ultrasound")
_LOAD = f"""\
from pathlib import Path
import torch
from fedvsr_core.checkpoints.store import load_model
model = load_model(Path("{WEIGHTS}"))
high = model(torch.rand(1, 5, 3, 64, 64))  # low (batch, frames, RGB, height, width) in [0, 1] -> high"""


def is_medical(settings: Settings) -> bool:
    """Whether the configuration's ``data`` says that the videos are medical."""
    said = f"{settings.names['data']} {json.dumps(settings.data)}".lower()
    return any(word in said for word in _MEDICAL)


def model_card(
    lines: Sequence[Line],
    settings: Settings,
    *,
    server_round: int,
    parameters: int,
    scale: int,
    licence: str,
    medical: bool,
    crops: bool,
) -> str:
    """Write the card.

    Args:
        lines: The run's journal.
        settings: The run's configuration.
        server_round: After which the model was taken.
        parameters: Of the model.
        scale: By which it enlarges.
        licence: Of the weights, as whoever publishes them says.
        medical: Whether the videos were medical.
        crops: Whether the folder has a picture of crops.

    Returns:
        Markdown, with the head that model hubs read.
    """
    name = f"{settings.names['model']}, {scale}x, federated by {settings.names['strategy']}"
    sections = [
        [f"# Video super-resolution: {harmless(name)}"],
        _warning(medical=medical),
        _what(lines, settings, server_round, parameters, scale),
        _data(lines),
        _scores(lines, server_round),
        _own_scores(lines),
        ["![held-out crops: bicubic, this model, ground truth](crops.png)"] if crops else [],
        _limits(settings, scale),
        [
            *("## Load it", "", "In this folder, with FedVSR installed:", "", "```python", _LOAD, "```", ""),
            "Or upscale a video: `fedvsr upscale in.mp4 out.mp4 --checkpoint .`",
        ],
        ["## Licence", "", f"Of the weights: {harmless(licence)}. Of the code that runs them: Apache-2.0."],
    ]
    head = [
        "---",
        f"license: {json.dumps(licence)}",
        "library_name: fedvsr",
        "pipeline_tag: video-to-video",
        "tags: [video-super-resolution, federated-learning]",
        "---",
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join("\n".join(each) for each in sections if each) + "\n"


def _warning(*, medical: bool) -> list[str]:
    if not medical:
        return []
    return [
        "**Not for diagnosis.** This model makes up detail that looks likely; what it shows needn't have been"
        " there. It is no medical device, and has been tested as none."
    ]


def _what(
    lines: Sequence[Line], settings: Settings, server_round: int, parameters: int, scale: int
) -> list[str]:
    start = starts(lines)[0]
    rows = [
        ("Network", f"{settings.names['model']}, {parameters:,} parameters"),
        ("Enlarges", f"{scale} times in height and width"),
        ("Trained by", f"{settings.names['strategy']}, {server_round} of {settings.rounds} rounds"),
        ("Low resolution made by", settings.names["degradation"]),
        ("Seed", settings.seed),
        ("Code", f"`{start.get('code', 'unknown')}`, commit `{start.get('commit') or 'unknown'}`"),
    ]
    return ["## What it is", "", *table(["", ""], rows)]


def _data(lines: Sequence[Line]) -> list[str]:
    trained = trainings(lines)
    windows = sum(int(row.get("examples", 0)) for line in trained for row in reports(line))
    clients = {row["client"] for line in trained for row in line["clients"]}
    scored = evaluations(lines)
    held_out = len(scored[-1].clips) if scored else 0
    return [
        "## Data",
        "",
        f"Videos of {len(clients)} clients, which never left them: {windows:,} windows of frames were trained"
        f" on, those that came again counted again. {held_out} clips were held out for the scores below.",
    ]


def _scores(lines: Sequence[Line], server_round: int) -> list[str]:
    scored = {each.round: each for each in evaluations(lines)}
    mine = scored.get(server_round)
    if mine is None:
        return ["## Scores", "", "This round's model wasn't scored."]
    rows = [
        (
            METRICS[name].title,
            f"{mine.bicubic[name]:.{METRICS[name].digits}f}" if name in mine.bicubic else "",
            f"{mine.mean[name]:.{METRICS[name].digits}f}",
            signed(mine.gain(name)),
        )
        for name in mine.mean
    ]
    return [
        "## Scores",
        "",
        f"Means over the held-out clips. {_protocol(mine)}",
        "",
        *table(["Metric", "bicubic", "this model", "difference"], rows),
    ]


def _protocol(scored: Evaluation) -> str:
    try:
        return f"Protocol {Protocol(**scored.protocol)}."
    except (TypeError, ValueError):  # of another version, or none
        return "Their protocol isn't known."


def _own_scores(lines: Sequence[Line]) -> list[str]:
    scored = evaluations(lines, "evaluate-clients")
    if not scored:
        return []
    last = scored[-1]
    about = METRICS[last.headline]
    newest = next(line for line in reversed(lines) if line["phase"] == "evaluate-clients")
    own = [float(row[last.headline]) for row in newest["clients"] if row.get(last.headline) is not None]
    if len(own) < _FEWEST_SITES:
        return [f"Fewer than {_FEWEST_SITES} clients scored the model on clips of their own."]
    spread = (
        f"{about.value(min(own))} to {about.value(max(own))}, median {about.value(statistics.median(own))}"
    )
    bicubic = about.value(last.bicubic.get(last.headline, math.nan))
    return [
        f"On clips of their own, {len(own)} clients measured a {about.label} of {spread} after round"
        f" {last.round}; bicubic has {bicubic} in the mean."
    ]


def _limits(settings: Settings, scale: int) -> list[str]:
    return [
        "## Limits",
        "",
        f"It has learned from low resolution that was made by `{settings.names['degradation']}`, and makes"
        " errors on video that was spoilt in other ways: noise, compression and blur that it hasn't seen. It"
        f" enlarges {scale} times and nothing else. Detail is made up where there is none; text and faces may"
        " come out wrong. The scores are of few clips, and of one seed.",
    ]
