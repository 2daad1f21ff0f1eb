"""The frozen Audio Spectrogram Transformer: loading a checkpoint and fitting its position table to a clip's
length.

Source of the model: Gong, Chung, Glass, "AST: Audio Spectrogram Transformer", Interspeech 2021; transformers'
ASTModel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ASTConfig, ASTForAudioClassification, ASTModel
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from ..backbones import shipped
from ..errors import UserError

PositionEmbeddings = Literal["crop", "interpolate", "zeros"]

MODEL_TYPE = "audio-spectrogram-transformer"
# Far beyond every AST there is; what is declared is refused before memory is taken for it.
LARGEST = {
    **{
        "hidden_size": 8192,
        "num_hidden_layers": 200,
        "num_attention_heads": 256,
        "intermediate_size": 65_536,
    },
    **{"patch_size": 256, "frequency_stride": 256, "time_stride": 256, "max_length": 100_000},
    "num_mel_bins": 1024,
}
SMALLEST_SHARE = 16  # weights described for every byte of the files: those of a whole checkpoint have 1/4
SPECIAL_TOKENS = 2  # CLS and distillation, in front of the patches
PAPER_BACKBONE = "MIT/ast-finetuned-audioset-10-10-0.4593"
POSITION_TABLE = "embeddings.position_embeddings"
FINGERPRINTED = (
    *(
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "qkv_bias",
    ),
    *("patch_size", "frequency_stride", "time_stride", "num_mel_bins", "layer_norm_eps"),
)


def load_backbone(source: str | Path) -> ASTModel:
    """Load an AST checkpoint as its authors published it, position table and all.

    Args:
        source: Hub id, a folder with config.json and model.safetensors, or the name of a backbone that this
            package ships. Key names of transformers 4 and 5, with and without a classification head, are read
            alike; the head is dropped.

    Returns:
        float32 model in eval mode with scaled-dot-product attention (no materialised probabilities).

    Raises:
        UserError: if there is no such checkpoint, it is no AST, or weights are missing.
    """
    name = str(shipped(str(source)) or source)
    _check_size(name, _read_config(name), _weight_files(name))
    with _clear_errors(name), _quiet():
        model, info = ASTModel.from_pretrained(
            name,
            output_loading_info=True,
            use_safetensors=True,  # the older pickled format would run code from the file
            dtype=torch.float32,
            attn_implementation="sdpa",
        )
    if missing := sorted(info["missing_keys"]):
        raise UserError(f"The backbone {name!r} lacks {len(missing)} weights, such as {missing[0]}.")
    if unknown := sorted(key for key in info["unexpected_keys"] if not key.startswith("classifier.")):
        raise UserError(f"The backbone {name!r} holds weights that are no AST's, such as {unknown[0]}.")
    return model.eval()


def random_backbone(source: str | Path) -> ASTModel:
    """An AST of a checkpoint's shape with random weights, for questions that no weight can answer: counts,
    costs.

    Args:
        source: As for `load_backbone`. Only its config.json is read, and for the paper's checkpoint not even
            that.

    Raises:
        UserError: if there is no such configuration, or it is no AST's.
    """
    if str(source) == PAPER_BACKBONE:
        return ASTModel(ASTConfig(max_length=1024))  # transformers' defaults are this checkpoint's shape
    return ASTModel(ASTConfig(**_read_config(str(shipped(str(source)) or source))))


def fingerprint(model: ASTModel) -> str:
    """A checksum of the configuration and all weights but the position table, which each policy changes."""
    shape = {key: getattr(model.config, key) for key in FINGERPRINTED}
    digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name != POSITION_TABLE:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def patch_grid(config: ASTConfig, max_length: int) -> tuple[int, int]:
    """How many patches lie along frequency and along time in a spectrogram of `max_length` frames.

    Raises:
        UserError: if the spectrogram is shorter than one patch.
    """
    if max_length < config.patch_size:
        raise UserError(
            f"max_length is {max_length}; this backbone needs at least one patch, {config.patch_size} frames."
        )
    frequency = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return frequency, (max_length - config.patch_size) // config.time_stride + 1


def fit_position_table(table: Tensor, grid: tuple[int, int], time: int, policy: PositionEmbeddings) -> Tensor:
    """Make a checkpoint's position table fit `time` patches.

    Args:
        table: [1, 2 + F * T, d]: special tokens, then patches, frequency-major.
        grid: The table's own (F, T).
        time: Wanted time patches t.
        policy: "crop" takes the columns T // 2 - t // 2 ... of the time axis, as AST's authors do, and
            interpolates where t > T; "interpolate" always stretches the time axis bilinearly; "zeros" is the
            table that the paper's code ran with (it dropped the checkpoint's, for its size differed).

    Returns:
        [1, 2 + F * t, d].
    """
    frequency, full_time = grid
    width = table.shape[-1]
    if policy == "zeros":
        return torch.zeros(1, SPECIAL_TOKENS + frequency * time, width)
    if time == full_time:
        return table
    special, patches = table[:, :SPECIAL_TOKENS], table[:, SPECIAL_TOKENS:]
    patches = patches.view(1, frequency, full_time, width).permute(0, 3, 1, 2)  # [1, d, F, T]
    if policy == "crop" and time < full_time:
        start = full_time // 2 - time // 2
        patches = patches[..., start : start + time]
    else:
        patches = F.interpolate(patches, size=(frequency, time), mode="bilinear", align_corners=False)
    patches = patches.permute(0, 2, 3, 1).reshape(1, frequency * time, width)
    return torch.cat((special, patches), dim=1)


def fit_length(model: ASTModel, max_length: int, policy: PositionEmbeddings) -> None:
    """Give `model` the position table for spectrograms of `max_length` frames (see `fit_position_table`)."""
    config = model.config
    _, time = patch_grid(config, max_length)
    table = model.embeddings.position_embeddings
    fitted = fit_position_table(table.detach(), patch_grid(config, config.max_length), time, policy)
    model.embeddings.position_embeddings = nn.Parameter(fitted.contiguous(), requires_grad=False)
    config.max_length = max_length


def _read_config(name: str) -> dict[str, Any]:
    """The checkpoint's config.json, once it is known to be an AST's."""
    is_path = Path(name).exists() or name.startswith((".", "/", "~"))
    if is_path and not (Path(name) / "config.json").is_file():
        raise UserError(f"{name} is no folder with an AST checkpoint (config.json and model.safetensors).")
    with _clear_errors(name), _quiet():
        config: dict[str, Any] = ASTConfig.get_config_dict(name)[0]
    if not isinstance(config, dict):
        raise UserError(f"{name}: config.json holds no mapping.")
    if (model_type := config.get("model_type")) != MODEL_TYPE:
        raise UserError(f"{name} holds a model of type {model_type!r:.100}, not an AST ({MODEL_TYPE!r}).")
    for key, most in LARGEST.items():
        if key in config and not (type(value := config[key]) is int and 1 <= value <= most):
            raise UserError(
                f"{name}: {key} in config.json is {value!r:.100}; it must be a whole number of at least "
                f"1 and at most {most:,}."
            )
    if is_path:
        _check_size(name, config, list(Path(name).glob("*.safetensors")))
    return config


def _weight_files(name: str) -> list[Path]:
    """A checkpoint's weights, fetched if the hub has them; a stranger's adapter may name its backbone.

    Raises:
        UserError: if the hub does not answer, or has them in several files: no AST is that large.
    """
    if Path(name).is_dir():
        return list(Path(name).glob("*.safetensors"))
    with _clear_errors(name), _quiet():
        found = cached_file(name, "model.safetensors", _raise_exceptions_for_missing_entries=False)
        if not found and cached_file(
            name, "model.safetensors.index.json", _raise_exceptions_for_missing_entries=False
        ):
            raise ValueError("its weights lie in several files; those of an AST lie in model.safetensors")
    return [Path(found)] if found else []


def _check_size(name: str, config: dict[str, Any], files: list[Path]) -> None:
    """See that no memory is taken for what config.json only promises."""
    width, layers = config.get("hidden_size", 768), config.get("num_hidden_layers", 12)
    values = layers * width * (4 * width + 2 * config.get("intermediate_size", 3072))
    if files and values > 1_000_000 + SMALLEST_SHARE * sum(file.stat().st_size for file in files):
        raise UserError(
            f"{name}: config.json describes a model of more than {values:,} weights, many times what "
            "the files beside it hold."
        )


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Turn the many kinds of errors of transformers, huggingface_hub and safetensors into one that says what
    to do.
    """
    try:
        yield
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"Cannot load the backbone {name!r}: {reason}\nGive a hub id that this machine can reach or has "
            "in its cache, or a folder with config.json and model.safetensors."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bar and its report on the dropped head from the user's screen."""
    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()


def save_random_backbone(folder: str | Path, config: ASTConfig, seed: int) -> None:
    """Write an AST with random weights in the hub's format: a stand-in where no download is possible.

    Weights and the position table are drawn from N(0, config.initializer_range), the same for the same seed.
    """
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        model = ASTForAudioClassification(config)
        nn.init.normal_(
            model.audio_spectrogram_transformer.embeddings.position_embeddings, std=config.initializer_range
        )
        model.save_pretrained(folder)
