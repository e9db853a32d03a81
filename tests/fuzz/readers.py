"""Malformed inputs to every reader: for each kind cases of a name, what a refusal must name, and a reading.

A reading returns sentences where a reader says something without an error, such as what it leaves out.
"""

import json
import logging
import os
import pickle
import struct
import zipfile
import zlib
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from rich.console import Console
from safetensors.torch import save
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr.comparison.trials import _plan_of_earlier
from fedvsr.deploy.certificates import days_left, hosts_of, issue, make_authority, read_certificate
from fedvsr.deploy.node_keys import fingerprint, make_node_key
from fedvsr.deploy.server import Server
from fedvsr.deploy.site import Site
from fedvsr.evaluation.score_files import read_scores
from fedvsr.run_config import parse_run_config
from fedvsr.runs import state_of
from fedvsr.watch.terminal import screen
from fedvsr_core.checkpoints.official import read_published
from fedvsr_core.checkpoints.store import encode, load_model
from fedvsr_core.components import build
from fedvsr_core.data.clips import Clip
from fedvsr_core.data.frames import probe, read_frames
from fedvsr_core.data.images import image_size, read_image
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.store import CLIP, STORE, ClipStore
from fedvsr_core.errors import DataError
from fedvsr_core.flower.code import code_digest, digest_of_app
from fedvsr_core.flower.evaluation_report import WHOSE, EvaluationReport
from fedvsr_core.metrics.average import Mean
from server_app.asking import Answer, RefusedError
from server_app.checkpoints import load_round
from server_app.client_evaluation import _read as read_scores_of_client
from server_app.cohort import _introduction
from server_app.config import compose, load, load_component
from server_app.config import save as save_configuration
from server_app.page.pictures import crops_of
from server_app.page.run_page import run_page
from server_app.records.crop_series import INDEX, CropSeries, side_by_side
from server_app.records.history import evaluations
from server_app.records.journal import read_checked
from server_app.records.refusals import persistent_offenders, refusals
from server_app.records.run_dir import RunDir
from server_app.records.summary import summary
from server_app.tracking.numbers import numbers_of
from tests.fuzz.mutations import STRANGE, damaged, json_of, spoilt

MODEL = {"_target_": "fedvsr_core.models.recurrent.Recurrent", "width": 4, "blocks": 1, "scale": 4}


def _png(width, height, more=b""):
    def chunk(kind, content):
        head = struct.pack(">I", len(content)) + kind + content
        return head + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def _text_bomb(size):
    content = b"Comment\0\0" + zlib.compress(bytes(size))
    head = struct.pack(">I", len(content)) + b"zTXt" + content
    return head + struct.pack(">I", zlib.crc32(b"zTXt" + content))


def _bmp(width, height):
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def _tiff(width, height):
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def _noise(rng, *shape):
    return np.random.default_rng(rng.randrange(2**32)).integers(0, 256, shape, dtype=np.uint8)


def _encoded(rng, suffix):
    return cv2.imencode(suffix, _noise(rng, 24, 32, 3))[1].tobytes()


def images(rng, count, folder):
    """Images: damaged, of absurd sizes, and text that unpacks to more than it is."""
    absurd = [
        *((".png", _png(side, side)) for side in (20_000, 60_000, 2**31 - 1)),
        *((".bmp", _bmp(side, side)) for side in (20_000, 2**31 - 1, -1)),
        *((".tif", _tiff(side, side)) for side in (0, 60_000, 2**32 - 1)),
        (".png", _png(32, 24, _text_bomb(200_000_000))),
    ]
    for number in range(count):
        suffix = rng.choice([".png", ".jpg", ".webp", ".tif", ".bmp"])
        content = damaged(rng, _encoded(rng, suffix)) if number >= len(absurd) else absurd[number][1]
        suffix = suffix if number >= len(absurd) else absurd[number][0]
        path = folder / f"image-{number}{suffix}"
        path.write_bytes(content)
        yield path.name, path.name, partial(_read_image, path)


