"""An ESC-50-sized run on a GPU: 2000 random spectrograms, full-size AST, five folds of 50 epochs, each with
its validation.

python -m benchmarks.gpu                                     every precision, eager and compiled
python -m benchmarks.gpu --precisions bf16 --epochs 2        a quick look

Runs on a processor too, where `--clips`, `--epochs` and `--layers` make it small. Time and memory do not
depend on the weights and clips being random. The run is the command's own: its batches, engine, optimiser.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from transformers import ASTModel

from benchmarks.common import CLASSES, FRAMES, keep, table
from petl_ast import build_model
from petl_ast.config import AugmentConfig
from petl_ast.data.augment import spec_augment
from petl_ast.data.batches import Batches, place
from petl_ast.models.backbone import PAPER_BACKBONE, random_backbone
from petl_ast.utils.engine import eval_one_epoch, train_one_epoch
from petl_ast.utils.environment import make_accelerator

BINS, FOLDS = 128, 5
MATRIX = 8192  # side of the matrices that measure the card's own rate


def products_per_second(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Floating-point operations per second of a large matrix product."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    rounds = 10
    for timed in (False, True):
        _wait(device)
        start = time.perf_counter()
        for _ in range(rounds if timed else 1):
            a @ b
        _wait(device)
    return 2 * side**3 * rounds / (time.perf_counter() - start)


def run(options: argparse.Namespace, precision: str, compiled: bool) -> dict[str, Any]:
    """Five folds: seconds in all and of each epoch (the first one compiles), and peak memory."""
    accelerator = make_accelerator(options.device, precision)
    device = accelerator.device
    clips = place(torch.randn(options.clips, FRAMES, BINS), device)
    labels = place(torch.arange(options.clips) % CLASSES, device)
    fold_of = torch.arange(options.clips) * FOLDS // options.clips
    config = random_backbone(PAPER_BACKBONE).config
    config.num_hidden_layers = options.layers
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    epochs = []
    start = time.perf_counter()
    for fold in range(FOLDS):
        backbone = ASTModel._from_config(config, attn_implementation="sdpa")
        model = build_model(backbone, CLASSES, FRAMES).to(device)
        if compiled:
            torch.compiler.reset()
            model.compile()
        chosen = (fold_of != fold) & (fold_of != (fold + 1) % FOLDS), fold_of == fold
        train, validation = (
            Batches(clips, labels, c.nonzero().squeeze(1), options.batch, device) for c in chosen
        )
        fused = device.type == "cuda"
        optimizer = accelerator.prepare(AdamW(model.trainable_parameters(), lr=0.005, fused=fused))
        schedule = CosineAnnealingLR(optimizer, T_max=options.epochs * len(train))
        order, draws = torch.Generator().manual_seed(fold), torch.Generator(device).manual_seed(fold)
        augment = partial(spec_augment, config=AugmentConfig(), generator=draws)
        for _ in range(options.epochs):
            begin = time.perf_counter()
            train_one_epoch(model, train.shuffled(order), optimizer, schedule, accelerator, augment)
            eval_one_epoch(model, validation, accelerator)
            epochs.append(time.perf_counter() - begin)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    return {
        "precision": precision,
        "compiled": compiled,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "seconds": time.perf_counter() - start,
        "seconds_of_epochs": epochs,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None,
        "matrix_products_per_second": products_per_second(device, dtype, options.matrix),
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Run every combination, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"])
    parser.add_argument("--modes", nargs="+", default=["eager", "compiled"], choices=["eager", "compiled"])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--matrix", type=int, default=MATRIX)
    options = parser.parse_args()
    results = []
    for precision in options.precisions:
        for mode in options.modes:
            results.append(run(options, precision, mode == "compiled"))
    rows = [
        [
            r["precision"],
            "compiled" if r["compiled"] else "eager",
            f"{r['seconds']:.1f}",
            f"{sorted(r['seconds_of_epochs'])[len(r['seconds_of_epochs']) // 2]:.2f}",
            "" if r["peak_gb"] is None else f"{r['peak_gb']:.1f}",
            f"{r['matrix_products_per_second'] / 1e12:.1f}",
        ]
        for r in results
    ]
    table(["precision", "mode", "run, s", "epoch, s (median)", "peak, GB", "products alone, TFLOP/s"], rows)
    keep("gpu", {"clips": options.clips, "epochs": options.epochs, "layers": options.layers, "runs": results})


if __name__ == "__main__":
    main()
