"""Promises: in a real browser the pages open from files, move, take keyboard and phone, and are inert."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fedvsr.comparison.page import comparison_page
from fedvsr.comparison.tables import overhead_table, score_table
from fedvsr.watch.web import Watcher
from server_app.page.run_page import run_page
from server_app.records.journal import Journal
from tests.browser import browsed
from tests.pages import HOSTILE, clip, evaluation, hostile_journal, long_journal, run_with

pytestmark = pytest.mark.slow

FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select, summary"
NUMBER_OF_FOCUSED = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"


def middle(page, what):
    """Left, top and width of an element."""
    return page.ask(
        f"(r => [r.left, r.top, r.width])(document.querySelector({what!r}).getBoundingClientRect())"
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browsed(tmp_path_factory.mktemp("profile")) as page:
        page.resize(1200)
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of eight rounds with crops, as a file."""
    root = tmp_path_factory.mktemp("report")
    run = run_with(root, long_journal(8, 3), crops=range(9))
    run.page.write_bytes(run_page(long_journal(8, 3), run, running=False))
    return run.page


@pytest.fixture(autouse=True)
def shots(request, page):
    """Keeps a screenshot of how a test leaves the page, where SCREENSHOTS names a folder."""
    yield
    if folder := os.environ.get("SCREENSHOTS"):
        page.picture(Path(folder) / f"{request.node.name}.png")


def opened(page, report):
    page.requests.clear()
    page.complaints.clear()
    return page.open(report.as_uri())


def test_it_opens_without_a_request_or_a_complaint(page, report):
    opened(page, report)
    assert page.ask("document.querySelectorAll('figure svg path.line').length") > 10
    assert page.ask("document.querySelectorAll('canvas').length") == 1
    assert page.requests == []
    assert page.complaints == []


