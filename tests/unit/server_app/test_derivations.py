"""Promises: two rounds of the real ServerApp and ClientApp give what a dozen lines of numpy give.

Gradients come from the network itself; what each method does with them is written down here once more, with
plain gradient descent on the clients.
"""

import numpy as np
import pytest
import torch

from client_app.local_data import local_shots
from fedvsr_core.components import build
from fedvsr_core.data.loaders import Batches, to_float
from fedvsr_core.seeds import derive
from server_app.checkpoints import LAST, load_round
from tests.unit.server_app.test_rounds import Run

STEP, STEPS, CLIENTS, MU = 1.0, 3, 3, 0.2
SGD = f"optimiser=sgd optimiser.lr={STEP} training.steps={STEPS} rounds=2"


def expected(settings, rule):
    """The model after two rounds, by name of the array."""
    torch.manual_seed(derive(settings.seed, "model"))
    model, loss, known = build(settings.model), build(settings.loss), settings.for_clients()
    names = [name for name, _ in model.named_parameters()]

    def gradient(w, batch):
        model.load_state_dict({name: torch.from_numpy(w[name]) for name in names})
        model.zero_grad()
        low, high = (to_float(clips, torch.device("cpu")) for clips in batch)
        loss(model(low), high)[0].backward()
        return {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}

    def each(function, *models):
        return {name: function(*(one[name] for one in models)) for name in names}

    w = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    before, zero = w, each(np.zeros_like, w)
    c, own = zero, [zero] * CLIENTS
    for server_round in (1, 2):
        ys, examples, new = [], [], []
        start = (
            each(lambda w, old: w + np.float32(0.8) * (w - old), w, before) if rule == "fedavg_ahead" else w
        )
        before = w
        for k in range(CLIENTS):
            shots = local_shots(known, {"partition-id": k, "num-partitions": CLIENTS})
            seed = derive(settings.seed, "train", server_round, f"partition-{k}")
            batches = Batches(shots, settings.training, seed=seed)
            y, total = start, zero
            for batch in batches:
                g = gradient(y, batch)
                total = each(np.add, total, g)
                if rule == "fedprox":
                    g = each(lambda g, y, w: g + MU * (y - w), g, y, w)
                if rule == "scaffold":
                    g = each(lambda g, ci, c: g - ci + c, g, own[k], c)
                y = each(lambda y, g: y - np.float32(STEP) * g, y, g)
            ys.append(y)
            examples.append(batches.num_windows)
            new.append(each(lambda ci, c, w, y: ci - c + (w - y) / (STEPS * STEP), own[k], c, w, y))
        shares = np.array(examples) / sum(examples)
        if rule == "fedmedian":
            w = each(lambda *ys: np.median(ys, axis=0), *ys)
        elif rule == "scaffold":
            change = [each(np.subtract, n, old) for n, old in zip(new, own, strict=True)]
            c = each(lambda c, *moves: c + sum(moves) / CLIENTS, c, *change)
            w, own = each(lambda *ys: np.mean(ys, axis=0), *ys), new
        else:
            parts = [each(lambda y, s=s: np.float64(s) * y, y) for s, y in zip(shares, ys, strict=True)]
            w = each(lambda *parts: sum(parts).astype(np.float32), *parts)
    return w


@pytest.mark.parametrize(
    ("rule", "overrides"),
    [
        ("fedavg", ""),
        ("fedavg_ahead", ""),
        ("fedprox", f"strategy.client.mu={MU}"),
        ("scaffold", ""),
        ("fedmedian", ""),
    ],
    ids=["fedavg", "fedavg_ahead", "fedprox", "scaffold", "fedmedian"],
)
def test_two_rounds_of_the_real_pair(tiny, client_grid, tmp_path, rule, overrides):
    settings = tiny(f"{SGD} {overrides}", rule)
    run = Run(settings, client_grid(CLIENTS), tmp_path / "runs")
    torch.manual_seed(derive(settings.seed, "model"))
    run.model = build(settings.model)
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    run.go()
    state = load_round(run.dir.checkpoints / LAST).state
    wanted, averaged = expected(settings, rule), expected(settings, "fedavg")
    for name, array in wanted.items():
        np.testing.assert_allclose(state[name].numpy(), array, rtol=0, atol=5e-6, err_msg=name)
    moved = max(float((state[name] - before[name]).abs().max()) for name in wanted)
    differs = max(float(np.abs(wanted[name] - averaged[name]).max()) for name in wanted)
    assert moved > 1e-3
    assert (differs > 5e-5) == (rule != "fedavg"), differs  # ten times the tolerance


@pytest.mark.parametrize("rule", ["fedprox", "scaffold", "fedmedian", "fedsr", "min_max"])
def test_one_client_with_all_data_trains_as_alone(tiny, client_grid, tmp_path, rule):
    off = {"fedprox": "strategy.client.mu=0", "fedsr": "strategy.client.weight=0"}.get(rule, "")
    runs = [
        Run(tiny(f"{SGD} {overrides}", strategy), client_grid(1), tmp_path / strategy).go()
        for strategy, overrides in (("fedavg", ""), (rule, off))
    ]
    # With one client c = c_1 after each round, so SCAFFOLD's correction is zero, too.
    for name, tensor in runs[0].weights().items():
        torch.testing.assert_close(runs[1].weights()[name], tensor, rtol=0, atol=2e-7)
