"""Writing a pre-trained backbone in the hub's format, with a record of how it was made."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import ASTModel

from ..config import SpectrogramConfig
from ..files import write_json, write_tensors

WEIGHTS, CONFIG, PREPROCESSOR, RECORD = (
    *("model.safetensors", "config.json"),
    *("preprocessor_config.json", "pretraining.json"),
)


def write_backbone(
    folder: Path, model: ASTModel, spectrogram: SpectrogramConfig, record: dict[str, Any]
) -> None:
    """Write config.json, preprocessor_config.json, pretraining.json and, last, model.safetensors in fp16.

    Args:
        folder: Made if missing.
        model: The backbone.
        spectrogram: What it was trained on.
        record: How; the checksum of the weights' file is added.

    Raises:
        UserError: if the operating system refuses a file.
    """
    config = copy.deepcopy(model.config)
    config.architectures = ["ASTModel"]
    config.dtype = torch.float32  # what to compute in; in halves only the file is
    values = config.to_diff_dict()
    values.pop("transformers_version", None)
    write_json(folder / CONFIG, values)
    write_json(folder / PREPROCESSOR, preprocessor(spectrogram))
    state = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    temporary = folder / f".{WEIGHTS}"
    write_tensors(temporary, state, {"format": "pt"})
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    write_json(folder / RECORD, {**record, "sha256": digest})
    temporary.replace(folder / WEIGHTS)


def preprocessor(spectrogram: SpectrogramConfig) -> dict[str, Any]:
    """The settings of transformers' ASTFeatureExtractor that make the same spectrograms."""
    return {
        "feature_extractor_type": "ASTFeatureExtractor",
        "do_normalize": True,
        "feature_size": 1,
        "max_length": spectrogram.max_length,
        "mean": spectrogram.mean,
        "num_mel_bins": spectrogram.num_mel_bins,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": spectrogram.sampling_rate,
        "std": spectrogram.std,
    }
