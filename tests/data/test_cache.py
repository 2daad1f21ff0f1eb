"""The cache: the values of a fresh computation, once, whole or not at all, and never stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from petl_ast.config import SpectrogramConfig
from petl_ast.data import audio, recording
from petl_ast.data.audio import read_waveform
from petl_ast.data.cache import cached_spectrograms, open_entry
from petl_ast.data.cache_builder import compute
from petl_ast.data.spectrogram import log_mel
from petl_ast.errors import UserError

RATE = 16000
CONFIG = SpectrogramConfig(num_mel_bins=32, max_length=12)


def write_clip(path: Path, seed: int = 0, samples: int = 1600) -> Path:
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(samples), RATE)
    return path


def expected(paths: list[Path], config: SpectrogramConfig = CONFIG) -> np.ndarray:
    return log_mel([read_waveform(path, config.sampling_rate) for path in paths], config).numpy()


class Counter:
    """Counts the clips that are computed."""

    def __init__(self) -> None:
        self.clips = 0

    def __call__(self) -> None:
        self.clips += 1


def computed(paths: list[Path], config: SpectrogramConfig, folder: Path) -> int:
    """How many clips a call has to compute."""
    counter = Counter()
    cached_spectrograms(paths, config, folder, counter)
    return counter.clips


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [write_clip(tmp_path / f"{seed}.wav", seed, 600 + 500 * seed) for seed in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


@pytest.fixture
def entry(clips: list[Path], folder: Path) -> Path:
    """The finished entry of `clips`."""
    cached_spectrograms(clips, CONFIG, folder)
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def three_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_values_are_those_of_a_fresh_computation(clips, folder):
    spectrograms, silent = cached_spectrograms(clips, CONFIG, folder)
    assert spectrograms.shape == (3, 12, 32)
    assert spectrograms.dtype == np.float32
    np.testing.assert_allclose(spectrograms, expected(clips), rtol=0, atol=1e-4)
    assert silent == []


def test_second_call_computes_nothing_and_returns_the_same(clips, folder):
    counter = Counter()
    cold, _ = cached_spectrograms(clips, CONFIG, folder, counter)
    assert counter.clips == len(clips)
    warm, _ = cached_spectrograms(clips, CONFIG, folder, counter)
    assert counter.clips == len(clips)
    np.testing.assert_array_equal(cold, warm)
    assert len(list(folder.iterdir())) == 1


def test_warm_start_reads_no_clip(clips, folder, entry):
    before, _ = cached_spectrograms(clips, CONFIG, folder)
    for path in clips:  # same size and time of change, other content
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    warm, _ = cached_spectrograms(clips, CONFIG, folder)
    np.testing.assert_array_equal(before, warm)


def test_order_is_that_of_the_paths(tmp_path, folder):
    """Clips of very different lengths, so that threads finish them out of order."""
    paths = [write_clip(tmp_path / f"{i}.wav", i, 200_000 if i % 5 == 0 else 700) for i in range(30)]
    forwards, _ = cached_spectrograms(paths, CONFIG, folder)
    np.testing.assert_allclose(forwards, expected(paths), rtol=0, atol=1e-4)
    backwards, _ = cached_spectrograms(paths[::-1], CONFIG, folder)
    np.testing.assert_array_equal(forwards[::-1], backwards)


def test_changed_clip_is_computed_anew(clips, folder):
    stale, _ = cached_spectrograms(clips, CONFIG, folder)
    write_clip(clips[1], seed=9, samples=1700)
    fresh, _ = cached_spectrograms(clips, CONFIG, folder)
    np.testing.assert_allclose(fresh, expected(clips), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(fresh[0], stale[0])
    assert not np.allclose(fresh[1], stale[1])


def test_change_of_time_alone_or_size_alone_counts(clips, folder):
    assert computed(clips, CONFIG, folder) == 3
    stat = clips[2].stat()
    os.utime(clips[2], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert computed(clips, CONFIG, folder) == 3
    stat = clips[2].stat()
    write_clip(clips[2], seed=2, samples=4000)
    os.utime(clips[2], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert computed(clips, CONFIG, folder) == 3
    assert computed(clips, CONFIG, folder) == 0


@pytest.mark.parametrize(
    "change",
    [{"sampling_rate": 8000}, {"num_mel_bins": 33}, {"max_length": 13}, {"mean": -4.0}, {"std": 4.0}],
)
def test_every_setting_has_its_own_entry(clips, folder, change):
    cached_spectrograms(clips, CONFIG, folder)
    config = replace(CONFIG, **change)
    spectrograms, _ = cached_spectrograms(clips, config, folder)
    np.testing.assert_allclose(spectrograms, expected(clips, config), rtol=0, atol=1e-4)
    assert computed(clips, CONFIG, folder) == computed(clips, config, folder) == 0


def test_other_selections_of_the_clips_have_their_own_entries(clips, folder):
    for selection in (clips, clips[:2], clips[1:], clips[:1]):
        spectrograms, _ = cached_spectrograms(selection, CONFIG, folder)
        np.testing.assert_allclose(spectrograms, expected(selection), rtol=0, atol=1e-4)


def test_same_file_through_another_path_shares_the_entry(clips, folder, tmp_path, monkeypatch):
    assert computed(clips, CONFIG, folder) == 3
    monkeypatch.chdir(tmp_path)
    assert computed([Path(path.name) for path in clips], CONFIG, folder) == 0


def test_silent_clips_are_named_cold_and_warm(clips, folder, tmp_path):
    quiet = [tmp_path / "z-quiet.wav", tmp_path / "a-quiet.wav"]
    for path in quiet:
        soundfile.write(path, np.zeros(1600), RATE)
    paths = [quiet[0], *clips, quiet[1]]
    cold, names = cached_spectrograms(paths, CONFIG, folder)
    assert names == ["z-quiet.wav", "a-quiet.wav"]
    assert np.isfinite(cold).all()
    assert cached_spectrograms(paths, CONFIG, folder)[1] == names


def test_result_is_mapped_and_writing_to_it_changes_no_file(clips, folder):
    for _ in ("cold", "warm"):
        spectrograms, _ = cached_spectrograms(clips, CONFIG, folder)
        assert isinstance(spectrograms, np.memmap)
        before = spectrograms[0, 0, 0]
        spectrograms[0, 0, 0] = before + 1
        assert cached_spectrograms(clips, CONFIG, folder)[0][0, 0, 0] == before


def test_all_bad_clips_are_reported_at_once_and_nothing_stays(clips, folder, tmp_path, three_threads):
    text, empty, missing = (tmp_path / name for name in ("text.wav", "empty.wav", "missing.wav"))
    text.write_text("not a sound")
    empty.touch()
    paths = [text, clips[0], empty, clips[1], missing, clips[2]]
    with pytest.raises(UserError, match="3 of 6 clips") as caught:
        cached_spectrograms(paths, CONFIG, folder)
    message = str(caught.value)
    assert all(str(bad) in message for bad in (text, empty, missing))
    assert not any(str(good) in message for good in clips)
    assert list(folder.iterdir()) == []
    assert torch.get_num_threads() == three_threads
    with pytest.raises(UserError, match="3 of 6 clips"):  # not cached, neither as a success nor otherwise
        cached_spectrograms(paths, CONFIG, folder)


def test_many_bad_clips_are_counted_and_some_named(folder, tmp_path):
    with pytest.raises(UserError, match="65 of 65 clips") as caught:
        cached_spectrograms([tmp_path / f"missing-{i}.wav" for i in range(65)], CONFIG, folder)
    assert "missing-49.wav" in str(caught.value)
    assert "missing-50.wav" not in str(caught.value)
    assert "15 more" in str(caught.value)


def test_mended_clip_ends_the_error(clips, folder):
    content = clips[1].read_bytes()
    clips[1].write_bytes(b"")
    with pytest.raises(UserError):
        cached_spectrograms(clips, CONFIG, folder)
    clips[1].write_bytes(content)
    spectrograms, _ = cached_spectrograms(clips, CONFIG, folder)
    np.testing.assert_allclose(spectrograms, expected(clips), rtol=0, atol=1e-4)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_interrupted_build_leaves_nothing(clips, folder, three_threads, interruption):
    def interrupt() -> None:
        raise interruption

    with pytest.raises(interruption):
        cached_spectrograms(clips, CONFIG, folder, interrupt)
    assert list(folder.iterdir()) == []
    assert torch.get_num_threads() == three_threads
    assert computed(clips, CONFIG, folder) == 3


def test_torch_keeps_its_thread_count(clips, folder, three_threads):
    for _ in ("cold", "warm"):
        cached_spectrograms(clips, CONFIG, folder)
        assert torch.get_num_threads() == three_threads


def test_finished_entry_leaves_no_temporary_folder(folder, entry):
    assert list(folder.iterdir()) == [entry]
    assert not entry.name.startswith(".")


@pytest.mark.parametrize("in_the_way", ["deep", "deep/cache"])
def test_file_where_the_folder_should_be(clips, folder, tmp_path, in_the_way):
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("mine")
    with pytest.raises(UserError, match="Cannot write") as caught:
        cached_spectrograms(clips, CONFIG, folder)
    assert str(folder) in str(caught.value)
    assert (tmp_path / in_the_way).read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(clips, folder):
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    try:
        with pytest.raises(UserError, match="Permission denied") as caught:
            cached_spectrograms(clips, CONFIG, folder)
    finally:
        folder.chmod(0o700)
    assert str(folder) in str(caught.value)


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


DAMAGES = {
    "spectrograms gone": lambda entry: (entry / "spectrograms.npy").unlink(),
    "spectrograms cut": lambda entry: cut(entry / "spectrograms.npy", -4),
    "spectrograms cut in the header": lambda entry: cut(entry / "spectrograms.npy", 20),
    "spectrograms empty": lambda entry: cut(entry / "spectrograms.npy", 0),
    "spectrograms overwritten": lambda entry: (entry / "spectrograms.npy").write_text("garbage"),
    "spectrograms of another shape": lambda entry: np.save(
        entry / "spectrograms.npy", np.zeros((2, 12, 32), "<f4")
    ),
    "content gone": lambda entry: (entry / "content.json").unlink(),
    "content cut": lambda entry: cut(entry / "content.json", -4),
    "content empty": lambda entry: cut(entry / "content.json", 0),
    "content of something else": lambda entry: (entry / "content.json").write_text("{}"),
    "content not an object": lambda entry: (entry / "content.json").write_text("[]"),
    "folder emptied": lambda entry: (shutil.rmtree(entry), entry.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_named_and_computed_again(clips, folder, entry, damage):
    DAMAGES[damage](entry)
    counter = Counter()
    mended = open_entry(clips, CONFIG, folder, counter)
    assert counter.clips == 3
    (note,) = mended.notes
    assert str(entry) in note
    assert "damaged" in note
    np.testing.assert_allclose(mended.spectrograms, expected(clips), rtol=0, atol=1e-4)
    assert list(folder.iterdir()) == [entry]
    again = open_entry(clips, CONFIG, folder, counter)
    assert counter.clips == 3
    assert again.notes == []


def test_missing_clip_is_reported_even_if_the_others_are_cached(clips, folder, tmp_path):
    cached_spectrograms(clips, CONFIG, folder)
    with pytest.raises(UserError, match=r"1 of 4 clips(.|\n)*missing\.wav"):
        cached_spectrograms([*clips, tmp_path / "missing.wav"], CONFIG, folder)


def test_unusable_clip_name_is_not_blamed_on_the_cache(clips, folder, tmp_path):
    too_long = tmp_path / f"{'x' * 300}.wav"
    with pytest.raises(UserError, match="1 of 4 clips") as caught:
        cached_spectrograms([*clips, too_long], CONFIG, folder)
    assert str(too_long) in str(caught.value)


def test_threads_that_want_the_same_entry_build_it_once(clips, folder):
    builders = 3
    meeting = threading.Barrier(builders)

    def build(_: int) -> tuple[np.ndarray, int]:
        counter = Counter()
        meeting.wait(timeout=60)
        spectrograms, _ = cached_spectrograms(clips, CONFIG, folder, counter)
        return spectrograms, counter.clips

    with ThreadPoolExecutor(builders) as pool:
        results = list(pool.map(build, range(builders)))
    assert sum(count for _, count in results) == 3
    for spectrograms, _ in results:
        np.testing.assert_allclose(spectrograms, expected(clips), rtol=0, atol=1e-4)
    assert len(list(folder.iterdir())) == 1


BUILD = """
import sys, time
from pathlib import Path
from petl_ast.config import SpectrogramConfig
from petl_ast.data.cache import cached_spectrograms