def _read_image(path):
    image_size(path)
    for how in ({}, {"deep": True}, {"as_stored": True}):
        read_image(path, **how)


def _video(rng, kind, codec, path):
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 32, 24
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for frame in _noise(rng, 8, 24, 32, 3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame).reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    return path.read_bytes()


def videos(rng, count, folder):
    """Videos in several containers: damaged, and what only looks like one."""
    kinds = [
        ("mp4", "libx264"),
        ("matroska", "ffv1"),
        ("avi", "mpeg4"),
        ("gif", "gif"),
        ("mpegts", "mpeg2video"),
    ]
    sound = [_video(rng, kind, codec, folder / "sound") for kind, codec in kinds]
    gif = b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    whole = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\x00;"
    others = [
        b"",
        b"#EXTM3U\nhttp://127.0.0.1:1/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        gif + whole,
    ]
    for number in range(count):
        content = others[number] if number < len(others) else damaged(rng, rng.choice(sound))
        path = folder / f"video-{number}{rng.choice(['.mp4', '.mkv', '.avi', '.gif', '.ts'])}"
        path.write_bytes(content)
        yield path.name, path.name, partial(_read_video, path)


def _read_video(path):
    probe(path)
    for _ in read_frames(path):
        pass
    for _ in read_frames(path, 3, 5):
        pass


class _Warnings(logging.Handler):
    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


def folders(rng, count, folder):
    """Folders of sound clips and a malformed one beside them: that is named, and the others are read."""
    for number in range(count):
        root = folder / f"folder-{number}"
        root.mkdir()
        _video(rng, "matroska", "ffv1", root / "sound.mkv")
        name = rng.choice([b"bad", b"b\xffd", b"b\nd", b"b\x1b[2Jd", b"<b>", b"%s", b"b d", "bäd".encode()])
        kind = rng.randrange(3)
        bad = root / os.fsdecode(name + [b".mkv", b".gif", b""][kind])
        if kind == 2:
            bad.mkdir()
            (bad / "1.png").write_bytes(_png(60_000, 60_000))
        else:
            bad.write_bytes(rng.choice([b"", b"no video", rng.randbytes(500)]))
        yield root.name, "left out", partial(_read_folder, root)


def _read_folder(root):
    heard = _Warnings()
    logger = logging.getLogger("fedvsr_core")
    logger.addHandler(heard)
    try:
        (shot,) = detect(str(root), scale=4).train()
        assert shot.clip().high.shape == (8, 24, 32, 3)
    finally:
        logger.removeHandler(heard)
    return [json.loads(json.dumps(text)).replace("\n", "") for text in heard.said if text.isprintable()]


def _state(seed=0):
    torch.manual_seed(seed)
    return {name: torch.randn_like(tensor) for name, tensor in build(MODEL).state_dict().items()}


def model_files(rng, count, folder):
    """Model files: damaged bytes, absurd settings, weights that aren't numbers, histories of other runs."""
    for number in range(count):
        settings, state, facts = MODEL, _state(), {"round": "3", "history": '{"norms": {}, "counted": {}}'}
        match number % 6:
            case 0:
                content = damaged(rng, encode(state, settings, facts))
            case 1:
                key, value = rng.choice([*MODEL, "_target_", "depth"]), rng.choice([10**9, 10**30, *STRANGE])
                content = encode(state, {**MODEL, key: value}, facts)
            case 2:
                name = rng.choice(list(state))
                state[name].reshape(-1)[0] = rng.choice([float("nan"), float("inf")])
                content = encode(state, settings, facts)
            case 3:
                text = rng.choice(
                    ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "", "null", '{"a": NaN}', "\x00"]
                )
                content = save(state, {**facts, "format": "fedvsr-1", "model": text})
            case 4:
                target = rng.choice(
                    ["os.system", "fedvsr_core.models.vrt.VRT", "torch.optim.SGD", "", "a.b.c"]
                )
                content = encode(state, {"_target_": target, **spoilt(rng, {"width": 4, "scale": 4})}, facts)
            case _:
                facts = {
                    **facts,
                    rng.choice(["round", "history", "score"]): rng.choice(["", "x", "[1]", "{" * 9999]),
                }
                del state[rng.choice(list(state))]
                content = encode(state, settings, facts)
        path = folder / f"model-{number}.safetensors"
        path.write_bytes(content)
        yield path.name, path.name, partial(_read_model, path)


