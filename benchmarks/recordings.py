"""Long recordings: memory by length, time beside transformers' own pipeline, and what is found in an hour.

python -m benchmarks.recordings memory
python -m benchmarks.recordings speed --full
python -m benchmarks.recordings detection --adapter ADAPTER --data FOLDER --fold 1
python -m benchmarks.recordings background --data FOLDER --output NEW

`memory` predicts recordings of 10 and 60 minutes, each in a new process, by a tiny random backbone.

`speed` has the same windows of a recording at 16 kHz classified by `petl_ast` from the file, its adapter
loaded each time, and by the pipeline from waveforms, their reading counted; in turn, in one process.

`detection` makes an hour from the clips of a fold that the adapter never saw, in ESC-50's layout, with
silence or noise between them at places that a seed draws, and compares events with clips: a clip is found if
events of its class cover at least half of it, an event is right if at least half of it lies in clips of its
class; how many touch one at all is told too, for many a clip sounds shorter than half of the shortest event.

`background` copies that data set and adds clips of the silence and noise between, of the same kind and not
the same, as one more class. What it prints trains on that and repeats `detection` without the class's events.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import shlex
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.common import CLASSES, FRAMES, in_new_process, keep, table

RATE = 16_000
THRESHOLDS = (0.0, 0.3, 0.5, 0.7, 0.9)
GAP, QUIET = (2.0, 8.0), 0.003  # seconds between clips, and how loud the noise is there
Truth = tuple[str, float, float]  # class, start, end


def prepare(folder: Path, full: bool) -> None:
    """A random checkpoint with the hub's feature extractor, and a linear probe on it."""
    from transformers import ASTConfig, ASTFeatureExtractor

    from petl_ast import build_model
    from petl_ast.config import SpectrogramConfig
    from petl_ast.models.backbone import save_random_backbone

    tiny = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384}
    config = ASTConfig(max_length=FRAMES, num_labels=CLASSES, **({} if full else tiny))
    save_random_backbone(folder / "backbone", config, seed=10)
    ASTFeatureExtractor(max_length=FRAMES).save_pretrained(folder / "backbone")
    build_model(folder / "backbone", CLASSES, FRAMES, "linear").save_adapter(
        folder / "adapter",
        labels=[str(label) for label in range(CLASSES)],
        spectrogram=vars(SpectrogramConfig(max_length=FRAMES)),
    )