folder, me, other, *clips = map(Path, sys.argv[1:])
computed = []
me.touch()
deadline = time.monotonic() + 60
while not other.exists() and time.monotonic() < deadline:  # both processes are ready before either begins
    time.sleep(0.001)

def on_clip():
    computed.append(1)
    time.sleep(0.3)  # the other one comes to the same entry meanwhile

config = SpectrogramConfig(num_mel_bins=32, max_length=12)
print(len(computed), cached_spectrograms(clips, config, folder, on_clip)[0].tobytes().hex(), len(computed))
"""


def test_processes_that_want_the_same_entry_build_it_once(clips, folder, tmp_path):
    flags = [tmp_path / "one", tmp_path / "two"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, folder, me, other, *clips],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me, other in (flags, flags[::-1])
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert all(flag.exists() for flag in flags)
    assert len(list(folder.iterdir())) == 1
    counter = Counter()
    spectrograms, _ = cached_spectrograms(clips, CONFIG, folder, counter)
    assert counter.clips == 0
    results = [out.split() for out, _ in outputs]
    assert [bytes.fromhex(values) for _, values, _ in results] == 2 * [spectrograms.tobytes()]
    assert sorted(count for _, _, count in results) == ["0", "3"]


STALL = """
import sys, time
from pathlib import Path
from petl_ast.config import SpectrogramConfig
from petl_ast.data.cache import cached_spectrograms

