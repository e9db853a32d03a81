"""A model comes back from its file as it was, its bytes depend on nothing else, and a wrong file is named."""

import json
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from fedvsr_core.checkpoints.store import EXTRA, encode, load_model, read, save_model
from fedvsr_core.components import build
from fedvsr_core.errors import CheckpointError, ConfigurationError

MODEL = {"_target_": "fedvsr_core.models.recurrent.Recurrent", "width": 4, "blocks": 1, "scale": 4}
DTYPES = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_])
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, max_side=3))
)
STATES = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"), ARRAYS, max_size=4
)


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {name: torch.randn_like(tensor) for name, tensor in build(MODEL).state_dict().items()}


def test_a_model_comes_back(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", state(), MODEL, round=7)
    model = load_model(tmp_path / "model.safetensors")
    assert not model.training
    assert model.scale == 4
    torch.testing.assert_close(dict(model.state_dict()), state(), rtol=0, atol=0)


def test_any_safetensors_reader_takes_the_file(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", state(), MODEL, round=7, score=31.5)
    torch.testing.assert_close(load_file(tmp_path / "model.safetensors"), state(), rtol=0, atol=0)
    header = (tmp_path / "model.safetensors").read_bytes()
    metadata = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    assert metadata == {
        "format": "fedvsr-1",
        "model": json.dumps(MODEL, sort_keys=True),
        "round": "7",
        "score": "31.5",
    }


@settings(max_examples=50, deadline=None)
@given(STATES, st.randoms())
def test_equal_content_is_equal_bytes_in_any_order(values: dict[str, np.ndarray], random: Any) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in values.items()}
    facts = {"round": "3", "history": "{}", "score": "31.5", "seed": "0", "zeta": "1"}
    names, keys = list(tensors), list(facts)
    random.shuffle(names)
    random.shuffle(keys)
    shuffled = encode({name: tensors[name] for name in names}, MODEL, {key: facts[key] for key in keys})
    assert shuffled == encode(tensors, dict(reversed(MODEL.items())), facts)


@settings(max_examples=50, deadline=None)
@given(STATES, STATES)
def test_everything_comes_back(
    tmp_path_factory: Any, own: dict[str, np.ndarray], extra: dict[str, np.ndarray]
) -> None:
    own = {name: array for name, array in own.items() if not name.startswith(EXTRA)}
    path = tmp_path_factory.mktemp("store") / "file.safetensors"
    tensors, added = (
        {name: torch.from_numpy(array) for name, array in part.items()} for part in (own, extra)
    )
    path.write_bytes(encode(tensors, MODEL, {"round": "3"}, added))
    file = read(path)
    assert (file.settings, file.facts) == (MODEL, {"round": "3"})
    for part, expected in ((file.state, own), (file.extra, extra)):
        assert part.keys() == expected.keys()
        for name, array in expected.items():
            assert part[name].numpy().dtype == array.dtype
            np.testing.assert_array_equal(part[name].numpy(), array)


def test_tensors_may_share_memory_and_be_views() -> None:
    tensor = torch.arange(12.0).reshape(3, 4)
    tied = encode({"a": tensor, "b": tensor, "c": tensor.T}, MODEL, {})
    assert tied == encode({"a": tensor, "b": tensor.clone(), "c": tensor.T.contiguous()}, MODEL, {})


def test_missing_unexpected_and_misshapen_weights_are_listed(tmp_path: Path) -> None:
    wrong = state()
    del wrong["fuse.weight"]
    wrong |= {f"head.{index}": torch.zeros(1) for index in range(7)}
    wrong["fuse.bias"] = torch.zeros(9)
    save_model(tmp_path / "model.safetensors", wrong, MODEL)
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path / "model.safetensors")
    assert str(caught.value) == (
        f"'{tmp_path}/model.safetensors' can't be loaded: the weights must fit the model, but there are"
        " fuse.weight missing; head.0, head.1, head.2, head.3, head.4 and 2 more unexpected;"
        " fuse.bias (9,) instead of (4,) of another shape"
    )


def test_a_model_of_another_project_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", state(), {"_target_": "os.system", "command": "true"})
    with pytest.raises(ConfigurationError, match="must name a class below fedvsr_core"):
        load_model(tmp_path / "model.safetensors")


def test_settings_that_build_no_model_are_refused(tmp_path: Path) -> None:
    other = {"_target_": "fedvsr_core.models.contract.SizeNeeds", "multiple": 4}
    save_model(tmp_path / "model.safetensors", state(), other)
    with pytest.raises(ConfigurationError, match=r"must name a VideoModel .*, got .*SizeNeeds"):
        load_model(tmp_path / "model.safetensors")


def test_what_is_no_model_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match=r"no file of weights at '.*x\.safetensors'"):
        load_model(path)
    path.write_bytes(b"MZ\x90")
    with pytest.raises(CheckpointError, match=r"x\.safetensors' is damaged or no safetensors file"):
        load_model(path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="convert a published checkpoint of torch with 'fedvsr import-"):
        load_model(tmp_path / "x.pth")
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="wasn't written by this project"):
        load_model(path)
    save_file({"a": torch.zeros(1)}, path, {"format": "fedvsr-1", "model": "Recurrent"})
    with pytest.raises(CheckpointError, match="must name its model in JSON, got 'Recurrent'"):
        load_model(path)
    with pytest.raises(CheckpointError, match="no file of weights"):
        load_model(tmp_path)


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    content = encode({"a": torch.arange(3.0)}, MODEL, {"round": "1"})
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    weights = state()
    name = next(iter(weights))
    weights[name][0] = value
    save_model(tmp_path / "m.safetensors", weights, MODEL)
    with pytest.raises(CheckpointError, match=f"there are {name} not finite"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"width": 1_000_000}, "than .* parameters need|of another shape"),
        ({"width": 10**400}, "Overflow when unpacking long long$"),
        ({"width": "wide"}, "model.width: .* got wide"),
        ({"blocks": 10**9}, "more than [0-9]+ tensors of weights"),
        ({"blocks": 3}, "missing"),
        ({"scale": -1}, "scale"),
        ({"depth": 3}, "has no such argument"),
        ({"_target_": "torch.optim.SGD"}, "VideoModel"),
        ({"_target_": "os.system"}, "must name a class below"),
        ({"width": {"_target_": "fedvsr_core.models.vrt.VRT"}}, "model.width"),
    ],
)
def test_absurd_settings_are_refused_before_memory_is_taken(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    save_model(tmp_path / "m.safetensors", state(), {**MODEL, **changed})
    with pytest.raises((CheckpointError, ConfigurationError), match=why):
        load_model(tmp_path / "m.safetensors")


def test_deep_metadata_are_refused(tmp_path: Path) -> None:
    deep = '{"_target_":' * 100_000 + "1" + "}" * 100_000
    for text in (deep, "[" * 100_000, "1" * 5000, "\x00"):
        save_file(state(), tmp_path / "m.safetensors", {"format": "fedvsr-1", "model": text})
        with pytest.raises(CheckpointError, match="must name its model in JSON") as caught:
            load_model(tmp_path / "m.safetensors")
        assert len(str(caught.value)) < 600
