"""Promises: a run-config becomes checked settings, or one error that lists all that is wrong with it."""

import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from server_app.config import CHOICES, compose, load, options, save

GROUPS = ("data", "degradation", "experiment", "loss", "model", "optimiser", "partition", "strategy")
NEEDED = {
    **dict.fromkeys(("videos", "store", "reds", "vid4", "udm10", "spmcs", "vimeo90k"), "data.folder=/videos"),
    "kinetics": "data.to_train.folder=/videos",
    "pairs": "data.folder=/videos data.low_folder=/low",
    **dict.fromkeys(("main_less", "overhead", "ablation", "local_epochs"), "data.folder=/videos"),
    **dict.fromkeys(("clients_120", "clients_240", "upload_failure"), "data.folder=/videos"),
    "main_more": "data.to_train.folder=/videos data.held_out_folder=/others",
}
"""What options without a complete set of defaults ask for."""


@pytest.fixture(autouse=True)
def runs(monkeypatch, tmp_path):
    monkeypatch.setenv("FEDVSR_RUNS", str(tmp_path / "runs"))


def problems_of(run_config):
    with pytest.raises(ConfigurationError) as caught:
        compose(run_config)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{len(lines)} problem(s) in the configuration:"
    assert all(line.startswith("  - ") for line in lines)
    return [line.removeprefix("  - ") for line in lines]


def overridden(text):
    return compose({"data": "synthetic", "overrides": text})


def test_an_empty_run_config_gives_the_defaults(tmp_path):
    settings = compose({"experiment": "", "model": "", "strategy": "", "data": "", "overrides": ""})
    assert settings == compose({})
    assert settings.names == {
        "model": "recurrent",
        "loss": "fedvsr_smooth",
        "schedule": "constant",
        "strategy": "fedvsr_ahead",
        "optimiser": "adam",
        "data": "sample",
        "degradation": "bi",
        "partition": "equal",
        "screening": "default",
        "protocol": "sample",
        "experiment": "quickstart",
    }
    assert settings.run.root == str(tmp_path / "runs")
    assert (settings.rounds, settings.training.steps) == (8, 30)  # the experiment's, not config.yaml's


def test_the_run_config_of_the_app_is_what_compose_takes():
    config = (
        (Path(__file__).parents[3] / "pyproject.toml").read_text().partition("[tool.flwr.app.config]\n")[2]
    )
    keys = re.findall(r"^(\w+) = \"\"$", config.partition("\n\n")[0], re.MULTILINE)
    assert keys == [*CHOICES, "overrides"]


TOGETHER = {
    # keys
    "model.widht=3": "override 'model.widht=3': there is no key 'model.widht'; did you mean 'model.width'?",
    "run.zzzzzz=3": "override 'run.zzzzzz=3': there is no key 'run.zzzzzz'; there are: run.command, ",
    "zzz=3": "override 'zzz=3': there is no key 'zzz'; there are: cohort, data, degradation, evaluation, ",
    "+zzz=4": "override '+zzz=4': there is no key 'zzz'; there are: cohort, data, ",
    "+zzz.a=3": "override '+zzz.a=3': there is no key 'zzz.a'; there are: cohort, data, ",
    "names.model=x": "override 'names.model=x': there is no key 'names.model'",
    "+names.x=x": "override '+names.x=x': there is no key 'names.x'",
    "hydra.run.dir=/x": "override 'hydra.run.dir=/x': there is no key 'hydra.run.dir'",
    "hydra/launcher=basic": "override 'hydra/launcher=basic': there is no key 'hydra/launcher'",
    "=3": "override '=3': there is no key ''",
    "+training.extra=3": "training.extra: Extra inputs are not permitted, got 3",
    "+model.colour=2": "model.colour: fedvsr_core.models.recurrent.Recurrent has no such argument; there",
    "~model.blocks": "model.blocks: fedvsr_core.models.recurrent.Recurrent needs this argument",
    "~cohort.wait_s": "cohort.wait_s: Field required",
    # names from elsewhere
    "lr=1": "override 'lr=1': there is no key 'lr'; did you mean 'optimiser.lr'?",
    "batch_size=8": "there is no key 'batch_size'; did you mean 'training.batch'?",
    "epochs=2": "there is no key 'epochs'; did you mean 'training.epochs'?",
    # form
    "seed": "override 'seed' isn't of the form key=value",
    "[0.9,": "override '[0.9,' isn't of the form key=value",
    "evaluation.every=1,2": "override 'evaluation.every=1,2' must give one value",
    "model=recurrent,recurrent": "override 'model=recurrent,recurrent' must give one value",
    "seed=é": "override 'seed=é' isn't of the form key=value; write a value with blanks, commas or ",
    "+model=recurrent": "override '+model=recurrent' must be of the form model=NAME",
    "~model": "override '~model' must be of the form model=NAME",
    "data@extra=sample": "override 'data@extra=sample' must be of the form data=NAME",
    # options
    "loss=charbonier": "loss=charbonier: no such option; did you mean 'charbonnier'?",
    "partition=../../etc": "partition=../../etc: no such option; there are: ",
    "degradation=null": "degradation=null: no such option; there are: ",
    # types and ranges
    "rounds=ten": "rounds: must be a whole number, got ten",
    "seed=-1": "seed: Input should be greater than or equal to 0, got -1",
    "training.patch=3": "training.patch: Input should be greater than or equal to 4, got 3",
    "evaluation=3": "evaluation: must be a section, key by key, got 3",
    "model.width=wide": "model.width: must be a whole number, got wide",
    "model.scale='\"4\"'": 'model.scale: must be a whole number, got "4"',
    "optimiser.lr=fast": "optimiser.lr: must be a number, got fast",
    "strategy.server.threshold=x": "strategy.server.threshold: must be a number, got x",
    "loss.parts.charbonnier.loss.eps=x": "loss.parts.charbonnier.loss.eps: must be a number",
    "optimiser.betas=[nan,0.9]": "optimiser.betas: numbers must be finite, but betas[0] is nan",
    "optimiser.weight_decay=-1": "optimiser.weight_decay: input should be greater than or equal to 0, got -1",
    "+optimiser.eps=inf": "optimiser.eps: numbers must be finite, but eps is inf",
    # targets
    "data._target_=os.system": "data: _target_ must name a class below fedvsr_core., ",
    "~partition._target_": "partition: _target_ must name a class below fedvsr_core., ",
    "strategy.client._target_=fedvsr_core.data.sample.Path": "strategy.client: _target_ must name a class",
    "degradation._target_=fedvsr_core.metrics.vmaf.subprocess.Popen": "can't be imported: No module named ",
    "loss.parts.high-frequency.loss._target_=builtins.eval": "loss.parts.high-frequency.loss: _target_ must",
}  # fmt: skip
"""Overrides that are wrong, all in one run-config, and what each is answered."""


