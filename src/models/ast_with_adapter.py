"""A frozen AST, a method that adapts it, and a classification head: the model of the whole project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ASTModel

from ..adapter_folder import check_fit, declare, write_adapter
from ..config import SpectrogramConfig, parse_dataclass
from ..errors import UserError
from ..text import is_plain
from .method import Trained, get_method
from .reference import trained_from_reference


class ASTWithAdapter(nn.Module):
    """Maps spectrograms [B, max_length, num_mel_bins] to logits [B, num_classes]. Made by `build_model`.

    Attributes:
        backbone: The AST, frozen but for what the method declares.
        classification_head: Linear d -> num_classes.
        settings: The arguments of `build_model`, as plain values.
        backbone_fingerprint: Checksum of the backbone's configuration and weights before any training.
        metadata: What `load_adapter` found beside the weights: label names, spectrogram settings, metrics,
            ...
    """

    def __init__(self, backbone: ASTModel, num_classes: int, pooling: str, trained: Trained) -> None:
        super().__init__()
        self.backbone = backbone
        # PyTorch's own initialisation, as in the paper's runs: their head was made outside transformers.
        self.classification_head = nn.Linear(backbone.config.hidden_size, num_classes)
        self.settings: dict[str, Any] = {}
        self.backbone_fingerprint = ""
        self.metadata: dict[str, Any] = {}
        self._source = "This model"  # what messages call it: the folder, once it was loaded from one
        self._pooling = pooling
        self._groups = {**trained.groups, "head": list(self.classification_head.parameters())}
        self._follow_train_mode = trained.modules
        self.requires_grad_(False)
        for parameter in self.trainable_parameters():
            parameter.requires_grad_(True)
        self.train(False)

    @property
    def labels(self) -> list[str]:
        """Class names in the head's order.

        Raises:
            UserError: if the model was not loaded from an adapter that names as many classes as it has.
        """
        labels = self.metadata.get("labels")
        if not isinstance(labels, list) or len(labels) != self.settings["num_classes"]:
            raise UserError(
                f"{self._source} does not name its {self.settings['num_classes']} classes "
                f"(labels: {labels!s:.300}); it was not saved by a training run, or was edited."
            )
        if not all(isinstance(label, str) and is_plain(label) for label in labels):
            raise UserError(f"{self._source}: labels holds something else than names of one line of text.")
        return list(labels)

    @property
    def thresholds(self) -> list[float] | None:
        """From which probability on each class is affirmed, where a clip may have several labels; else None.

        Raises:
            UserError: if the adapter folder gives something else.
        """
        values = self.metadata.get("thresholds")
        if values is None:
            return None
        fine = isinstance(values, list) and len(values) == self.settings["num_classes"]
        if not fine or not all(type(value) in (int, float) and 0 <= value <= 1 for value in values):
            raise UserError(
                f"{self._source}: thresholds is {values!r:.100}; it must be a probability for each of the "
                f"{self.settings['num_classes']} classes. Was adapter_config.json edited?"
            )
        return [float(value) for value in values]

    @property
    def spectrogram(self) -> SpectrogramConfig:
        """Settings of the spectrograms that the adapter was trained on.

        Raises:
            UserError: if the model was not loaded from an adapter that tells them.
        """
        settings = self.metadata.get("spectrogram")
        if not isinstance(settings, dict):
            raise UserError(
                f"{self._source} keeps no spectrogram settings; it was not saved by a training run."
            )
        return parse_dataclass(SpectrogramConfig, settings, f"{self._source}: spectrogram settings")

    @property
    def fixed_features(self) -> bool:
        """Whether nothing before the final LayerNorm trains, so that `summary` of a clip stays the same."""
        behind = {id(p) for p in (*self.backbone.layernorm.parameters(), *self._groups["head"])}
        return not self._follow_train_mode and all(id(p) in behind for p in self.trainable_parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, num_classes] of normalised spectrograms [B, max_length, num_mel_bins]."""
        return self.classification_head(self.features(x))  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """Pooled features [B, d] of spectrograms [B, max_length, num_mel_bins], as the head sees them."""
        self._check_input(x)
        return self.pool(self.backbone(x).last_hidden_state)

    def summary(self, x: Tensor) -> Tensor:
        """`features` [B, d] before the final LayerNorm's weight and bias; `Probe` goes on from there."""
        self._check_input(x)
        norm = self.backbone.layernorm
        plain = {
            "layernorm.weight": torch.ones_like(norm.weight),
            "layernorm.bias": torch.zeros_like(norm.bias),
        }
        return self.pool(torch.func.functional_call(self.backbone, plain, (x,)).last_hidden_state)

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens [B, 2 + patches, d] behind the final LayerNorm -> [B, d]."""
        return tokens.mean(dim=1) if self._pooling == "mean" else tokens[:, 0]

    def _check_input(self, x: Tensor) -> None:
        expected = (self.settings["max_length"], self.backbone.config.num_mel_bins)
        if x.ndim != 3 or tuple(x.shape[1:]) != expected:
            raise UserError(
                f"The input is {list(x.shape)}; this model hears [clips, {expected[0]}, {expected[1]}]."
            )

    def train(self, mode: bool = True) -> ASTWithAdapter:
        """Switch only what trains: BatchNorm and dropout of the method. The frozen backbone stays in eval
        mode.
        """
        super().train(False)
        self.training = mode
        for module in (*self._follow_train_mode, self.classification_head):
            module.train(mode)
        for layer in self.backbone.layers if self.backbone.is_gradient_checkpointing else ():
            layer.training = mode  # the layer's own flag, not its parts': transformers looks at it
        return self

    def enable_gradient_checkpointing(self) -> None:
        """Keep only each layer's input for the backward pass, and compute the rest of it again there."""
        norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm1d)]
        self.backbone.gradient_checkpointing_enable(
            {"use_reentrant": False, "context_fn": lambda: (nullcontext(), _statistics_kept(norms))}
        )

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Every trained parameter, for the optimiser, in the order of the groups."""
        return [parameter for group in self._groups.values() for parameter in group]

    def parameter_counts(self) -> dict[str, int]:
        """Numbers of parameters: "method", "layernorm", "head", "trainable" (their sum) and "total" (frozen
        ones too).
        """
        counts = {"method": 0, "layernorm": 0}
        counts |= {name: sum(p.numel() for p in group) for name, group in self._groups.items()}
        trainable = sum(counts.values())
        return {**counts, "trainable": trainable, "total": sum(p.numel() for p in self.parameters())}

    def trained_state(self) -> dict[str, Tensor]:
        """Every trained tensor by name, and the buffers (BatchNorm's statistics) of modules that train."""
        trained = {id(parameter) for parameter in self.trainable_parameters()}
        trained |= {id(buffer) for module in self._follow_train_mode for buffer in module.buffers()}
        return {
            name: tensor for name, tensor in self.state_dict(keep_vars=True).items() if id(tensor) in trained
        }

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `trained_state` gave.

        Raises:
            UserError: naming tensors that are missing, unknown or of a wrong shape; the model is then
                unchanged.
        """
        own = self.trained_state()
        check_fit(declare(own), declare(state))
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])

    def load_reference_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state dict trained with the paper's reference code, names and all.

        Args:
            state: A whole one (its frozen tensors must be this backbone's) or the trained part alone.

        Raises:
            UserError: naming tensors that are missing, unknown, of a wrong shape, or another backbone's.
        """
        method = get_method(self.settings["method"])
        trained = set(self.trained_state())
        self.load_trained_state(
            trained_from_reference(state, self.state_dict(), trained, method.reference_names)
        )

    def save_adapter(self, folder: str | Path, **metadata: Any) -> None:
        """Write what was trained as a folder that `load_adapter` reads: weights as safetensors, the rest as
        JSON.

        Args:
            folder: Made if missing.
            **metadata: Plain values to keep beside the weights, such as `labels`; added to those the model
                has.

        Raises:
            UserError: if the folder cannot be written.
        """
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.trained_state().items()}
        model = {**self.settings, "backbone_fingerprint": self.backbone_fingerprint}
        write_adapter(Path(folder), state, {"model": model, **self.metadata, **metadata})


class Probe(nn.Module):
    """The end of a model whose features are fixed: its final LayerNorm's weight and bias, and its head.

    Pooling is a mean or a choice, so it may come before weight and bias: `Probe(model)(model.summary(x))` is
    `model(x)`, up to rounding. Both share their parameters.
    """

    def __init__(self, model: ASTWithAdapter) -> None:
        super().__init__()
        self.layernorm, self.classification_head = model.backbone.layernorm, model.classification_head

    def forward(self, summary: Tensor) -> Tensor:
        """Logits [B, num_classes] of summaries [B, d]."""
        features = summary * self.layernorm.weight + self.layernorm.bias
        return self.classification_head(features)  # type: ignore[no-any-return]


@contextmanager
def _statistics_kept(norms: Sequence[nn.BatchNorm1d]) -> Iterator[None]:
    """Have BatchNorm keep its running statistics: computing a layer again is not seeing new clips."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, seen in before:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if seen is None else seen.clone()
    try:
        yield
    finally:
        for norm, momentum, seen in before:
            norm.momentum, norm.num_batches_tracked = momentum, seen
