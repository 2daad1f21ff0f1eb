"""petl-ast export: an adapter and its backbone as one ONNX file."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_adapter_argument


def _add_options(parser: ArgumentParser) -> None:
    add_adapter_argument(parser)
    parser.add_argument("file", type=str, help="The file to write, such as model.onnx.")
    parser.add_argument(
        "--int8", type=bool, default=False, help="Also write a quantised model, and measure it."
    )
    parser.add_argument(
        "--backbone", type=str | None, default=None, help="Frozen backbone, if it moved since training."
    )
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace files that are there already.")


def _run(options: Namespace) -> int:
    """Write an adapter with its backbone as one ONNX model, checked against PyTorch.

    petl-ast export outputs/demo/fold_1/last model.onnx --int8
    Needs onnx, onnxruntime and onnxscript: pip install "petl-ast[export]". The model maps spectrograms
    [batch, frames, mel bins] to logits; its metadata hold the labels and the spectrogram settings.
    """
    with quick_imports():
        from ..sharing.onnx_export import CHECKED_BATCHES, TOLERANCE, export

    found = export(
        options.adapter, Path(options.file), options.backbone, options.int8, overwrite=options.overwrite
    )
    batches = " and ".join(map(str, CHECKED_BATCHES))
    print(f"{found.path}: {found.size / 1e6:.2f} MB")
    print(
        f"Checked with batches of {batches}: PyTorch's logits within {found.difference:.1e} ({TOLERANCE:g})."
    )
    if small := found.int8:
        before, now = small.milliseconds
        print(f"{small.path}: {small.size / 1e6:.2f} MB")
        if small.several:
            same = f"Its yes or no is float32's for {small.agreement:.1%} of the classes"
        else:
            same = f"It names float32's class for {small.agreement:.1%}"
        print(
            f"{same} of {small.clips} procedural clips; "
            f"probabilities differ by {small.difference:.3f} at most."
        )
        print(f"A clip takes {now:.1f} ms, in float32 {before:.1f} ms: {before / now:.2f} times as fast.")
    return 0


VERB = Verb(_add_options, _run, "ADAPTER FILE ")