def _read_model(path):
    load_round(path)
    load_model(path)


class _Runs:
    """An object that would run a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/fedvsr-fuzz-was-here",)


def published_weights(rng, count, folder):
    """Files of torch.save: damaged, pickles that name code, archives that unpack to more, strange tensors."""
    weights = {"a": torch.zeros(100), "b": torch.ones(3)}
    buffer, old = BytesIO(), BytesIO()
    torch.save({"params": weights}, buffer)
    torch.save({"params": weights}, old, _use_new_zipfile_serialization=False)
    strange = [
        {1: torch.zeros(2)},
        {"a": 1},
        {"params": {1: torch.zeros(2)}},
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, device="meta")},
        [],
        torch.zeros(3),
        {"params": {"params": weights}},
        {"a\n\x1b": "b"},
    ]
    for number in range(count):
        path = folder / f"weights-{number}.pth"
        match number % 5:
            case 0:
                path.write_bytes(damaged(rng, buffer.getvalue()))
            case 1:
                path.write_bytes(damaged(rng, old.getvalue()))
            case 2:
                torch.save(strange[number // 5 % len(strange)], path)
            case 3:
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
                    bomb.writestr("archive/data.pkl", pickle.dumps(rng.choice([{}, weights])))
                    bomb.writestr("archive/data/0", bytes(rng.choice([10**3, 10**8])))
            case _:
                deep = []
                for _ in range(rng.choice([10, 100])):
                    deep = [deep]
                path.write_bytes(
                    pickle.dumps(rng.choice([_Runs(), {"a": _Runs()}, deep, 10**1000, {"a": b"x"}]))
                )
        yield path.name, path.name, partial(_discard, read_published, path, rng.choice([None, "params"]))


def bundles(rng, count, folder):
    """Bundles of an app: damaged, too large, and with files that would lie elsewhere."""
    sound = BytesIO()
    with zipfile.ZipFile(sound, "w") as bundle:
        for package in ("client_app", "fedvsr_core"):
            bundle.writestr(f"{package}/a.py", "x = 1\n" * 50)
    for number in range(count):
        path = folder / f"bundle-{number}.fab"
        match number % 3:
            case 0:
                path.write_bytes(damaged(rng, sound.getvalue()))
            case 1:
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
                    for part in range(2):
                        bomb.writestr(f"client_app/{part}", bytes(60_000_000))
            case _:
                with zipfile.ZipFile(path, "w") as bundle:
                    bundle.writestr(rng.choice(["../../x.py", "/tmp/x.py", "client_app", "a\\b", "x"]), "x")
        yield path.name, path.name, partial(_digest, path)


def _digest(path):
    digest_of_app(path)


def yaml_files(rng, count, folder):
    """Saved configurations and components: damaged, deep, with aliases, with keys that are no words."""
    save_configuration(compose({"data": "synthetic"}), folder / "sound")
    sound = (folder / "sound").read_bytes()
    laughs = "a0: &a0 [x]\n" + "".join(
        f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9)
    )
    texts = [
        *(
            laughs,
            "[" * 20_000,
            "1: 2\n3: {4: 5}",
            "a: !!python/object/apply:os.system [ls]",
            "- a\n- b",
            "x",
            "",
        ),
        *(
            "_target_: 1\n2: 3",
            "_target_: fedvsr_core.metrics.protocol.Protocol\n1: 2",
            "\x00",
            "a: b: c",
            "? [a]",
        ),
    ]
    for number in range(count):
        path = folder / f"config-{number}.yaml"
        path.write_bytes(texts[number % len(texts)].encode() if number % 2 else damaged(rng, sound))
        yield path.name, "", partial(rng.choice([load, load_component]), path)


def run_configs(rng, count, folder):
    """Run configurations as people write them: names, values, overrides and quotes that there can't be."""
    words = [
        *(
            "data.folder=${oc.env:HOME}",
            "data.folder='${oc.env:PATH}'",
            "seed=${run.root}",
            "model.width=${hydra:x}",
        ),
        *(
            "data.folder=${oc.decode:${oc.env:HOME}}",
            "a=1",
            "=",
            "'",
            "+x.y=1",
            "~model",
            "model=vrt,rvrt",
            "seed=a",
        ),
        *("rounds=-1", "rounds=1e999", "model.width=1000000000", "seed=" + "[" * 5000, "seed=" + "9" * 6000),
        *(
            "hydra.run.dir=/x",
            "data.folder=a\nb",
            "training.batch=nan",
            "model@x=vrt",
            "model.scale=${nowhere}",
        ),
        *(
            "optimiser.lr=[1]",
            "loss.parts={}",
            "partition=null",
            "data=null",
            "model._target_=os.system",
            "\x1b[2J=1",
        ),
        *("degradation.scale={a: {b: 1}}", "evaluation.metrics=[x]", "training.patch=1000000000", "cohort=1"),
    ]
    for number in range(count):
        if number < len(words):
            given = {"overrides": words[number]}
        else:
            given = {
                rng.choice(["model", "strategy", "data", "experiment", "overrides", "extra"]): rng.choice(
                    STRANGE[2:]
                )
                for _ in range(2)
            }
        yield f"run-config-{number}", "", partial(_read_run_config, given)


