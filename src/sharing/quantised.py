"""The same ONNX model with weights of 8 bits, and what that costs and gains, measured on the spot.

Dynamic quantisation (onnxruntime's): the weights of linear layers become int8, one scale a column; their
inputs are rounded as they come. Everything else stays float32.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from ..config import SpectrogramConfig
from ..data.sounds.clips import LABELS, MIN_SAMPLING_RATE, clip
from ..data.spectrogram import log_mel, samples_heard
from ..files import write_bytes
from .quiet import quiet

SEED = 1  # of the procedural clips; ast-mini was made from those of other seeds
ROUNDS = 15  # timed forward passes of each model, in turns
BATCH = 16

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """A quantised model beside its original.

    Attributes:
        path: Where it is.
        size: Its bytes.
        clips: How many procedural clips both heard.
        agreement: The share of these for which both name the same class; with `thresholds`, the share of the
            clips' classes which both affirm or both deny.
        difference: The largest between their probabilities.
        several: Whether a clip may have several labels.
        milliseconds: Of float32 and of int8 for one clip: medians of `ROUNDS` passes in turns.
    """

    path: Path
    size: int
    clips: int
    agreement: float
    difference: float
    several: bool
    milliseconds: tuple[float, float]


def quantise(
    content: bytes, path: Path, spectrogram: SpectrogramConfig, thresholds: list[float] | None = None
) -> Quantised:
    """Write the int8 model and measure it against the float32 one.

    Args:
        content: The float32 model.
        path: The file to write.
        spectrogram: What the model hears.
        thresholds: Where a clip may have several labels: from which probability on each class is affirmed.

    Returns:
        How far both agree on a procedural clip of each of the families in `data.sounds`, and how fast both
        are in this process, on the processor.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load_from_string(content)
    # The exporter's notes on shapes are those before constants were folded; the quantiser infers its own.
    model.graph.ClearField("value_info")
    with TemporaryDirectory() as folder, quiet():  # it advises to run another tool first
        small = Path(folder) / "int8.onnx"
        quantize_dynamic(
            model,
            small,
            op_types_to_quantize=["MatMul", "Gemm"],  # convolutions in int8 are slower on processors
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        quantised = small.read_bytes()
    models = session(content), session(quantised)
    clips = _clips(spectrogram)
    batches = np.array_split(clips, -(-len(clips) // BATCH))
    logits = [np.concatenate([run(model, batch) for batch in batches]) for model in models]
    if thresholds is None:
        floats, ints = (softmax(values, axis=1) for values in logits)
        same = floats.argmax(1) == ints.argmax(1)
    else:
        floats, ints = (expit(values) for values in logits)
        same = (floats >= thresholds) == (ints >= thresholds)
    times = _times(models, clips[:1])
    write_bytes(path, quantised)
    return Quantised(
        path=path,
        size=len(quantised),
        clips=len(clips),
        agreement=float(same.mean()),
        difference=float(np.abs(floats - ints).max()),
        several=thresholds is not None,
        milliseconds=times,
    )


def session(content: bytes) -> Any:
    """An onnxruntime session on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(onnx: Any, clips: Array) -> Array:
    """Logits [B, classes] of spectrograms [B, frames, mel bins]."""
    logits: Array = onnx.run(None, {onnx.get_inputs()[0].name: clips})[0]
    return logits


def _clips(spectrogram: SpectrogramConfig) -> Array:
    """A procedural clip of each family, as a model with these settings hears it."""
    rate = max(spectrogram.sampling_rate, MIN_SAMPLING_RATE)
    seconds = max(1.0, samples_heard(spectrogram) / spectrogram.sampling_rate)
    waves = (clip(SEED, i, seconds=seconds, sampling_rate=rate).waveform for i in range(len(LABELS)))
    clips: Array = np.concatenate([log_mel([wave], spectrogram).numpy() for wave in waves])
    return clips


def _times(models: tuple[Any, Any], clip: Array) -> tuple[float, float]:
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + 1):
        for model, times in zip(models, taken, strict=True):
            start = time.perf_counter()
            run(model, clip)
            if number:  # the first one makes room
                times.append(1000 * (time.perf_counter() - start))
    return median(taken[0]), median(taken[1])
