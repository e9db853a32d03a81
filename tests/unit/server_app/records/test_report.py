"""A run directory's pictures and summary can be made again from its journal."""

from pathlib import Path
from typing import Any

import numpy as np

from fedvsr_core.evaluation.held_out import Sample
from server_app.records.journal import Journal
from server_app.records.report import write_report
from server_app.records.run_dir import RunDir


def test_a_report_can_be_redone(journal: list[dict[str, Any]], tmp_path: Path) -> None:
    run = RunDir.create(str(tmp_path), ["fedvsr", "recurrent"])
    with Journal(run.journal) as file:
        for line in journal:
            file.append(line)
    frame = np.zeros((96, 96, 3), dtype=np.uint8)
    write_report(run, [Sample("bikes/138-186", frame, frame, frame)])
    made = (run.psnr_plot, run.losses_plot, run.weights_plot, run.crops, run.summary, run.page)
    first = {path: path.read_bytes() for path in made}
    for path in made:
        if path != run.crops:
            path.unlink()
    write_report(run)
    assert {path: path.read_bytes() for path in made} == first
