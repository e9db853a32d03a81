"""Promises: the parts that docs/how-to adds - model, strategy, loss, metric, dataset - work as shown."""

import importlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import client_app
import fedvsr_core
import server_app
from fedvsr_core.components import build
from fedvsr_core.errors import DataError
from fedvsr_core.metrics.loads import LOADS
from fedvsr_core.metrics.names import METRICS
from server_app import config
from server_app.preflight import check_parts
from server_app.strategies.stock import adapted
from tests.test_examples import FILE, blocks
from tests.unit.metrics import test_all_metrics as of_metrics
from tests.unit.models import test_all_models as of_models
from tests.unit.server_app.strategies import test_state as of_states
from tests.unit.server_app.test_every_strategy import interrupted_after
from tests.unit.server_app.test_rounds import Run

ROOT = Path(__file__).parents[3]
SMOKE = "experiment=smoke training.steps=1 training.batch=1 training.window=2 training.patch=8"
PAGES = ("own-model", "own-strategy", "own-loss", "own-metric", "own-dataset")


def shown(page):
    return list(blocks(ROOT / "docs" / "how-to" / f"{page}.md", "python", "yaml"))


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Adds the files of all pages to the packages and to a copy of ``conf/``."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    files = [(match[1], text) for page in PAGES for text in shown(page) if (match := FILE.match(text))]
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for package in (fedvsr_core, server_app, client_app):
        for inner in ("", ".models", ".losses", ".metrics", ".data", ".strategies"):
            folder = tmp_path / f"{package.__name__}{inner}".replace(".", "/")
            if folder.is_dir():
                module = importlib.import_module(f"{package.__name__}{inner}")
                monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
    monkeypatch.setattr(config, "_folder", lambda: tmp_path / "conf")
    return [name for name, _ in files]


def test_each_page_shows_a_class_and_what_names_it():
    kinds = {page: [FILE.match(text)[1] for text in shown(page) if FILE.match(text)] for page in PAGES}
    for page, names in kinds.items():
        assert any(name.endswith(".py") for name in names), page
        assert page == "own-metric" or any(re.match(r"conf/\w+/\w+\.yaml", name) for name in names), page


def test_the_model_keeps_what_all_models_keep(added, tmp_path, caplog):
    torch.manual_seed(0)
    network = build(of_models.settings("three_frames")).eval()
    precise = build(of_models.settings("three_frames")).double().eval()
    of_models.test_the_configuration_says_all_and_agrees_with_the_data("three_frames")
    of_models.test_what_is_declared_is_there("three_frames")
    of_models.test_other_factors("three_frames", 2)
    of_models.test_weights_of_another_factor_load_up_to_the_tail("three_frames", tmp_path, caplog)
    of_models.test_some_frames_are_those_of_the_whole(precise)
    of_models.test_shape_at_any_size(network, (7, 9))
    of_models.test_short_clips(network, 1)
    of_models.test_every_parameter_that_is_used_gets_a_gradient(network)
    of_models.test_clips_of_a_batch_do_not_mix(precise)
    of_models.test_a_frame_depends_on_its_neighbours(precise)
    of_models.test_checkpointing_changes_no_gradient(network)
    of_models.test_a_file_of_weights_makes_an_equal_network("three_frames", tmp_path)


def test_model_and_loss_train(added, client_grid, tmp_path):
    words = f"{SMOKE} rounds=2 loss=edges"
    settings = config.compose({"strategy": "fedavg", "model": "three_frames", "overrides": words})
    check_parts(settings, build(settings.model), adapted(build(settings.strategy.server)))
    run = Run(settings, client_grid(2), tmp_path / "runs")
    before = run.weights()
    lines = run.go().lines("train")
    assert [line["refused"] for line in lines] == [[], []]
    assert any((tensor != before[name]).any() for name, tensor in run.weights().items())
    assert "edges" in str(lines[0])


def test_the_strategy_resumes_to_the_bit(added, tiny, client_grid, tmp_path):
    settings = tiny("rounds=3", "heavy_ball")
    whole = Run(settings, client_grid(3), tmp_path / "whole").go()
    broken = Run(settings, client_grid(3), tmp_path / "broken")
    broken.grid.spoil[2] = interrupted_after(broken, 2)
    with pytest.raises(KeyboardInterrupt):
        broken.go()
    assert broken.resume(client_grid(3, first_node=900)).last() == whole.last()


