"""Promises: weights of any family are read without running their code, and fit to the last name, or don't."""

import pickle
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from safetensors.torch import save_file

from fedvsr_core.checkpoints.official import convert_weights, read_published
from fedvsr_core.errors import CheckpointError

WEIGHTS = {"first.weight": torch.ones(2, 3), "first.bias": torch.zeros(2)}


def prefixed(prefix, weights=WEIGHTS):
    return {prefix + name: tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (WEIGHTS, ""),
        ({"params": WEIGHTS}, "params"),
        ({"params": prefixed("module.")}, "params"),
        ({"params": prefixed("", {"first.weight": torch.zeros(1)}), "params_ema": WEIGHTS}, "params_ema"),
        (
            {
                "meta": {"epoch": 1},
                "state_dict": prefixed("generator.") | {"step_counter": torch.zeros(1)},
            },
            "state_dict",
        ),
        ({"state_dict": prefixed("module.generator.")}, "state_dict"),
        ({"state_dict": prefixed("generator.module."), "optimizer": {}}, "state_dict"),
    ],
    ids=[
        "bare",
        "basicsr",
        "parallel",
        "moving average",
        "mmediting",
        "parallel mmediting",
        "inner parallel",
    ],
)
def test_containers(content, entry, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    published = read_published(tmp_path / "weights.pth")
    assert published.entry == entry
    assert set(published.state) == set(WEIGHTS)
    assert all(torch.equal(published.state[name], WEIGHTS[name]) for name in WEIGHTS)


def test_an_entry_that_is_asked_for(tmp_path):
    torch.save({"params": WEIGHTS, "params_ema": prefixed("x.")}, tmp_path / "weights.pth")
    assert set(read_published(tmp_path / "weights.pth", "params").state) == set(WEIGHTS)
    with pytest.raises(CheckpointError, match=r"has no entry 'model'; there are: 'params', 'params_ema'$"):
        read_published(tmp_path / "weights.pth", "model")


def test_safetensors(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    assert set(read_published(tmp_path / "weights.safetensors").state) == set(WEIGHTS)


class Harmful:
    """Would run code when it is read."""

    def __reduce__(self):
        return print, ("harm",)


def test_code_is_not_run(tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(b"")
    torch.save({"params": WEIGHTS, "more": Harmful()}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="holds more than tensors and could run code"):
        read_published(tmp_path / "weights.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", pickle.dumps([1])], ids=["empty", "text", "list"]
)
def test_what_is_no_file_of_weights(content, suffix, tmp_path):
    path = (tmp_path / "weights").with_suffix(suffix)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\."):
        read_published(path)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"^no file of weights at '.*x\.pth': No such file"):
        read_published(tmp_path / "x.pth")


def test_more_than_tensors_under_the_entry(tmp_path):
    torch.save({"params": {"iteration": 7}}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"must hold plain tensors by name, .* got 'iteration'$"):
        read_published(tmp_path / "weights.pth")


def test_adopting_renames_and_casts():
    own = {"a.weight": torch.zeros(2), "a.count": torch.zeros(1, dtype=torch.int64)}
    state = {"a.count": torch.tensor([5], dtype=torch.int32), "b.weight": torch.ones(2, dtype=torch.float16)}
    converted = convert_weights(state, own, lambda name: name.replace("b.", "a."))
    assert list(converted) == list(own)
    assert converted["a.weight"].dtype == torch.float32
    assert converted["a.count"].tolist() == [5]


def test_every_name_that_does_not_fit_is_told():
    own = {f"layer{number}.weight": torch.zeros(2) for number in range(9)}
    state = {"layer0.weight": torch.zeros(3)} | {f"other{number}": torch.zeros(1) for number in range(9)}
    with pytest.raises(CheckpointError) as raised:
        convert_weights(state, own)
    missing, unexpected, shapes = str(raised.value).split(";")
    assert all(f"layer{number}.weight" in missing for number in range(1, 9))
    assert all(f"other{number}" in unexpected for number in range(9))
    assert "layer0.weight (3,) instead of (2,) of another shape" in shapes


def test_two_names_for_one_weight():
    with pytest.raises(CheckpointError, match=r"has some weights twice: b\.weight by another name too$"):
        convert_weights(
            {"a.weight": torch.zeros(1), "b.weight": torch.zeros(1)}, {}, lambda name: name.replace("b", "a")
        )


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "a.pth")
    with ZipFile(tmp_path / "a.pth") as whole, ZipFile(tmp_path / "b.pth", "w", ZIP_DEFLATED) as bomb:
        for entry in whole.namelist():
            bomb.writestr(entry, whole.read(entry))
    assert read_published(tmp_path / "a.pth").state["a"].shape == (10**6,)
    with pytest.raises(CheckpointError, match=r"b\.pth' has .* bytes, but would unpack to 400"):
        read_published(tmp_path / "b.pth")


@pytest.mark.parametrize(
    "content",
    [
        {1: torch.zeros(2)},
        {"params": {1: torch.zeros(2)}},
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, device="meta")},
        {"a": [torch.zeros(2)]},
        {"a": {"b": torch.zeros(2)}},
        {},
    ],
    ids=str,
)
def test_only_plain_tensors_by_name_are_weights(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="must hold plain tensors by name"):
        read_published(tmp_path / "a.pth")