@pytest.fixture(scope="module")
def answers():
    return problems_of({"overrides": " ".join(TOGETHER)})


@pytest.mark.parametrize("override", TOGETHER)
def test_each_wrong_override_is_answered(answers, override):
    assert len([answer for answer in answers if TOGETHER[override] in answer]) == 1


def test_nothing_else_is_answered(answers):
    assert len(answers) == len(TOGETHER)


@pytest.mark.parametrize(
    ("run_config", "sentence"),
    [
        (
            {"rounds": 3},
            "run-config key 'rounds' is unknown; write overrides=\"rounds=...\"",
        ),
        ({"experiment": "null"}, "experiment=null: no such option; there are: "),
        ({"overrides": "evaluation.metrics=3"}, "evaluation.metrics: must be a list such as [a,b], got 3"),
        ({"model": 3}, "model=3: no such option; there are: "),
        ({"model": "recurrent x=1"}, "override 'model=recurrent x=1' isn't of the form key=value"),
        ({"overrides": 3}, "override '3' isn't of the form key=value"),
        ({"overrides": "seed='1"}, "overrides can't be split into words: No closing quotation"),
        ({"overrides": "+seed=1"}, "Could not append to config. An item is already at 'seed'."),
        ({"overrides": "strategy.server=3"}, "strategy.server: must be a section, key by key, got 3"),
        ({"overrides": "run.root=${nowhere}"}, "run.root: Interpolation key 'nowhere' not found"),
        ({"overrides": "start.weights=${oc.env:HOME}"}, "start.weights: a value may refer to another key"),
        ({"overrides": "'start.weights=\"a${oc.env:HOME}\"'"}, "start.weights: a value may refer"),
        ({"overrides": "start.weights=${run.root}"}, "start.weights: a value may refer to another key"),
        ({"overrides": "start.weights=${oc.decode:x}"}, "start.weights: a value may refer to another key"),
        ({"overrides": "evaluation.metrics=[${oc.env:HOME}]"}, "evaluation.metrics[0]: a value may refer"),
        ({"overrides": "seed=" + "9" * 6000}, "override 'seed=999"),
        ({"data": "videos"}, 'data.folder has no default; give it with overrides="data.folder=..."'),
        (
            {"overrides": "cohort.clients_per_round=1 cohort.min_replies=2"},
            "cohort.min_replies is 2, but only 1 clients take part in a round",
        ),
    ],
    ids=str,
)
def test_what_else_is_refused(run_config, sentence):
    assert [problem for problem in problems_of(run_config) if problem.startswith(sentence)]