def write_noise(path: Path, seconds: float, rate: int, channels: int) -> None:
    """Noise, written a minute at a time."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        for begin in range(0, round(seconds), 60):
            samples = round(min(60, seconds - begin) * rate)
            file.write(rng.uniform(-0.1, 0.1, (samples, channels)).astype(np.float32))


def peak(adapter: Path, recording: Path) -> dict[str, float]:
    """In this process: seconds, and the most memory that it ever had, in MB."""
    from petl_ast.prediction.predict import predict

    begin = time.perf_counter()
    (found,) = predict(adapter, [recording], batch_size=8, device="cpu", thumbnail=True)
    seconds = time.perf_counter() - begin
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"windows": len(found.timeline.windows), "seconds": seconds, "megabytes": kilobytes / 1000}


def memory(folder: Path, minutes: Sequence[int]) -> Any:
    """Peak memory by length: stereo at 44.1 kHz, so that all of the way is there."""
    prepare(folder, full=False)
    found = {}
    for length in minutes:
        path = folder / f"{length}.wav"
        write_noise(path, 60 * length, 44_100, 2)
        found[length] = in_new_process("benchmarks.recordings", "peak", str(folder / "adapter"), str(path))
    rows = [
        [length, f["windows"], f"{f['megabytes']:.0f}", f"{60 * length / f['seconds']:.0f}"]
        for length, f in found.items()
    ]
    table(["minutes", "windows", "peak, MB", "times real time"], rows)
    return found


def speed(folder: Path, full: bool, windows: int, rounds: int, batch: int) -> Any:
    """Seconds a window, in turn."""
    from transformers import pipeline

    from petl_ast.prediction.predict import predict

    prepare(folder, full)
    hop, length = RATE * 5 // 2, RATE * 5 + 240  # `predict`'s own: half a window of 500 frames
    path = folder / "recording.wav"
    write_noise(path, (length + (windows - 1) * hop) / RATE, RATE, 1)
    classifier = pipeline("audio-classification", model=str(folder / "backbone"), device="cpu")

    def pieces(most: int) -> Iterator[dict[str, Any]]:
        whole = soundfile.read(path, dtype="float32")[0]
        for start in range(0, most * hop, hop):
            yield {"raw": whole[start : start + length], "sampling_rate": RATE}

    def ours() -> int:
        (found,) = predict(folder / "adapter", [path], batch_size=batch, device="cpu")
        return len(found.timeline.windows)

    def theirs() -> int:
        return sum(1 for _ in classifier(pieces(windows), batch_size=batch, top_k=3))

    for _ in classifier(pieces(batch), batch_size=batch):  # the first batch of a process is slower
        pass
    seconds: dict[str, list[float]] = {"petl-ast predict": [], "transformers' pipeline": []}
    for _ in range(rounds):
        for name, contender in zip(seconds, (ours, theirs), strict=True):
            begin = time.perf_counter()
            assert contender() == windows
            seconds[name].append((time.perf_counter() - begin) / windows)
    rows = [
        [
            name,
            f"{statistics.median(s):.4f} ({min(s):.4f} to {max(s):.4f})",
            f"{2.5 / statistics.median(s):.1f}",
        ]
        for name, s in seconds.items()
    ]
    table(["", "s a window", "times real time"], rows)
    one, other = (statistics.median(s) for s in seconds.values())
    print(f"\n{other / one:.2f} times as fast")
    return {"full": full, "windows": windows, "batch": batch, "seconds": seconds}


def assemble(
    path: Path, data: Path, fold: int, labels: Sequence[str], minutes: float, seed: int
) -> list[Truth]:
    """Write a recording of a fold's clips, as long as they sound, in random order; returns what is where."""
    with (data / "meta" / "esc50.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["fold"]) == fold and row["category"] in labels]
    rng, truth, order = np.random.default_rng(seed), [], []
    rate = soundfile.info(data / "audio" / rows[0]["filename"]).samplerate
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        while file.frames < minutes * 60 * rate:
            gap = rng.normal(0, QUIET, round(rng.uniform(*GAP) * rate))
            file.write(gap * rng.integers(0, 2))  # noise, or silence
            order = order or list(rng.permutation(len(rows)))
            row = rows[order.pop()]
            samples, _ = soundfile.read(data / "audio" / row["filename"], always_2d=True)
            sounding = np.flatnonzero(samples.any(axis=1))  # ESC-50 pads short sounds with zeros
            begin = file.frames
            file.write(samples[sounding[0] : sounding[-1] + 1].mean(axis=1))
            truth.append((row["category"], begin / rate, file.frames / rate))
    return truth


def shared(span: Truth, others: Sequence[Truth]) -> float:
    """How much of `span` disjoint spans of the same class cover, 0 to 1."""
    name, start, end = span
    return sum(max(0.0, min(end, e) - max(start, s)) for n, s, e in others if n == name) / (end - start)


def detection(folder: Path, options: argparse.Namespace) -> Any:
    """Precision and recall of the events of an hour, by threshold."""
    from petl_ast.models.build import load_adapter
    from petl_ast.prediction.predict import predict

    path = folder / "hour.wav"
    labels = load_adapter(options.adapter).labels
    if options.ignore not in (None, *labels):
        raise SystemExit(f"{options.ignore} is no class of {options.adapter}: {', '.join(labels)}.")
    truth = assemble(path, options.data, options.fold, labels, options.minutes, options.seed)
    (found,) = predict(options.adapter, [path], device="cpu", hop=options.hop)
    results = {}
    for threshold in THRESHOLDS:
        events = [
            (e.name, e.start, e.end) for e in found.timeline.events(threshold) if e.name != options.ignore
        ]
        shares, heard = [shared(e, truth) for e in events], [shared(t, events) for t in truth]
        results[threshold] = {
            "events": len(events),
            "touching": sum(share > 0 for share in shares),
            "right": sum(share >= 0.5 for share in shares),
            "clips": len(truth),
            "found": sum(share >= 0.5 for share in heard),
        }
    rows = []
    for threshold, r in results.items():
        of_events = [f"{r[what] / max(r['events'], 1):.1%}" for what in ("touching", "right")]
        rows.append([threshold, r["events"], *of_events, f"{r['found'] / r['clips']:.1%}"])
    minutes, windows = found.timeline.seconds / 60, len(found.timeline.windows)
    print(f"{len(truth)} clips in {minutes:.1f} minutes, {windows} windows\n")
    table(["threshold", "events", "touching a clip of their class", "precision", "recall"], rows)
    return {"fold": options.fold, "seed": options.seed, "hop": options.hop, "thresholds": results}


def background(data: Path, output: Path, seed: int) -> None:
    """Write NEW/clips.csv with the data set's clips and folds, and of each fold as many clips of background
    as of a class.
    """
    with (data / "meta" / "esc50.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if output.exists():
        raise SystemExit(f"{output} is there already; name a new folder.")
    shutil.copytree(data / "audio", output / "audio")
    listed = [{"path": f"audio/{r['filename']}", "label": r["category"], "fold": r["fold"]} for r in rows]
    rng = np.random.default_rng(seed)
    (output / "background").mkdir()
    rate = soundfile.info(data / "audio" / rows[0]["filename"]).samplerate
    folds = sorted({row["fold"] for row in rows})
    count = len(rows) // len(folds) // len({row["category"] for row in rows})
    for fold in folds:
        for number in range(count):
            path = f"background/{fold}-{number}.wav"
            level = 0.0 if number % 4 == 0 else QUIET * 10 ** rng.uniform(-0.5, 0.5)
            soundfile.write(output / path, rng.normal(0, 1, 5 * rate) * level, rate)
            listed.append({"path": path, "label": "background", "fold": fold})
    with (output / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)
    fold = folds[0]
    train = ["petl-ast", "train", "--config", "configs/esc10_ast_mini.yaml", "--data.subset", "all"]
    train += ["--data.root", f"{output}/clips.csv", "--data.folds", fold, "--output", f"{output}/run"]
    hear = ["python", "-m", "benchmarks.recordings", "detection", "--data", str(data), "--fold", fold]
    hear += ["--adapter", f"{output}/run/fold_{fold}/last", "--ignore", "background"]
    print(shlex.join(train), shlex.join(hear), sep="\n")


def main() -> None:
    """One of them; print its table, keep its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    of_peak = what.add_parser("peak", help="One process of `memory`.")
    of_peak.add_argument("adapter", type=Path)
    of_peak.add_argument("recording", type=Path)
    what.add_parser("memory").add_argument("--minutes", type=int, nargs="+", default=[10, 60])
    of_speed = what.add_parser("speed")
    of_speed.add_argument("--full", action="store_true", help="AST base instead of a tiny backbone.")
    of_speed.add_argument("--windows", type=int, default=64)
    of_speed.add_argument("--rounds", type=int, default=3)
    of_speed.add_argument("--batch", type=int, default=8)
    of_detection = what.add_parser("detection")
    of_detection.add_argument("--adapter", type=Path, required=True)
    of_detection.add_argument("--data", type=Path, required=True, help="Folder in ESC-50's layout.")
    of_detection.add_argument("--fold", type=int, required=True, help="One that the adapter never saw.")
    of_detection.add_argument("--minutes", type=float, default=60)
    of_detection.add_argument("--hop", type=float, default=None)
    of_detection.add_argument("--seed", type=int, default=10)
    of_detection.add_argument("--ignore", help="A class of the adapter that is no event.")
    of_background = what.add_parser("background")
    of_background.add_argument("--data", type=Path, required=True, help="Folder in ESC-50's layout.")
    of_background.add_argument("--output", type=Path, required=True, help="A new folder.")
    of_background.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    if options.what == "background":
        background(options.data, options.output, options.seed)
        return
    if options.what == "peak":
        print(json.dumps(peak(options.adapter, options.recording)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "memory":
            results = memory(folder, options.minutes)
        elif options.what == "speed":
            results = speed(folder, options.full, options.windows, options.rounds, options.batch)
        else:
            results = detection(folder, options)
    keep(f"recordings_{options.what}", results)


if __name__ == "__main__":
    main()
