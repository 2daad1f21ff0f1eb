"""An adapter and its backbone as one ONNX file, which runs without PyTorch and is checked against it."""

from __future__ import annotations

import dataclasses
import json
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..errors import UserError
from ..files import write_bytes
from ..models.ast_with_adapter import ASTWithAdapter
from ..models.build import load_adapter
from .quantised import Quantised, quantise, run, session
from .quiet import quiet

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INPUT, OUTPUT = "spectrogram", "logits"
TOLERANCE = 1e-4  # between logits of PyTorch and of onnxruntime
CHECKED_BATCHES = (1, 3)  # neither is the one that the graph was traced with
SEED = 0


@dataclass(frozen=True)
class Exported:
    """What an export came to.

    Attributes:
        path: The float32 model.
        size: Its bytes.
        difference: The largest between its logits and PyTorch's.
        int8: The quantised model, if one was asked for.
    """

    path: Path
    size: int
    difference: float
    int8: Quantised | None


def export(
    adapter: str | Path, path: Path, backbone: str | None = None, int8: bool = False, overwrite: bool = False
) -> Exported:
    """Write an adapter's model as ONNX: input `spectrogram` [batch, frames, mel bins], output `logits`.

    The batch may have any size. The model's metadata hold `labels`, `thresholds` if a clip may have several,
    and the `spectrogram` settings as JSON, so that the file can be used alone. It is written only once
    onnxruntime's logits agree with PyTorch's.

    Args:
        adapter: The adapter folder, or its id on the hub.
        path: The file to write.
        backbone: Where the adapter's backbone lies, if it moved.
        int8: Also write a dynamically quantised model beside it (see `quantised.quantise`).
        overwrite: Replace files that are there.

    Raises:
        UserError: if packages are missing, the adapter cannot be loaded or does not tell its labels and
            spectrogram settings, a file is in the way, torch.onnx cannot export the model, or the logits
            differ by more than `TOLERANCE`.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"Exporting needs {', '.join(missing)}: pip install {' '.join(PACKAGES)} (the extra `export`: "
            'pip install "petl-ast[export]").'
        )
    if path.suffix != ".onnx":
        raise UserError(f"{path}: the name of an ONNX file ends with .onnx.")
    small = path.with_suffix(".int8.onnx")
    for file in (path, small) if int8 else (path,):
        if file.exists() and not overwrite:
            raise UserError(f"{file} is there already: choose another name, or replace it with --overwrite.")
    loaded = load_adapter(adapter, backbone)
    model, settings = loaded.get_adapter(loaded.active_adapter), loaded.spectrogram
    metadata: dict[str, Any] = {"labels": model.labels, "spectrogram": dataclasses.asdict(settings)}
    if model.thresholds:  # a clip may have several labels: what a sigmoid of the logits has to reach
        metadata["thresholds"] = model.thresholds
    try:
        content = onnx_bytes(model, metadata)
    except torch.onnx.OnnxExporterError as error:
        raise UserError(f"{adapter}: torch.onnx cannot export this model: {error}") from error
    difference = largest_difference(model, content)
    if not difference <= TOLERANCE:  # nor if it is not finite
        raise UserError(
            f"{adapter}: onnxruntime's logits differ from PyTorch's by {difference:.2g}, more than "
            f"{TOLERANCE:g}; {path} was not written."
        )
    write_bytes(path, content)
    quantised = quantise(content, small, settings, model.thresholds) if int8 else None
    return Exported(path, len(content), difference, quantised)


def onnx_bytes(model: ASTWithAdapter, metadata: dict[str, Any]) -> bytes:
    """The model as an ONNX file, with `metadata` as JSON values."""
    with quiet("torch.onnx"), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (_clips(model, 2),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None  # it is None only where a file is asked for
    program.model.producer_name, program.model.producer_version = "petl-ast", __version__
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in metadata.items()}
    program.model.metadata_props.update(texts)
    content: bytes = program.model_proto.SerializeToString()
    return content


def largest_difference(model: ASTWithAdapter, content: bytes) -> float:
    """The largest difference between PyTorch's logits and onnxruntime's on random clips; nan where one is."""
    onnx, worst = session(content), []
    for size in CHECKED_BATCHES:
        clips = _clips(model, size)
        with torch.no_grad():
            expected = model(clips).numpy()
        worst.append(np.abs(run(onnx, clips.numpy()) - expected).max())
    return float(np.max(worst))  # Python's max passes over what is not a number


def _clips(model: ASTWithAdapter, number: int) -> Tensor:
    """Random values on the scale of normalised spectrograms [number, frames, mel bins]."""
    shape = (number, model.settings["max_length"], model.backbone.config.num_mel_bins)
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED + number))