def test_the_sliders_move_the_pictures(page, report):
    opened(page, report)
    look = "getComputedStyle(document.querySelector('.stage div:nth-child({})')).{}"
    assert page.ask(look.format(2, "clipPath")) == "inset(0px 50% 0px 0px)"
    page.ask("document.querySelector('input.cut').focus()")
    page.press("ArrowRight")
    assert page.ask(look.format(2, "clipPath")) == "inset(0px 49% 0px 0px)"
    newest = page.ask(look.format(1, "backgroundImage"))
    page.ask("document.querySelector('input.rounds').focus()")
    page.press("Home")
    first = page.ask(look.format(1, "backgroundImage"))
    assert first != newest
    assert first.startswith('url("data:image/webp')
    assert "ours after round 0" in page.ask("document.querySelector('.crops .about').textContent")
    page.ask("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    for _ in range(50):  # scrolling takes a moment
        box = middle(page, ".stage")
        page.point(box[0] + box[2] / 4, box[1] + 10)
        if (value := page.ask("document.querySelector('input.cut').value")) == "25":
            break
        time.sleep(0.1)
    assert value == "25", box


def test_a_clip_plays_and_pauses(page, report):
    opened(page, report)
    place = "document.querySelector('.stage div').style.backgroundPosition"
    still = page.ask(place)
    page.ask("document.querySelector('#crops button').click()")
    page.wait(f"{place} !== {still!r}")
    page.ask("document.querySelector('#crops button').click()")
    assert page.ask("document.querySelector('#crops button').textContent") == "Play the clip"


def test_a_chart_says_its_values_and_hides_a_line(page, report):
    opened(page, report)
    value = "document.querySelector('#score-0 .legend b').textContent"
    last = page.ask(value)
    box = middle(page, "#score-0 svg")
    page.point(box[0] + 60, box[1] + 50)
    assert page.ask(value) != last
    page.ask("document.querySelector('#score-0 input').focus()")
    page.press("End")
    assert page.ask(value) == last
    assert "federated model" in page.ask(
        "document.querySelector('#score-0 input').getAttribute('aria-valuetext')"
    )
    lines = "document.querySelectorAll('#score-0 path.line').length"
    assert page.ask(lines) == 2
    page.ask("document.querySelector('#score-0 .legend button').focus()")
    page.press(" ", "Space")
    assert page.ask(lines) == 1


def test_the_grid_tells_a_cell(page, report):
    opened(page, report)
    page.ask("document.querySelectorAll('#grid input')[0].focus()")
    for _ in range(2):
        page.press("ArrowLeft")
    page.ask("document.querySelectorAll('#grid input')[1].focus()")
    page.press("ArrowRight")
    told = page.ask("document.querySelector('#grid .told').textContent")
    # Client 1 is left out in round 6.
    assert told.startswith("site-1, round 6: left out (non-finite): 'fuse.weight' holds 6 values")


def test_the_keyboard_reaches_everything(page, report):
    opened(page, report)
    reaches_all(page)


def reaches_all(page):
    wanted = page.ask(f"document.querySelectorAll('{FOCUSABLE}').length")
    assert wanted >= 30
    reached = set()
    for _ in range(wanted + 40):
        page.press("Tab")
        reached.add(page.ask(NUMBER_OF_FOCUSED))
    missed = page.ask(
        f"(all => all.filter(n => n.matches('{FOCUSABLE}') && !{sorted(reached)}.includes(all.indexOf(n)))"
        ".map(n => n.outerHTML.slice(0, 80)))([...document.querySelectorAll('*')])"
    )
    assert missed == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_fault_of_accessibility(page, report, dark):
    page.dark(on=dark)
    opened(page, report)
    assert page.faults() == []
    page.ask("document.querySelector('h1').innerHTML = '<img src=\"data:,\">'")
    assert ("critical", "image-alt") in [fault[:2] for fault in page.faults()], "axe finds nothing at all"
    page.dark(on=False)


def test_a_phone_has_room(page, report):
    page.resize(390, 844, phone=True)
    opened(page, report)
    assert page.ask("document.documentElement.scrollWidth") <= 390
    sizes = "[...document.querySelectorAll('svg text')].map(n => parseFloat(getComputedStyle(n).fontSize))"
    assert page.ask(f"Math.min(...{sizes})") >= 12
    page.resize(1200)


def inert(page):
    """Move what can be moved, and see that no word from outside has become more than text."""
    move = "n => { n.value = 2; n.dispatchEvent(new Event('input')); }"
    page.ask(f"document.querySelectorAll('#grid input').forEach({move})")
    assert page.ask("document.body.textContent.includes('onerror=window.hit')")
    assert page.ask("window.hit") is None
    assert page.ask("document.querySelectorAll('img').length") == 0
    assert page.complaints == []


def test_hostile_words_do_nothing(page, tmp_path):
    lines = hostile_journal()
    run = run_with(tmp_path, lines, crops=(0, 1, 2, 3))
    run.page.write_bytes(run_page(lines, run, running=False))
    opened(page, run.page)
    inert(page)
    assert page.requests == []


def test_hostile_words_do_nothing_while_the_run_is_watched(page, tmp_path):
    *lines, end = hostile_journal()
    run = run_with(tmp_path, lines, crops=(0, 1, 2, 3))
    with Watcher(run, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.requests.clear()
        page.complaints.clear()
        page.open(server.address)
        inert(page)
        with Journal(run.journal) as journal:
            journal.append(end)
        until = time.monotonic() + 60
        while page.requests.count(server.address) < 2:  # it loads what is new
            assert time.monotonic() < until
            time.sleep(0.1)
            page.ask("1")
        inert(page)
        page.open("about:blank")
        server.shutdown()
    assert set(page.requests) <= {server.address, f"{server.address}events"}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """The page of three strategies, two seeds and a bound, of which one has a hostile name, as a file."""
    path = tmp_path_factory.mktemp("comparison") / "report.html"
    rows = {"fedavg": (0.1, 0.12), HOSTILE[0]: (0.3, 0.35), HOSTILE[1]: (0.2, 0.1), "centralised": (0.4, 0.4)}
    results = {row: {seed: [rising(gain)] for seed, gain in enumerate(gains)} for row, gains in rows.items()}
    truth = clip("truth", 0, frames=1).high[0]
    frames = {
        row: np.clip(truth * 0.8 + 40 * gains[0], 0, 255).astype(np.uint8) for row, gains in rows.items()
    }
    path.write_bytes(
        comparison_page(
            results,
            metrics=["psnr-y", "ssim-y"],
            scores=score_table(results, "fedavg"),
            own=None,
            overhead=overhead_table(
                {row: {0: seeds[0][0]} for row, seeds in results.items() if row != "centralised"}, "fedavg"
            ),
            reference="fedavg",
            facts=[("clients", 2), (HOSTILE[2], HOSTILE[2])],
            command=HOSTILE[3],
            crops={HOSTILE[4]: {"bicubic": truth, **frames, "ground truth": truth}},
            title=HOSTILE[0],
            tuning=(["strategy", HOSTILE[0]], [[HOSTILE[1], f"**{HOSTILE[2]}**"]]),
            left=1,
        )
    )
    return path


def rising(gain):
    lines = long_journal(6, 2)
    costs = {"aggregation-seconds": 0.1}
    return [
        {**line, **evaluation(line["round"], gain * line["round"])}
        if line["phase"] == "evaluate"
        else {**line, **costs}
        for line in lines
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_comparison_opens_is_inert_and_has_no_fault(page, comparison, dark):
    page.dark(on=dark)
    opened(page, comparison)
    assert page.ask("document.querySelectorAll('.intervals li').length") == 6  # two metrics, three rows
    assert page.ask("document.querySelectorAll('figure svg path.line').length") == 16
    assert page.ask("document.querySelectorAll('svg polygon.band').length") == 14  # bicubic has no seeds
    assert page.ask("window.hit") is None
    assert page.ask("document.querySelectorAll('img').length") == 0
    assert page.requests == []
    assert page.complaints == []
    assert page.faults() == []
    page.dark(on=False)


def test_a_comparison_slides_between_strategies_by_keyboard(page, comparison):
    opened(page, comparison)
    reaches_all(page)
    shown = "getComputedStyle(document.querySelector('.stage div')).backgroundImage"
    before = page.ask(shown)
    page.ask("document.querySelectorAll('#crops select')[1].focus()")
    page.press("End")
    page.wait(f"{shown} !== {before!r}")
    assert "Right: ground truth" in page.ask("document.querySelector('.crops .about').textContent")
    page.ask("document.querySelector('input.cut').focus()")
    page.press("ArrowLeft")
    assert page.ask("document.querySelector('input.cut').value") == "49"


def test_a_comparison_fits_a_phone(page, comparison):
    page.resize(390, 844, phone=True)
    opened(page, comparison)
    assert page.ask("document.documentElement.scrollWidth") <= 390
    tracks = "[...document.querySelectorAll('.intervals .track')].map(n => n.clientWidth)"
    assert page.ask(f"Math.min(...{tracks})") > 200
    page.resize(1200)


def test_a_long_run_is_drawn(page, tmp_path):
    lines = long_journal(200, 100)
    run = run_with(tmp_path, lines)
    run.page.write_bytes(run_page(lines, run, running=False))
    opened(page, run.page)
    assert page.ask("document.querySelector('#grid .told').textContent").startswith("site-0, round 200")
    assert page.complaints == []
