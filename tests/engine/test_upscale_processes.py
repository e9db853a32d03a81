"""Promises, with real processes: what is killed goes on, what is stopped leaves nothing, ends are said."""

import http.server
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

import av
import numpy as np
import pytest
import torch

from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import read_frames
from fedvsr_core.metrics.vmaf import find_ffmpeg
from fedvsr_core.models.recurrent import Recurrent

pytestmark = pytest.mark.slow

SETTINGS = {"width": 4, "blocks": 1, "scale": 4}


def made(path, source, *options):
    command = [find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    target = f"{Recurrent.__module__}.{Recurrent.__qualname__}"
    save_model(path, Recurrent(**SETTINGS).state_dict(), {"_target_": target, **SETTINGS})
    return path


@pytest.fixture
def start(checkpoint):
    """Starts the command; returns its process, which doesn't outlive the test."""
    processes = []

    def call(*words):
        options = ["--device", "cpu", "--tile", "0", "--checkpoint", str(checkpoint)]
        command = [sys.executable, "-m", "fedvsr.cli.main", "upscale", *options, *map(str, words)]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # several wait for each other on a busy machine
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=one_thread
        )
        processes.append(process)
        return process

    yield call
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(process, condition):
    """Until something holds; fails if the process ends before."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def segments(folder):
    return len(list(folder.glob("segments/*.packets")))


def test_ten_minutes_killed_at_three_places_are_those_of_one_go(tmp_path, start):
    sound = ["-f", "lavfi", "-i", "sine=440:d=600"]
    video = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    film = made(tmp_path / "film.mp4", "testsrc2=s=24x16:r=25:d=600", *sound, *video)
    whole = start(film, tmp_path / "whole.mp4")
    partial = tmp_path / ".out.mp4.partial"
    for place in (3, 40, 90):
        job = start(film, tmp_path / "out.mp4", "--resume")
        wait_for(job, lambda: segments(partial) > place)  # noqa: B023 (called in this turn)
        job.send_signal(signal.SIGKILL)
        job.wait()
        assert not (tmp_path / "out.mp4").exists()
    last = start(film, tmp_path / "out.mp4", "--resume")
    said, _ = last.communicate(timeout=1200)
    assert last.returncode == 0
    assert "15000 frames of 96x64, " in said.replace("\n", "")
    assert "of them before" in said.replace("\n", " ")
    assert whole.communicate(timeout=1200)
    assert whole.returncode == 0
    pairs = zip(read_frames(tmp_path / "out.mp4"), read_frames(tmp_path / "whole.mp4"), strict=True)
    assert sum(bool((one != other).any()) for one, other in pairs) == 0
    np.testing.assert_array_equal(
        index_of(tmp_path / "out.mp4").times, index_of(tmp_path / "whole.mp4").times
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "film.mp4",
        "model.safetensors",
        "out.mp4",
        "whole.mp4",
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_what_is_stopped_leaves_nothing_and_keeps_the_old(tmp_path, start, number):
    source = "testsrc2=s=48x32:r=25:d=300"
    film = made(tmp_path / "film.mp4", source, "-pix_fmt", "yuv420p", "-c:v", "libx264")
    (tmp_path / "out.mp4").write_bytes(b"the old result")
    before = {path.name for path in tmp_path.iterdir()}
    job = start(film, tmp_path / "out.mp4", "--overwrite")
    wait_for(job, lambda: segments(tmp_path / ".out.mp4.partial") > 1)
    job.send_signal(number)
    job.communicate(timeout=120)
    assert job.returncode not in (0, 3)
    assert (tmp_path / "out.mp4").read_bytes() == b"the old result"
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk"
)
def test_a_full_disk_is_said_in_one_sentence(tmp_path, start):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        noise = "testsrc2=s=64x48:r=25:d=4,noise=alls=60:allf=t"
        film = made(tmp_path / "film.mp4", noise, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "10")
        job = start(film, small / "out.mp4")
        _, said = job.communicate(timeout=300)
        assert job.returncode == 1
        assert "the disk is full: only" in " ".join(said.replace("│", " ").split())
        assert "Traceback" not in said
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_memory_stays_flat_from_60_to_6000_frames(tmp_path, start):
    peaks = []
    for seconds in (2, 240):
        film = made(
            tmp_path / f"{seconds}.mp4",
            f"testsrc2=s=48x32:r=25:d={seconds}",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
        )
        job = start(film, tmp_path / f"out{seconds}.mp4")
        _, status, usage = os.wait4(job.pid, 0)
        job.returncode = os.waitstatus_to_exitcode(status)
        assert job.returncode == 0
        peaks.append(usage.ru_maxrss / 2**10)  # what the kernel has seen; a busy machine looks too rarely
    assert peaks[1] < peaks[0] + 60, peaks


def sound_edges(path):
    """When the tone of a file begins and ends, in seconds of the file."""
    times = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > 0.02)
            times += [frame.time + place / frame.sample_rate for place in loud[[0, -1]]] if len(loud) else []
    return times[0], times[-1]


def light_edges(path):
    """When the picture becomes white and black again, in seconds of the file."""
    light = np.array([frame.mean() for frame in read_frames(path)]) > 128
    index = index_of(path)
    seconds = index.times * float(index.tick)
    places = np.flatnonzero(light)
    return seconds[places[0]], seconds[places[-1] + 1]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_sound_is_in_step_at_both_ends_of_a_minute(tmp_path, start, suffix):
    # White and a tone from 1 s to 59 s.
    flash = "color=black:s=48x32:r=25:d=60,drawbox=c=white:t=fill:enable='between(t,0.999,58.999)'"
    tone = "sine=440:d=60,volume='between(t,1,59)':eval=frame"
    beside = ["-f", "lavfi", "-i", tone, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "aac"]
    film = made(tmp_path / "film.mp4", flash, *beside)
    job = start(film, tmp_path / f"out.{suffix}")
    assert job.communicate(timeout=600)
    assert job.returncode == 0
    before = np.array(sound_edges(film)) - light_edges(film)
    after = np.array(sound_edges(tmp_path / f"out.{suffix}")) - light_edges(tmp_path / f"out.{suffix}")
    np.testing.assert_allclose(after, before, atol=0.02)
    np.testing.assert_allclose(after, 0, atol=0.05)


PAGE = """<video id="v" src="out.mp4" muted preload="auto"></video><script>
const v = document.getElementById("v");
const tell = words => { new Image().src = "ADDRESS" + "?" + encodeURIComponent(words.join(" ")); };
v.onerror = () => tell(["failed:", v.error.message]);
v.onloadeddata = () => { v.currentTime = 1.5; };
v.onseeked = () => {
  const c = document.createElement("canvas"); c.width = v.videoWidth; c.height = v.videoHeight;
  const x = c.getContext("2d"); x.drawImage(v, 0, 0);
  const p = x.getImageData(c.width / 2, c.height / 2, 1, 1).data;
  tell(["pixel", p[0], p[1], p[2], c.width, c.height, v.duration]);
};
</script>"""


def what_a_browser_tells(chromium, page, profile):
    """The words that the page sends once it has them: virtual time would run ahead of the decoder."""
    told = queue.Queue()

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            told.put(urllib.parse.unquote(self.path.partition("?")[2]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    with http.server.HTTPServer(("127.0.0.1", 0), Ear) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.write_text(PAGE.replace("ADDRESS", f"http://127.0.0.1:{server.server_port}/"))
        browser = subprocess.Popen(
            [chromium, *flags, f"--user-data-dir={profile}", f"file://{page}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return told.get(timeout=300)
        finally:
            browser.terminate()
            browser.wait(60)
            server.shutdown()


def test_a_browser_plays_what_comes_out(tmp_path, start):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine; apt-get install chromium")
    # Blue for a second, then red 200 50 50: seeking works if it is red.
    source = "color=0x3232C8:s=96x64:r=25:d=1[a];color=0xC83232:s=96x64:r=25:d=1[b];[a][b]concat"
    film = made(tmp_path / "film.mkv", source, "-pix_fmt", "yuv444p", "-c:v", "ffv1")
    job = start(film, tmp_path / "out.mp4")
    assert job.communicate(timeout=300)
    assert job.returncode == 0
    kind, *numbers = what_a_browser_tells(chromium, tmp_path / "page.html", tmp_path / "profile").split()
    assert kind == "pixel", numbers
    red, green, blue, width, height, duration = map(float, numbers)
    assert (width, height, round(duration, 2)) == (384, 256, 2)
    assert np.abs(np.array([red, green, blue]) - (200, 50, 50)).max() <= 4