def test_the_strategy_keeps_all_of_its_state_and_one_that_forgets_is_noticed(added, monkeypatch):
    of_states.test_a_new_one_goes_on_from_the_state_alone("heavy_ball")
    forgetful = importlib.import_module("server_app.strategies.heavy_ball").HeavyBall
    monkeypatch.delattr(forgetful, "state")
    monkeypatch.delattr(forgetful, "load_state")
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        of_states.test_a_new_one_goes_on_from_the_state_alone("heavy_ball")


def test_two_rounds_of_the_strategy_by_hand(added):
    # keep = 1/2; both clients move by +1 in the first round, by +2 in the second: steps 1, then 1/2 + 2.
    strategy = build(config.compose({"strategy": "heavy_ball"}).strategy.server)
    start = {"w": np.zeros(2, np.float32)}

    class Moved:
        def __init__(self, client, by):
            self.client, self.examples = client, 3.0
            self.arrays = {"w": start["w"] + np.float32(by)}

    for server_round, (by, expected) in enumerate(((1, 1.0), (2, 3.5)), start=1):
        strategy.outgoing(server_round, of_states.record_from_arrays(start), 2)
        combined = strategy.combine(server_round, [Moved("a", by), Moved("b", by)])
        start = {name: np.float32(array) for name, array in combined.arrays}
        assert dict(combined.weights) == {"a": 0.5, "b": 0.5}
        np.testing.assert_allclose(start["w"], [expected] * 2)


def test_the_metric_is_tested_as_all_are(added):
    before = dict(METRICS)
    try:
        [declaration] = [text for text in shown("own-metric") if "METRICS[" in text]
        exec(declaration, {})
        suite = of_metrics.Suite(["mae"], border=0, device=torch.device("cpu"))
        of_metrics.test_a_value_for_each_frame_or_pair("mae", suite)
        of_metrics.test_values_lie_in_the_declared_range("mae", suite)
        of_metrics.test_the_better_end_is_the_declared_one("mae", suite)
        of_metrics.test_the_order_and_size_of_parts_is_immaterial("mae", suite)
        with pytest.raises(AssertionError, match=r"that does with @pytest\.mark\.compared\('mae'\)"):
            of_metrics.check_compared("mae", of_metrics.compared())
        [comparison] = [text for text in shown("own-metric") if "pytest.mark.compared" in text]
        of_metrics.check_compared("mae", of_metrics.compared_in(comparison))
        names = {}
        exec(comparison, names)
        names["test_mae_equals_pillows"]()
        error = of_metrics.measure(suite, np.full_like(of_metrics.TARGET, 100))["mae"]
        np.testing.assert_allclose(error, np.abs(of_metrics.TARGET - 100.0).mean(axis=(1, 2, 3)))
    finally:
        METRICS.clear()
        METRICS.update(before)
        LOADS.pop("mae", None)


def test_the_dataset_is_trained_on(added, tmp_path, client_grid):
    generator = np.random.default_rng(0)
    for part in ("train", "held-out"):
        (tmp_path / "clips" / part).mkdir(parents=True)
        for name in "ab":
            clip = generator.integers(0, 256, (6, 50, 64, 3), np.uint8)
            np.save(tmp_path / "clips" / part / f"{name}.npy", clip)
    words = f"{SMOKE} rounds=1 data.folder='{tmp_path / 'clips'}'"
    settings = config.compose({"data": "array_files", "overrides": words})
    data = build(settings.data)
    assert [shot.name for shot in data.train()] == ["train/a", "train/b"]
    assert {shot.high.shape for shot in data.held_out()} == {(6, 48, 64, 3)}
    run = Run(settings, client_grid(2), tmp_path / "runs").go()
    assert [line["refused"] for line in run.lines("train")] == [[]]
    shutil.rmtree(tmp_path / "clips" / "train")
    with pytest.raises(DataError, match=r"expected arrays in '.*clips/train', found none"):
        data.train()
