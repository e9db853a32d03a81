"""Plots, crops, summary and page of a run directory, from its journal; they can be redone at any time."""

from collections.abc import Sequence

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.evaluation.held_out import Sample
from server_app.page.run_page import run_page
from server_app.records.crops import draw_crops
from server_app.records.journal import read_checked
from server_app.records.plots import plot_losses, plot_psnr, plot_weights
from server_app.records.run_dir import RunDir
from server_app.records.summary import summary


def write_report(run: RunDir, samples: Sequence[Sample] = (), *, running: bool = False) -> None:
    """Write or rewrite the pictures, the summary and the page.

    Args:
        run: A run that has a journal, finished or not.
        samples: Held-out frames for the sheet of crops; without any, an older sheet stays.
        running: Whether the run is going on.

    Raises:
        CheckpointError: If the journal is missing or damaged.
    """
    lines = read_checked(run.journal)
    plot_psnr(lines, run.psnr_plot)
    plot_losses(lines, run.losses_plot)
    plot_weights(lines, run.weights_plot)
    if samples:
        draw_crops(samples, run.crops)
    write_atomically(run.page, run_page(lines, run, running=running))
    write_atomically(run.summary, summary(lines, run).encode())
