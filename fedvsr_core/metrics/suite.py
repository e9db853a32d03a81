"""Several metrics of one video at once, frame by frame, in memory that doesn't grow with its length."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy

import torch

from fedvsr_core.metrics.loads import LOADS
from fedvsr_core.metrics.measure import ClipScorer, Conditions
from fedvsr_core.metrics.names import METRICS, check_names, measured_with
from fedvsr_core.metrics.per_frame import Frames, Scores

Values = dict[str, Scores]
"""Values by metric, one for each frame or pair of frames."""


class Suite:
    """The chosen metrics, ready: what any of them lacks shows here, before a video is touched.

    Args:
        metrics: Names of `fedvsr_core.metrics.names`.
        border: Pixels cut off on all four sides before PSNR and SSIM.
        device: Where those in torch compute.

    Attributes:
        metrics: Their names.

    Raises:
        ConfigurationError: If a name is unknown.
        MissingToolError: If a metric needs a package, program or file that isn't here.
    """

    def __init__(self, metrics: Sequence[str], *, border: int, device: torch.device) -> None:
        check_names(metrics)
        self.metrics = tuple(metrics)
        conditions = Conditions(border, device)
        groups = dict.fromkeys(measured_with(name) for name in metrics)
        self._measures = {names: LOADS[METRICS[names[0]].load](conditions) for names in groups}

    def only(self, metric: str) -> "Suite":
        """One of these metrics, with the tools that are loaded already."""
        suite = copy(self)
        suite.metrics = (metric,)
        suite._measures = {names: each for names, each in self._measures.items() if metric in names}
        return suite

    @property
    def made_by(self) -> dict[str, str]:
        """By metric, the tool and version that computes it, where that moves the numbers."""
        return {
            name: measure.made_by
            for names, measure in self._measures.items()
            for name in names
            if name in self.metrics and measure.made_by
        }

    @contextmanager
    def clip(self, fps: float = 25) -> Iterator["SuiteScorer"]:
        """Start on a video; its frames go into what this yields."""
        with ExitStack() as stack:
            yield SuiteScorer(
                {names: stack.enter_context(measure.clip(fps)) for names, measure in self._measures.items()}
            )


class SuiteScorer:
    """Takes the frames of one video a few at a time; made by `Suite.clip`."""

    def __init__(self, scorers: Mapping[tuple[str, ...], ClipScorer]) -> None:
        self._scorers = scorers

    def add(self, outputs: Frames, targets: Frames) -> None:
        """Take the next frames.

        Args:
            outputs: uint8 (N, H, W, 3), RGB.
            targets: The same for the ground truth.

        Raises:
            ShapeError: If a metric can't compare them.
        """
        for scorer in self._scorers.values():
            scorer.add(outputs, targets)

    def values(self) -> Values:
        """What came out; nothing can be added afterwards."""
        values: Values = {}
        for names, scorer in self._scorers.items():
            columns = scorer.values().reshape(-1, len(names)).T
            values |= dict(zip(names, columns, strict=True))
        return {name: values[name] for name in METRICS if name in values}
