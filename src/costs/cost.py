"""What a configuration costs before anyone pays it: operations, memory, and the time of a run on this machine
and on cards that one might rent.

A step of the real model runs on PyTorch's `meta` device, where tensors have shapes but no values. Every
operator tells its floating-point operations and the bytes it moves, and takes as long as the slower of the
two (the roofline model: Williams, Waterman, Patterson, CACM 2009). What the backward does not compute is not
counted. Left out are the host, copies to the device, augmentation, and writing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ..config import RunConfig
from ..data.dataset import AudioDataset
from ..data.formats import holds_data, open_dataset
from ..data.shots import training_indices
from ..models.ast_with_adapter import ASTWithAdapter, Probe
from ..utils.workplace import has_fixed_features
from .machines import Machine

ESC50_CLIPS, ESC10_CLIPS, ESC50_FOLDS = 2000, 400, 5  # taken where the data set is not at hand
ADAMW_STATE = 2  # running moments, each as large as what trains
ADAMW_MOVES = 7  # reads weight, gradient and both moments, writes all but the gradient
FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Operator:
    """One call of an operator.

    Attributes:
        kind: "product" (matrix products and convolutions), "attention", or "other", which is all movement.
        flops: Floating-point operations.
        moved: Bytes read and written, in float32.
    """

    kind: str
    flops: int
    moved: int

    def seconds(self, machine: Machine) -> float:
        """The longer of computing and moving.

        Autocast's shorter numbers count for products and attention alone: what they save on the others (GELU)
        goes into conversions, which are not counted.
        """
        if self.kind == "other":
            return self.moved / machine.bandwidth
        rate = machine.attention if self.kind == "attention" else machine.products
        return max(self.flops / rate, self.moved * machine.bytes_per_value / FLOAT32 / machine.bandwidth)


@dataclass(frozen=True)
class Part:
    """What is done with a batch: operators, and the bytes of tensors that they make.

    Attributes:
        clips: In the batch.
        operators: In order.
        kept: Bytes still there when a training step's backward begins: activations.
        peak: The most bytes at once.
    """

    clips: int
    operators: Sequence[Operator]
    kept: int = 0
    peak: int = 0

    @property
    def flops(self) -> float:
        """Floating-point operations a clip."""
        return sum(operator.flops for operator in self.operators) / self.clips

    def seconds(self, machine: Machine) -> float:
        """Predicted seconds a clip."""
        return sum(operator.seconds(machine) for operator in self.operators) / self.clips


@dataclass(frozen=True)
class Work:
    """How many clips go through the model in a run, all folds and epochs.

    Attributes:
        training: Forward, backward and optimiser.
        evaluation: Validation after every epoch, the test fold with the last and with the best weights; where
            clips have several labels, the validation fold too, for thresholds.
        clips: Of the data set, for features that are computed once.
        source: Where these numbers come from.
        long_clips: Whether every epoch hears other stretches of clips longer than the spectrograms.
    """

    training: int
    evaluation: int
    clips: int
    source: str
    long_clips: bool = False


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        training: A training step.
        evaluation: A step of validation or test.
        features: What is computed once a clip if features stay the same (see `workplace.set_up`), else None.
        parameters: Bytes of the whole model.
        adapter: Bytes of what trains and of its buffers, which an adapter folder holds.
        optimizer: Bytes of AdamW's state.
    """

    training: Part
    evaluation: Part
    features: Part | None
    parameters: int
    adapter: int
    optimizer: int

    @property
    def memory(self) -> int:
        """Bytes at the fullest moment: weights, optimiser, gradients and activations; not the libraries."""
        largest = max(part.peak for part in (self.training, self.features) if part)
        return self.parameters + self.optimizer + largest

    def seconds(self, work: Work, machine: Machine) -> float:
        """Predicted seconds of a whole run."""
        seconds = work.training * self.training.seconds(machine)
        seconds += work.evaluation * self.evaluation.seconds(machine)
        return seconds + (work.clips * self.features.seconds(machine) if self.features else 0)


def work_of(config: RunConfig) -> Work:
    """How many clips a run goes through: by the data set, or ESC-50's numbers if there is none.

    Raises:
        UserError: if there is a data set, but it is not usable.
    """
    root, epochs = Path(config.data.root), config.train.epochs
    if holds_data(config.data):
        return work_with(config, open_dataset(config)[0])
    clips = ESC10_CLIPS if config.data.subset == "esc10" else ESC50_CLIPS
    fold, tested = clips // ESC50_FOLDS, len(config.data.folds or range(ESC50_FOLDS))
    source = f"no data set in {root}, so {clips} clips in {ESC50_FOLDS} folds are assumed"
    train, validation, test = ((folds * fold * tested) for folds in (ESC50_FOLDS - 2, 1, 1))
    return _work(train, validation, test, clips, tested, epochs, source)


