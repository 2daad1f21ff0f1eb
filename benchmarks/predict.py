"""Clips per second and the time of one clip, model loaded: `petl_ast` beside transformers' own
audio-classification pipeline.

python -m benchmarks.predict

Both name classes of the same 5 s files at 16 kHz (the pipeline resamples only with packages that are not
required here) by the same full-size AST with random weights at 500 frames, in turn, each time in a new
process. Ours ends in a linear head on the mean of all tokens, the pipeline's in its own on two of them, which
costs the same. The pipeline is given waveforms, read by soundfile and counted, because from file names it
would need ffmpeg.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.common import CLASSES, FRAMES, in_new_process, keep, spread, table

CONTENDERS = ("ours", "pipeline")
RATE, SECONDS = 16_000, 5.0
Classify = Callable[[list[Path], int], Iterable[object]]  # files and batch size -> a result per file


def prepare(folder: Path, clips: int, layers: int) -> None:
    """Clips, a checkpoint in the hub's format with its feature extractor, and an adapter folder on it."""
    from transformers import ASTConfig, ASTFeatureExtractor

    from petl_ast import build_model
    from petl_ast.config import SpectrogramConfig
    from petl_ast.data.synthetic import CLASSES as SOUNDS
    from petl_ast.data.synthetic import write_dataset
    from petl_ast.models.backbone import save_random_backbone

    per_class = max(5, math.ceil(clips / len(SOUNDS)))
    write_dataset(folder / "data", clips_per_class=per_class, seconds=SECONDS, sampling_rate=RATE)
    config = ASTConfig(max_length=FRAMES, num_hidden_layers=layers, num_labels=CLASSES)
    save_random_backbone(folder / "backbone", config, seed=10)
    ASTFeatureExtractor(max_length=FRAMES).save_pretrained(folder / "backbone")
    model = build_model(folder / "backbone", CLASSES, FRAMES, "linear")
    model.save_adapter(
        folder / "adapter",
        labels=[str(label) for label in range(CLASSES)],
        spectrogram=vars(SpectrogramConfig(max_length=FRAMES)),
    )


def ours(folder: Path) -> Classify:
    """As `petl-ast predict`."""
    from petl_ast.prediction.predict import predict

    return lambda files, batch: predict(folder / "adapter", files, batch_size=batch, device="cpu")


def pipeline(folder: Path) -> Classify:
    """As transformers' documentation has it."""
    import soundfile
    from transformers import pipeline

    classifier = pipeline("audio-classification", model=str(folder / "backbone"), device="cpu")

    def waveforms(files: list[Path]) -> Iterator[dict[str, Any]]:
        for file in files:
            yield {"raw": soundfile.read(file, dtype="float32")[0], "sampling_rate": RATE}

    return lambda files, batch: classifier(waveforms(files), batch_size=batch, top_k=3)


def times(results: Iterable[object]) -> list[float]:
    """When each result came."""
    return [time.perf_counter() for _ in results]


def measure(folder: Path, contender: str, clips: int, batch: int) -> dict[str, Any]:
    """In this process: seconds of one clip at a time, and clips per second in batches.

    The first clip and the first batch are not counted: the model is loaded with them.
    """
    classify = {"ours": ours, "pipeline": pipeline}[contender](folder)
    files = sorted((folder / "data" / "audio").iterdir())[:clips]
    alone = times(classify(files[: clips // 2], 1))
    latencies = [after - before for before, after in pairwise(alone)]
    together = times(classify(files, batch))
    rate = (clips - batch) / (together[-1] - together[batch - 1])
    return {"latency": statistics.median(latencies), "clips_per_second": rate}


def main() -> None:
    """Take turns, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=40, help="Of which one batch is not counted.")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "CONTENDER"), help="One process.")
    options = parser.parse_args()
    if options.measure:
        folder, contender = options.measure
        print(json.dumps(measure(Path(folder), contender, options.clips, options.batch)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.clips, options.layers)
        words = ["--clips", str(options.clips), "--batch", str(options.batch)]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(options.rounds):
            for name in CONTENDERS:
                found[name].append(in_new_process("benchmarks.predict", "--measure", folder, name, *words))
    results = {
        name: {key: spread([f[key] for f in figures]) for key in ("clips_per_second", "latency")}
        for name, figures in found.items()
    }
    rows = [
        [name, *(f"{s['median']:.2f} ({s['min']:.2f} to {s['max']:.2f})" for s in r.values())]
        for name, r in results.items()
    ]
    table(["", f"clips a second, batches of {options.batch}", "one clip, s"], rows)
    keep("predict", {"layers": options.layers, "batch": options.batch, **results})


if __name__ == "__main__":
    main()
