"""Promises: a page holds what the journal has, escapes it, asks for nothing, and stays small and quick."""

import json
import re
import time

import pytest

from server_app.page.run_page import run_page
from tests.pages import HOSTILE, hostile_journal, long_journal, run_with


def made(tmp_path, lines, **options):
    run = run_with(tmp_path, lines, crops=options.pop("crops", ()))
    return run_page(lines, run, running=options.pop("running", False), **options).decode()


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_what_it_says_of_a_run(tmp_path):
    text = made(tmp_path, long_journal(4, 3), crops=(0, 2, 4))
    assert "<h1>fedvsr, recurrent: 4 of 4 rounds</h1>" in text
    assert '<p class="state good">Completed</p>' in text
    # The gain of the last round is 1.5 - 1.5/4 dB.
    assert "<dt>PSNR-Y above bicubic, round 4</dt><dd>+1.125 dB</dd>" in text
    data = data_of(text)
    titles = [chart["title"] for chart in data["charts"]]
    assert titles[:2] == ["PSNR-Y (dB), mean of the held-out clips", "PSNR-Y above bicubic (dB)"]
    assert {"Training loss", "Part of the loss: charbonnier", "Weight in the average (%)"} <= set(titles)
    # Who is left out: place + round a multiple of 7, which is never so here.
    assert data["grid"]["clients"] == ["site-0", "site-1", "site-2"]
    assert data["grid"]["states"] == ["tttt"] * 3
    assert [picture["round"] for picture in data["crops"]["kinds"][1]["pictures"]] == [0, 2, 4]


@pytest.mark.parametrize(
    ("lines", "options", "state"),
    [
        (long_journal(2, 2)[:-1], {"running": True, "now": "12:00"}, "Running, as of 12:00"),
        (long_journal(2, 2)[:-1], {}, "Killed: it left no last word"),
        ([*long_journal(2, 2)[:-1], {"phase": "end", "outcome": "no nodes"}], {}, "Stopped: no nodes"),
        (long_journal(2, 2)[:1], {"running": True}, "Running"),
    ],
    ids=["running", "killed", "stopped", "begun"],
)
def test_how_a_run_stands(tmp_path, lines, options, state):
    assert f">{state}</p>" in made(tmp_path, lines, **options)


def test_the_grid_knows_who_was_left_out_and_why(tmp_path):
    grid = data_of(made(tmp_path, long_journal(7, 2)))["grid"]
    # Client 0 in round 7, client 1 in round 6.
    assert grid["states"] == ["ttttttx", "tttttxt"]
    assert grid["why"] == {"1,5": 0, "0,6": 1}
    assert grid["reasons"][1] == ["non-finite", "'fuse.weight' holds 7 values that aren't finite"]
    assert grid["numbers"]["loss"][0][6] is None


def test_a_client_that_took_no_part_is_absent(tmp_path):
    lines = long_journal(3, 2)
    lines[0]["names"].append("late")
    assert data_of(made(tmp_path, lines))["grid"]["states"][0] == "..."


def test_hostile_words_are_text(tmp_path):
    text = made(tmp_path, hostile_journal())
    assert text.count("<script") == 2
    assert "onerror" in text
    assert not re.search(r"<(img|svg)\b", text)
    assert "{{" not in re.sub(r"<script.*", "", text, flags=re.S).replace("{{ 7*7 }}", "")
    assert "\u202e" not in text
    assert HOSTILE[0] not in text
    assert [name for name in data_of(text)["grid"]["clients"] if "hit" in name]


def test_it_asks_for_nothing(tmp_path):
    text = made(tmp_path, long_journal(2, 2), crops=(0, 1, 2))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src &#39;none&#39;" in policy
    assert "unsafe" not in policy
    outside = re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', outside)


def test_two_hundred_rounds_of_a_hundred_clients_are_quick_and_small(tmp_path):
    lines = long_journal(200, 100)
    run = run_with(tmp_path, lines, crops=range(0, 201, 20))
    began = time.process_time()
    content = run_page(lines, run, running=False)
    assert time.process_time() - began < 3
    assert len(content) < 3e6
    grid = data_of(content.decode())["grid"]
    assert (len(grid["clients"]), len(grid["rounds"]), grid["step"]) == (100, 200, 1)


def test_a_longer_run_is_thinned_out(tmp_path):
    lines = long_journal(500, 100)
    content = made(tmp_path, lines)
    assert data_of(content)["grid"]["step"] == 2
    assert "One of 2 rounds is here" in content
    assert len(content) < 3e6


def test_damaged_crops_leave_the_rest(tmp_path):
    lines = long_journal(2, 2)
    run = run_with(tmp_path, lines, crops=(0, 1, 2))
    (run.crop_series / "crops.json").write_text("{")
    assert data_of(run_page(lines, run, running=False).decode())["crops"] is None