def _read_run_config(given):
    parse_run_config(" ".join(f"{key}={json.dumps(value)}" for key, value in given.items()))
    compose(given)


def toml_files(rng, count, folder):
    """server.toml and site.toml: damaged, with other types, absurd ports, hosts, names and paths."""
    site = {"site": "north", "data-dir": "/v", "server": "a:1", "port": 9094, "epsilon": 1.0, "devices": 1}
    server = {"hosts": ["a.example"], "port": 9092, "superlink-port": 9093}
    bad = [
        *({"port": port} for port in (0, -1, 99_999, 10**30, "1", 1.5, True)),
        *(
            {"server": address}
            for address in ("a..b:1", "a:0", "a:99999", "::1:1", "[::1]", "a", "a:1\n", "-a:1")
        ),
        *(
            {"hosts": [host]}
            for host in ("a..b", "-a", "a b", "a\nb", "1.2.3.400", "[::1]", "é", "x" * 64, "")
        ),
        *({"site": name} for name in ("", "a b", "../a", "<b>", "a\n", "x" * 65, "é")),
        *({"data-dir": path} for path in ("", "a\nb", "a$b", '"', "%h", "\x1b", "a:b")),
    ]
    for number in range(count):
        path = folder / f"settings-{number}.toml"
        if number < len(bad):
            of = server if "hosts" in bad[number] else site
            values = {**of, **bad[number]}
        else:
            of = rng.choice([site, server])
            values = spoilt(rng, of)
        values = values if isinstance(values, dict) else {"a": "b"}
        text = "\n".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in values.items())
        content = (
            text.encode() if number % 5 else rng.choice([damaged(rng, text.encode()), b"a=" + b"[" * 5000])
        )
        path.write_bytes(content)
        yield path.name, path.name, partial((Server if of is server else Site).read, path)