def test_choices_and_overrides_are_answered_together():
    found = problems_of(
        {"modle": "x", "strategy": "fedvsrr", "data": "videos", "overrides": "rounds=0 run.rot=1"}
    )
    assert found == [
        "run-config key 'modle' is unknown; did you mean 'model'?",
        "strategy=fedvsrr: no such option; did you mean 'fedvsr'?",
        "override 'run.rot=1': there is no key 'run.rot'; did you mean 'run.root'?",
        'data.folder has no default; give it with overrides="data.folder=..."',
        "rounds: Input should be greater than or equal to 1, got 0",
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "rounds=3 seed=1 seed=2 ++evaluation.every=4 training.clip_norm=1.5 optimiser.betas=[0.8,0.9]"
            " run.root='/a b/c' loss.parts.high-frequency.weight=0.5 model='recurrent'",
            {
                "rounds": 3,
                "seed": 2,
                "evaluation.every": 4,
                "training.clip_norm": 1.5,
                "optimiser.betas": [0.8, 0.9],
                "run.root": "/a b/c",
                "loss.parts.high-frequency.weight": 0.5,
                "names.model": "recurrent",
            },
        ),
        (
            "'optimiser.betas=[0.8, 0.9]' training.clip_norm=null \"run.root='/a,b'\" loss=charbonnier",
            {
                "optimiser.betas": [0.8, 0.9],
                "training.clip_norm": None,
                "run.root": "/a,b",
                "names.loss": "charbonnier",
            },
        ),
    ],
    ids=["plain", "quoted"],
)
def test_overrides(text, values):
    settings = OmegaConf.create(overridden(text).model_dump())
    assert {place: OmegaConf.select(settings, place) for place in values} == values


def test_one_scale_rules_all():
    settings = overridden("degradation.scale=2")
    assert {settings.data["scale"], settings.partition["scale"], settings.model["scale"]} == {2}


def test_one_seed_rules_all():
    assert overridden("seed=5").data["seed"] == 5


def test_the_run_config_wins_over_the_experiment():
    settings = compose({"experiment": "smoke", "strategy": "fedavg", "overrides": "rounds=7"})
    assert settings.names["data"] == "synthetic"
    assert settings.names["strategy"] == "fedavg"
    assert (settings.rounds, settings.training.steps) == (7, 2)
    assert compose({"experiment": "smoke", "data": "sample"}).names["data"] == "sample"


def test_a_strategy_brings_its_loss_unless_another_is_asked_for():
    assert compose({"strategy": "fedvsr"}).names["loss"] == "fedvsr"
    assert compose({"strategy": "fedavg"}).names["loss"] == "charbonnier"
    assert compose({"strategy": "fedvsr", "overrides": "loss=charbonnier"}).names["loss"] == "charbonnier"
    assert compose({"strategy": "fedavg", "overrides": "loss=fedvsr"}).names["loss"] == "fedvsr"


def test_the_folder_of_runs_is_below_home_by_default(monkeypatch):
    monkeypatch.delenv("FEDVSR_RUNS")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert compose({}).run.root == "~/fedvsr-runs"


def test_composing_leaves_no_trace():
    assert overridden("seed=3").seed == 3
    assert overridden("").seed == 0


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_options(group):
    assert options(group)


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group in GROUPS for option in options(group)]
)
def test_every_option_composes_and_builds(group, option):
    settings = compose({"overrides": f"{group}={option} {NEEDED.get(option, '')}"})
    assert settings.names[group] == option
    model = build(settings.model)
    assert build(settings.loss)
    assert build(settings.optimiser, params=model.parameters()).param_groups
    for component in (settings.data, settings.degradation, settings.partition, settings.strategy.client):
        assert build(component)
    assert build(settings.strategy.server, num_rounds=settings.rounds)
    assert isinstance(model, torch.nn.Module)


def test_a_yaml_says_nothing_of_this_machine():
    texts = {path: path.read_text() for path in (Path(__file__).parents[3] / "conf").rglob("*.yaml")}
    assert len(texts) >= len(GROUPS)
    for path, text in texts.items():
        values = [line.partition(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert not [value for value in values if re.search(r":\s*['\"]?(/|~|cuda|[A-Z]:\\)", value)], path


def test_saved_settings_come_back(tmp_path):
    settings = compose({"data": "videos", "overrides": "\"data.folder='/ä ö/#c'\" training.clip_norm=inf"})
    save(settings, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == settings


def test_saved_settings_are_plain_and_resolved(tmp_path):
    save(overridden("seed=3"), tmp_path / "config.yaml")
    text = (tmp_path / "config.yaml").read_text()
    assert "${" not in text
    assert text.startswith("seed: 3\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "can't be read as a saved configuration: .*No such file"),
        (b"a: [", "can't be read as a saved configuration: "),
        (b"\xff\xfe\xfa", "can't be read as a saved configuration: "),
        (b"- 1\n- 2\n", "must hold a saved configuration, got a list"),
        (b"", r"problem\(s\) in the configuration:\n  - seed: Field required"),
        (b"seed: 0\n", r"problem\(s\) in the configuration:\n  - rounds: Field required"),
    ],
    ids=["missing", "no yaml", "no text", "a list", "empty", "incomplete"],
)
def test_files_that_hold_no_settings(tmp_path, content, sentence):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=sentence):
        load(path)


def test_a_saved_file_names_no_foreign_code_either(tmp_path):
    path = tmp_path / "config.yaml"
    save(overridden(""), path)
    path.write_text(path.read_text().replace("fedvsr_core.models.recurrent.Recurrent", "os.system"))
    with pytest.raises(ConfigurationError, match="model: _target_ must name a class below"):
        load(path)
