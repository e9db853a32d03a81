"""Draw docs/images/result.jpg of a run of the quickstart: ``python docs/images/result.py RUN_DIRECTORY``."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.image import imread

_ROW = slice(782, 1102)
"""Of crops.png: the last of three clips."""


def main(run: Path) -> None:
    """Put the crops of one clip and the scores by round beside each other."""
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    scores = {line["round"]: line["psnr-y"] for line in lines if line["phase"] == "evaluate"}
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 3.2), width_ratios=(2.9, 1.5), layout="constrained"
    )
    left.imshow(imread(run / "crops.png")[_ROW, 12:996])
    left.axis("off")
    for place, title in ((160, "bicubic"), (492, "after the quickstart"), (824, "ground truth")):
        left.text(place, 342, title, ha="center", va="top")
    right.plot(scores.keys(), scores.values(), "o-", color="#2563eb")
    right.axhline(scores[0], color="grey", linestyle="--")
    right.text(max(scores), scores[0] + 0.03, "bicubic", ha="right", color="grey")
    right.set(xlabel="round", ylabel="PSNR-Y of held-out clips (dB)")
    right.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_name("result.jpg"), dpi=80, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