def _lines():
    scores = {"psnr-y": 30.0, "ssim-y": 0.9}
    client = {"client": "c0", "node": "1", "loss": 0.1, "weight": 0.5, "seconds": 1.0, "peak-memory-mb": 10.0}
    protocol = compose({}).protocol
    facts = build(protocol).facts()
    return [
        {"phase": "start", "seed": 0, "rounds": 2, "clients": 2, "names": ["c0"], "versions": {"a": "1"}},
        {
            "phase": "evaluate", "round": 0, "seconds": 1.0, "protocol": facts, **scores,
            "clips": {"a": scores}, "bicubic": {**scores, "clips": {"a": scores}},
        },
        {
            "phase": "train", "round": 1, "seconds": 1.0, "aggregation-seconds": 0.1, "bytes-up": 1,
            "bytes-down": 1, "server-memory-mb": 1.0, "hellinger": 0.1, "mixing": 0.1, "clients": [client],
            "kept-model": False,
            "refused": [{"client": "c1", "node": "2", "code": "norm", "reason": "too long"}],
        },
        {
            "phase": "evaluate-clients", "round": 1, "seconds": 1.0, "protocol": facts, **scores,
            "bicubic": scores, "clips": 3,
            "clients": [{"client": "c0", "clips": 3, "frames": 9, "seconds": 1.0, **scores}],
            "refused": [],
        },
        {"phase": "end", "seconds": 9.0, "outcome": "completed"},
    ]  # fmt: skip


