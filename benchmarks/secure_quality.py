"""What a secure round costs in quality: the same run with masks and without, at equal seeds.

    python benchmarks/secure_quality.py --strategies fedvsr,fedavg,fedvsr_ahead --seeds 0,1,2 --json FILE

Real training of the default model on the default clips, in this process, through the real round loop, four
clients. Without masks the bounds of screening are off, since nobody can screen what nobody sees.

The file is a list of objects: ``strategy``, ``seed``, and the PSNR-Y in dB of eight frames of each held-out
clip after the last round, ``plain`` and ``secure``.
"""

import argparse
import json
from pathlib import Path

import torch
from in_process import federate

from server_app.config import compose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", default="fedvsr,fedavg,fedvsr_ahead")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--overrides", default="rounds=8 training.steps=10", help="as for a run")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = []
    for strategy in arguments.strategies.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            scores = {}
            for name, secure in (("plain", "false"), ("secure", "true")):
                overrides = f"seed={seed} screening=off secure.enabled={secure} {arguments.overrides}"
                settings = compose({"strategy": strategy, "overrides": overrides})
                scores[name] = federate(settings, clients=arguments.clients).psnr_y[-1]
            results.append({"strategy": strategy, "seed": seed, **scores})
            print(f"{strategy} {seed}: {scores['secure'] - scores['plain']:+.4f} dB", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