folder, *clips = map(Path, sys.argv[1:])

def on_clip():
    print("inside", flush=True)
    time.sleep(600)

cached_spectrograms(clips, SpectrogramConfig(num_mel_bins=32, max_length=12), folder, on_clip)
"""


def test_a_killed_builder_holds_no_lock_and_what_it_left_goes(clips, folder):
    with subprocess.Popen(
        [sys.executable, "-c", STALL, folder, *clips], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        process.kill()
    assert {path.suffix for path in folder.iterdir()} == {".lock", ".tmp"}
    assert computed(clips, CONFIG, folder) == 3
    (entry,) = folder.iterdir()
    assert not entry.name.startswith(".")


def test_a_full_disk_is_told_before_anything_is_computed(clips, folder, monkeypatch):
    usage = shutil.disk_usage(clips[0].parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    counter = Counter()
    with pytest.raises(UserError, match=r"need 4,608 bytes, but the disk of .*cache has 1,000 free"):
        cached_spectrograms(clips, CONFIG, folder, counter)
    assert counter.clips == 0
    assert list(folder.iterdir()) == []


def test_room_for_whole_clips_is_counted_by_their_headers(tmp_path, folder, monkeypatch):
    paths = [write_clip(tmp_path / f"{seed}.wav", seed, samples) for seed, samples in enumerate((1600, 9000))]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=8000))
    assert open_entry(paths, CONFIG, folder).spectrograms.shape == (2, 12, 32)
    with pytest.raises(UserError, match=f"need {(12 + 54) * 32 * 4:,} bytes"):
        open_entry(paths, CONFIG, folder, whole=True)


@pytest.mark.parametrize("whole", [False, True])
def test_behind_a_slow_clip_only_a_few_wait_in_memory(tmp_path, monkeypatch, whole):
    paths = [write_clip(tmp_path / f"{seed}.wav", seed) for seed in range(100)]
    begun, then = [], []

    def slow_at_first(path, read):
        begun.append(path)
        if path == paths[0]:
            time.sleep(1)
            then.append(len(begun))
        return read()

    for module, name in ((recording, "whole_spectrogram"), (audio, "read_waveform")):
        function = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda path, *more, f=function: slow_at_first(path, lambda: f(path, *more))
        )
    results = list(compute(paths, CONFIG, whole))
    for found, value in zip(results, expected(paths), strict=True):
        np.testing.assert_allclose(found[0], value, atol=1e-4)
    assert then[0] <= 2 * os.cpu_count() < len(begun) == len(paths)


def test_unusable_clips_are_kept_with_the_entry_if_asked(clips, folder, tmp_path):
    text = tmp_path / "text.wav"
    text.write_text("not a sound")
    paths = [clips[0], text, *clips[1:]]
    counter = Counter()
    for _ in ("cold", "warm"):
        entry = open_entry(paths, CONFIG, folder, counter, keep_problems=True)
        assert counter.clips == 4
        np.testing.assert_allclose(entry.spectrograms, expected(clips), rtol=0, atol=1e-4)
        assert list(entry.problems) == ["text.wav"]
        assert "cannot be decoded" in entry.problems["text.wav"]
    with pytest.raises(UserError, match=r"1 of 4 clips(.|\n)*text\.wav"):  # the same entry, without computing
        open_entry(paths, CONFIG, folder, counter)
    assert counter.clips == 4


def test_a_clip_that_works_after_all_is_computed(clips, folder):
    """As after a failure of the disk, which leaves size and time of the file as they were."""
    content, stat = clips[1].read_bytes(), clips[1].stat()
    clips[1].write_bytes(bytes(len(content)))
    os.utime(clips[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert list(open_entry(clips, CONFIG, folder, keep_problems=True).problems) == ["1.wav"]
    clips[1].write_bytes(content)
    os.utime(clips[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    entry = open_entry(clips, CONFIG, folder)
    np.testing.assert_allclose(entry.spectrograms, expected(clips), rtol=0, atol=1e-4)
    assert "usable now" in entry.notes[0]


def test_no_usable_clip_at_all_is_an_error_either_way(folder, tmp_path):
    with pytest.raises(UserError, match="2 of 2 clips"):
        open_entry([tmp_path / "a.wav", tmp_path / "b.wav"], CONFIG, folder, keep_problems=True)
    assert list(folder.iterdir()) == []


def test_whole_clips_lie_one_behind_the_other(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{s}.wav", s, samples) for s, samples in enumerate((1600, 9000, 100))]
    entry = open_entry(paths, CONFIG, tmp_path / "cache", whole=True)
    assert entry.frames == [12, 54, 12]
    assert entry.spectrograms.shape == (78, 32)
    long = log_mel([read_waveform(paths[1], RATE)], replace(CONFIG, max_length=54))[0].numpy()
    np.testing.assert_allclose(entry.spectrograms[12:66], long, atol=1e-4)
    np.testing.assert_array_equal(entry.spectrograms[:12], expected(paths[:1])[0])
    np.testing.assert_array_equal(entry.spectrograms[66:], expected(paths[2:])[0])
    again = open_entry(paths, CONFIG, tmp_path / "cache", whole=True)
    np.testing.assert_array_equal(again.spectrograms, entry.spectrograms)
    cut = open_entry(paths, CONFIG, tmp_path / "cache")
    np.testing.assert_array_equal(cut.spectrograms[0], entry.spectrograms[:12])
    np.testing.assert_array_equal(cut.spectrograms[2], entry.spectrograms[66:])


def test_kept_whole_or_cut_short_clips_are_the_same(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{seed}.wav", seed, 500 + 400 * seed) for seed in range(3)]
    whole = open_entry(paths, CONFIG, tmp_path / "cache", whole=True)
    np.testing.assert_array_equal(
        whole.spectrograms, open_entry(paths, CONFIG, tmp_path / "cache").spectrograms
    )


def test_of_whole_clips_the_unusable_are_left_out_and_a_damaged_entry_is_computed_again(
    tmp_path: Path,
) -> None:
    paths = [write_clip(tmp_path / "long.wav", 1, 9000), tmp_path / "bad.wav"]
    paths[1].write_bytes(b"no sound")
    entry = open_entry(paths, CONFIG, tmp_path / "cache", keep_problems=True, whole=True)
    assert entry.frames == [54]
    values = np.array(entry.spectrograms)
    (content,) = (tmp_path / "cache").glob("*/content.json")
    content.write_text(content.read_text().replace("54", "53"))
    again = open_entry(paths, CONFIG, tmp_path / "cache", keep_problems=True, whole=True)
    assert "damaged" in again.notes[0]
    np.testing.assert_array_equal(again.spectrograms, values)