def journals(rng, count, folder):
    """Journals: lines damaged, lost, joined, of other types, and with values of others."""
    for number in range(count):
        run = RunDir(folder / f"run-{number}")
        run.checkpoints.mkdir(parents=True)
        lines = [json.dumps(line).encode() for line in _lines()]
        place = rng.randrange(len(lines) - 1)
        match number % 4:
            case 0:
                lines[place] = damaged(rng, lines[place]).replace(b"\n", b"")
            case 1:
                lines[place] = lines[place][: len(lines[place]) // 2] + lines[place + 1]
            case 2:
                lines[place] = json_of(rng, json.loads(lines[place])).replace(b"\n", b" ")
            case _:
                lines[place] = json.dumps(spoilt(rng, json.loads(lines[place]))).encode()
        run.journal.write_bytes(b"\n".join(lines) + b"\n")
        yield run.path.name, run.path.name, partial(_read_run, run)


def _read_run(run):
    state = state_of(run)
    lines = read_checked(run.journal)
    for text in (*summary(lines, run).splitlines(), state.reason):
        assert text.isprintable(), text
    refusals(lines), persistent_offenders(lines)
    for line in lines:
        numbers_of(line)
    page = run_page(lines, run, running=False).decode()
    assert page.count("<script") == 2
    assert len(page) < 1e6
    Console(file=StringIO(), width=120).print(screen(run))


def crops(rng, count, folder):
    """Crops of a run: an index that is damaged or says other things, pictures damaged, lost or of others."""
    for number in range(count):
        run = RunDir(folder / f"run-{number}")
        run.crop_series.mkdir(parents=True)
        pixels = _noise(rng, 2, 32, 64, 3)
        series = CropSeries(run.crop_series, [Clip(f"c{k}", high[None]) for k, high in enumerate(pixels)], 2)
        for server_round in (0, 1):
            for k, high in enumerate(pixels):
                series.see(f"c{k}", 0, high)
            series.keep(server_round)
        path = rng.choice(sorted(run.crop_series.iterdir()))
        if number % 2:
            path = run.crop_series / INDEX
            path.write_bytes(json_of(rng, json.loads(path.read_bytes())))
        elif number % 8:
            path.write_bytes(damaged(rng, path.read_bytes()))
        else:
            path.unlink()
        yield run.path.name, run.path.name, partial(_read_crops, run)


def _read_crops(run):
    lines = _lines()
    assert run_page(lines, run, running=False).count(b"<script") == 2  # with crops or without
    crops_of(run.crop_series, evaluations(lines))
    for server_round in (0, 1):
        side_by_side(run.crop_series, server_round)


def json_files(rng, count, folder):
    """Plans, scores and clip stores: no JSON, too deep, other types, parts lost."""
    protocol = compose({}).protocol
    facts = build(protocol).facts()
    mean = {"psnr-y": 30.0, "left-out": {}}
    clip = {"mean": mean, "first-frame": 0, "frames": {"psnr-y": [30.0]}}
    scores = {
        "format": "fedvsr-scores-1",
        "protocol": facts,
        "about": {},
        "scores": {"model": {"mean": mean, "clips": {"a": clip}}},
    }
    plan = {"choices": {}, "overrides": "", "clients": 2, "federation": "", "settings": {"fedavg": "ab"}}
    about = {"version": 1, "scale": 4, "degradation": None, "codecs": ""}
    shot = {"name": "a", "size": [4, 16, 16], "high": "0.high.u8", "low": None}
    stored = {
        "number": 0, "folder": "a", "held-out": False, "label": None, "low-is-given": False, "left-out": 0,
        "fingerprint": "", "shots": [shot],
    }  # fmt: skip
    for number in range(count):
        root = folder / f"json-{number}"
        (root / "a").mkdir(parents=True)
        match number % 4:
            case 0:
                path, read = root / "scores.json", partial(read_scores, like=build(protocol), clips=["a"])
                path.write_bytes(json_of(rng, scores))
            case 1:
                path, read = root / "plan.json", partial(_plan_of_earlier, needed=("choices", "clients"))
                path.write_bytes(json_of(rng, plan))
            case 2:
                path, read = root / STORE, lambda path: _read_store(path.parent)
                path.write_bytes(json_of(rng, about))
                (root / "a" / CLIP).write_text(json.dumps(stored))
            case _:
                path, read = root / STORE, lambda path: _read_store(path.parent)
                path.write_text(json.dumps(about))
                (root / "a" / CLIP).write_bytes(json_of(rng, stored))
        (root / "a/0.high.u8").write_bytes(bytes(4 * 3 * 16 * 16))
        yield root.name, root.name, partial(_discard, read, path)


def _discard(read, *given):
    read(*given)


def _read_store(folder):
    store = ClipStore(folder=str(folder), scale=4)
    if problems := store.problems():
        raise DataError("; ".join(problems))
    for shot in store.train():
        shot.clip()


def keys_and_certificates(rng, count, folder):
    """Keys and certificates: damaged, of another kind, or something else."""
    make_authority(folder / "ca.key", folder / "ca.crt")
    issue(folder / "s.key", folder / "s.crt", authority=(folder / "ca.key", folder / "ca.crt"), hosts=["a"])
    make_node_key(folder / "n.key", folder / "n.pub", "north")
    sound = [(folder / name).read_bytes() for name in ("ca.key", "ca.crt", "s.crt", "n.key", "n.pub")]
    for number in range(count):
        path = folder / f"file-{number}"
        path.write_bytes(rng.choice([damaged(rng, rng.choice(sound)), rng.choice(sound), b"", b"\xff"]))
        yield path.name, path.name, partial(_read_keys, path, folder, number % 3)


def _read_keys(path, folder, kind):
    if kind == 0:
        certificate = read_certificate(path)
        hosts_of(certificate), days_left(certificate)
    elif kind == 1:
        fingerprint(path)
    else:
        issue(path, folder / "made", authority=(folder / "ca.key", folder / "ca.crt"), hosts=["a"])


def deploy_arguments(rng, count, folder):
    """Arguments of fedvsr deploy: users, ports, hosts and names that could be something else in a unit."""
    strange = [
        "",
        "root",
        "a\nb",
        "a b",
        "$x",
        "%h",
        "<b>",
        "x" * 300,
        "é",
        "-x",
        "a;b",
        "'",
        '"',
        "\x1b[2J",
        "../a",
    ]
    CliRunner(env={"COLUMNS": "2000"}).invoke(
        app, ["deploy", "server", str(folder / "s"), "--host", "localhost"]
    )
    (folder / "videos").mkdir()
    new = ["--data-dir", str(folder / "videos"), "--ca", str(folder / "s/ca.crt")]
    for number in range(count):
        home, value = str(folder / f"d{number}"), strange[number % len(strange)]
        words = [
            ["server", home, "--host", "localhost", f"--user={value}"],
            ["server", home, f"--host={value}"],
            ["site", home, f"--name={value}", "--server", "localhost:9092", *new],
            ["site", home, "--name", "a", f"--server={value}:9092", *new],
            ["server", home, "--host", "a", f"--port={rng.choice([0, -1, 65536, 99_999, 10**20, 'x'])}"],
        ][number // len(strange) if number < 2 * len(strange) else rng.randrange(5)]
        yield f"deploy-{number}", "", partial(_deploy, words, Path(home))


def _deploy(words, home):
    done = CliRunner(env={"COLUMNS": "2000"}).invoke(app, ["deploy", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert "Traceback" not in done.output
    for unit in home.rglob("*.service"):
        users = [line for line in unit.read_text().splitlines() if line.startswith("User=")]
        assert len(users) == 1
        assert users[0] not in ("User=", "User=root")
        assert unit.read_text().count("ExecStart=") == 1
    if done.exit_code == 0:
        return None
    return [line.replace("\t", " ") for line in done.output.splitlines()]


def _content(records):
    content = RecordDict()
    for name, record in records.items():
        content.__dict__["_data"][name] = record
    return content


def _record(kind, values):
    record = kind()
    record.__dict__["_data"].update(values)
    return record


def _answered(read, content):
    try:
        read(Answer("c0", 1, code_digest(), content, 1.0))
    except RefusedError as error:
        return [str(error).replace("\n", " ") if str(error).isprintable() else repr(str(error))]
    return None


def introductions(rng, count, folder):
    """What nodes say of themselves: records and entries lost, of other types, far too long."""
    sound = {"about": {"client": "c0", "device": "cpu", "code": code_digest()}, "metrics": {"num-clients": 2}}
    for number in range(count):
        values = spoilt(rng, sound)
        values = values if isinstance(values, dict) else {}
        kinds = {"about": ConfigRecord, "metrics": MetricRecord}
        records = {
            name: _record(kinds[name], entries)
            for name, entries in values.items()
            if name in kinds and isinstance(entries, dict)
        }
        yield (
            f"introduction-{number}",
            "it doesn't introduce itself",
            partial(_answered, _introduction, _content(records)),
        )


def scores_of_clients(rng, count, folder):
    """Scores that clients report: counts, sums and seconds that there can't be, and more than was asked."""
    protocol = build(compose({}).protocol)
    mean = Mean(60.0, 2, 0, 0)
    sums = {whose: dict.fromkeys(protocol.reported, mean) for whose in WHOSE}
    report = EvaluationReport("c0", 2, 8, sums, 1.0, code_digest()).pack()
    numbers = dict(report["metrics"])
    for number in range(count):
        changed = dict(numbers)
        name = rng.choice(list(numbers))
        match number % 4:
            case 0:
                del changed[name]
            case 1:
                changed[name] = rng.choice([float("nan"), float("inf"), -1, 10**400, [1.0], 2**60])
            case 2:
                changed |= {f"x{extra}": 1.0 for extra in range(rng.choice([1, 100_000]))}
            case _:
                changed["seconds"] = rng.choice([-1.0, float("inf"), float("nan")])
        content = _content({"metrics": _record(MetricRecord, changed), "about": report["about"]})
        read = partial(read_scores_of_client, protocol=protocol)
        yield f"scores-{number}", "its ", partial(_answered, read, content)