def work_with(config: RunConfig, dataset: AudioDataset) -> Work:
    """The same with a data set that is open."""
    splits = [dataset.split(fold) for fold in config.data.folds or dataset.tested]
    train = sum(len(training_indices(dataset, split, config.data)) for split in splits)
    validation = sum(_heard(dataset, split.validation) for split in splits)
    test = sum(_heard(dataset, split.test) for split in splits)
    source = f"{len(dataset)} clips in {len(dataset.folds)} folds of {dataset.root}"
    work = _work(train, validation, test, len(dataset), len(splits), config.train.epochs, source)
    chosen = 2 * validation if dataset.multi_label else 0  # thresholds, by the last and the best epoch
    return replace(work, evaluation=work.evaluation + chosen, long_clips=dataset.has_long_clips())


def _heard(dataset: AudioDataset, fold: int) -> int:
    """How many windows an evaluation of the fold hears."""
    indices = dataset.indices([fold])
    return len(dataset.stretches.windows(indices)[0]) if dataset.stretches else len(indices)


def _work(train: int, validation: int, test: int, clips: int, tested: int, epochs: int, source: str) -> Work:
    source = f"{source}; {tested} folds tested, {epochs} epochs each"
    return Work(epochs * train, epochs * validation + 2 * test, clips, source)


def cost_of(model: ASTWithAdapter, config: RunConfig, long_clips: bool = False) -> Cost:
    """Count what a model costs in a run of this configuration.

    Args:
        model: Just built. It goes to the `meta` device, so that its weights are lost.
        config: Of the run: batch, gradient checkpointing, augmentation.
        long_clips: As `Work` has it.
    """
    trained = sum(p.nbytes for p in model.trainable_parameters())
    parameters = sum(p.nbytes for p in model.parameters())
    adapter = sum(tensor.nbytes for tensor in model.trained_state().values())
    fixed = has_fixed_features(model, config, long_clips)
    if config.train.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    model.to("meta")
    backbone, batch = model.backbone.config, config.train.batch_size
    clips = min(config.train.micro_batch_size or batch, batch)
    x = torch.empty(clips, config.spectrogram.max_length, backbone.num_mel_bins, device="meta")
    network: nn.Module = model
    features = None
    if fixed:
        features = _count(clips, lambda recorder: _evaluate(model.summary, x))
        network, x = Probe(model), torch.empty(clips, backbone.hidden_size, device="meta")
    labels = torch.zeros(clips, dtype=torch.long, device="meta")

    def train(recorder: _Recorder) -> None:
        loss = F.cross_entropy(network(x), labels)
        recorder.kept = recorder.there
        loss.backward()  # type: ignore[no-untyped-call]
        share = clips / batch  # of an optimiser step, for the gradients of several parts may add up to one
        recorder.operators.append(Operator("other", 0, round(ADAMW_MOVES * trained * share)))

    network.train()
    training = _count(clips, train)
    network.eval()
    evaluation = _count(clips, lambda recorder: _evaluate(network, x))
    return Cost(training, evaluation, features, parameters, adapter, ADAMW_STATE * trained)


@torch.no_grad()
def _evaluate(function: Callable[[Tensor], Tensor], x: Tensor) -> None:
    function(x)


def _count(clips: int, step: Callable[[_Recorder], None]) -> Part:
    """Run a step of so many clips and note what it does."""
    # The backward, too, may come here: to compute checkpointed layers again.
    with patch.object(F, "scaled_dot_product_attention", _fused_attention), _Recorder() as recorder:
        step(recorder)
    return Part(clips, recorder.operators, recorder.kept, recorder.peak)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what each operator computes and moves, and how many bytes of its results are there at a time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[Operator] = []
        self.there = self.kept = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with FlopCounterMode(display=False) as counter:
            result = func(*args, **(kwargs or {}))
        read, written = (
            {id(t.untyped_storage()): t for t in tree_leaves(tree) if isinstance(t, Tensor)}
            for tree in ((args, kwargs), result)
        )
        for identity in written.keys() - read.keys():
            self._watch(written[identity].untyped_storage())
        if func._schema.is_mutable or not written.keys() <= read.keys():  # else a view: nothing moves
            tensors = (*read.values(), *written.values())
            moved = sum(min(t.nbytes, t.untyped_storage().nbytes()) for t in tensors)  # less if expanded
            flops = counter.get_total_flops()
            kind = "attention" if "attention" in str(func) else "product" if flops else "other"
            self.operators.append(Operator(kind, flops, moved))
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        """Count a new storage until it is freed."""
        self.there += storage.nbytes()
        self.peak = max(self.peak, self.there)
        weakref.finalize(storage, self._freed, storage.nbytes())

    def _freed(self, size: int) -> None:
        self.there -= size


def _fused_attention(
    query: Tensor, key: Tensor, value: Tensor, *, dropout_p: float, scale: float, **more: Any
) -> Tensor:
    """[B, H, N, width] each -> the same, by one operator, as processors and GPUs do it.

    On `meta` PyTorch's own falls apart into products whose N x N probabilities are written out.
    """
    fused = torch.ops.aten._scaled_dot_product_flash_attention
    return fused(query, key, value, dropout_p, scale=scale)[0]  # type: ignore[no-any-return]
