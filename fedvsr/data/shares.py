"""What each client gets of a partition, in numbers and as a plot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from fedvsr_core.data.camera import Camera
from fedvsr_core.data.shots import Shot


@dataclass(frozen=True)
class Share:
    """What one client gets.

    Attributes:
        client: Number of the client.
        clips: Clips, or pieces of them.
        frames: Frames of all of them.
        windows: Windows in one pass over them.
        megapixels: High-resolution pixels of all frames, in millions.
        labels: Clips by label.
        camera: The parameters of its camera, if it has one of its own.
    """

    client: int
    clips: int
    frames: int
    windows: int
    megapixels: float
    labels: dict[str, int]
    camera: str


def shares_of(parts: Sequence[Sequence[Shot]], *, window: int) -> list[Share]:
    """Count what each client gets; ``window`` is the number of frames of a window."""
    return [
        Share(
            client,
            len(part),
            sum(shot.frames for shot in part),
            sum(max(shot.frames - window + 1, 1) for shot in part),
            sum(prod(shot.high.shape[:3]) for shot in part) / 1e6,
            dict(sorted(Counter(shot.label for shot in part if shot.label is not None).items())),
            _camera(part[0]),
        )
        for client, part in enumerate(parts)
    ]


def plot_shares(shares: Sequence[Share], path: Path) -> None:
    """Draw the frames of each client as bars, clips coloured by label where there are labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    clients = [share.client for share in shares]
    labels = sorted({label for share in shares for label in share.labels})
    if labels:
        bottom = [0] * len(shares)
        for label in labels:
            counts = [share.labels.get(label, 0) for share in shares]
            axes.bar(clients, counts, bottom=bottom, label=label)
            bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
        axes.set_ylabel("clips")
        if len(labels) <= 12:
            axes.legend(fontsize="small")
    else:
        axes.bar(clients, [share.frames for share in shares])
        axes.set_ylabel("frames")
    axes.set_xlabel("client")
    figure.savefig(path, dpi=120)


def _camera(shot: Shot) -> str:
    if not isinstance(shot.degradation, Camera):
        return ""
    camera = shot.degradation
    names = [name for name, step in camera.steps.items() if step.range[0] < step.range[1]]
    return ", ".join(f"{name} {camera.parameter(name, shot.name):.3g}" for name in names)
