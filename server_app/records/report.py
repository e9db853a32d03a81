"""Plots, crops and summary of a run directory, made from its journal; they can be redone at any time."""

from collections.abc import Sequence

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.evaluation.held_out import Sample
from server_app.records.crops import draw_crops
from server_app.records.journal import read_checked
from server_app.records.plots import plot_losses, plot_psnr, plot_weights
from server_app.records.run_dir import RunDir
from server_app.records.summary import summary


def write_report(run: RunDir, samples: Sequence[Sample] = ()) -> None:
    """Write or rewrite the pictures and the summary.

    Args:
        run: A run that has a journal, finished or not.
        samples: Held-out frames for the sheet of crops; without any, an older sheet stays.

    Raises:
        CheckpointError: If the journal is missing or damaged.
    """
    lines = read_checked(run.journal)
    plot_psnr(lines, run.psnr_plot)
    plot_losses(lines, run.losses_plot)
    plot_weights(lines, run.weights_plot)
    if samples:
        draw_crops(samples, run.crops)
    write_atomically(run.summary, summary(lines, run).encode())
