"""One epoch of training and one of evaluation. Knows neither data sets nor methods nor configurations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .epoch_sums import RECENT_STEPS, EpochSums, TrainResult, sum_type
from .loss import Loss, plain_loss, right_answers
from .micro_batches import MicroBatches

Batches = Iterable[tuple[Tensor, Tensor]]  # spectrograms [B, T, mel bins] and labels, as `loss` has them
OnBatch = Callable[[], None]


@dataclass(frozen=True)
class EvalResult:
    """Mean loss and accuracy over clips; logits [clips, classes] and labels on the CPU, in order."""

    loss: float
    accuracy: float
    logits: Tensor
    labels: Tensor


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    accelerator: Accelerator,
    augment: Callable[[Tensor], Tensor] | None = None,
    on_batch: OnBatch | None = None,
    micro_batches: MicroBatches | None = None,
    sums: EpochSums | None = None,
    on_nonfinite: Literal["stop", "skip"] = "stop",
    loss: Loss = plain_loss,
) -> TrainResult:
    """Train on every batch once; the schedule steps after every optimiser step.

    A step whose loss or gradient is not finite changes neither weights nor BatchNorm's statistics.

    Args:
        model: [B, T, mel bins] -> logits [B, classes], on the accelerator's device.
        batches: Spectrograms and labels; of an epoch that goes on, those that are left.
        optimizer: As `accelerator.prepare` returned it.
        scheduler: Over steps, not epochs.
        accelerator: Gives device and precision.
        augment: Applied to each batch on the device.
        on_batch: Called after each step, for progress bars and for saving.
        micro_batches: How many clips go through the model at once; if not given, whole batches.
        sums: Of the steps done before, if the epoch goes on; every step is added to it.
        on_nonfinite: "stop" at a step that is not finite, or "skip" it. A GPU tells the host at the epoch's
            end, or when `sums.check` asks; the steps between are taken from the last good weights.
        loss: What to minimise, and what the result's loss is.

    Raises:
        UserError: if memory does not hold a single clip.
        NonFiniteError: as `on_nonfinite` says, or if no step was finite.
    """
    model.train()
    device, micro_batches = accelerator.device, micro_batches or MicroBatches()
    sums = EpochSums(device) if sums is None else sums
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for spectrograms, labels in batches:
        x, y = spectrograms.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        if augment:
            x = augment(x)
        attempt = _Gradients(model, x, y, accelerator, optimizer, loss)
        found = micro_batches.fit(attempt, len(y))
        accelerator.unscale_gradients(optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        finite = found[0].isfinite()
        if accelerator.scaler is None:  # a scaler expects overflowing gradients and skips them by itself
            finite &= norm.isfinite()
        rate = float(scheduler.get_last_lr()[0])
        attempt.keep_buffers_if(finite)
        _step_if(finite, optimizer, accelerator)
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        sums.add(found, norm, len(y), finite, rate)
        if on_nonfinite == "stop" and (device.type == "cpu" or sums.unseen == RECENT_STEPS):
            sums.check()
        if on_batch:
            on_batch()
    if on_nonfinite == "stop":
        sums.check()
    return sums.result()


def _step_if(finite: Tensor, optimizer: Optimizer, accelerator: Accelerator) -> None:
    """Take the optimiser's step if `finite`; a fused optimiser looks at that itself, on the device."""
    if accelerator.scaler is None:
        if optimizer.param_groups[0].get("fused"):
            inner: Any = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
            inner.found_inf = finite.logical_not().float()
        elif not finite:
            optimizer.zero_grad(set_to_none=True)  # a step without gradients changes nothing
    optimizer.step()


class _Gradients:
    """Adds up a batch's gradients, some clips at a time; can be tried again if memory runs out midway."""

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        accelerator: Accelerator,
        optimizer: Optimizer,
        loss: Loss,
    ) -> None:
        self._model, self._x, self._y, self._loss = model, x, y, loss
        self._accelerator, self._optimizer = accelerator, optimizer
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        self._tried = False

    def __call__(self, size: int) -> Tensor:
        """Summed loss and number of right answers [2]; the gradients are those of the batch's mean loss."""
        if self._tried:
            self._optimizer.zero_grad(set_to_none=True)
            for buffer, before in self._buffers:
                buffer.copy_(before)
        self._tried = True
        clips, device = len(self._y), self._y.device
        found = torch.zeros(2, dtype=sum_type(device), device=device)
        for x, y in zip(torch.split(self._x, size), torch.split(self._y, size), strict=True):
            with self._accelerator.autocast():
                logits = self._model(x)
            loss = self._loss(logits.float(), y)
            self._accelerator.backward(loss if len(y) == clips else loss * (len(y) / clips))
            found += torch.stack((loss.detach() * len(y), right_answers(logits, y).sum()))
        return found

    def keep_buffers_if(self, finite: Tensor) -> None:
        """Put the buffers back to where they were before the batch unless it was `finite`."""
        for buffer, before in self._buffers:
            buffer.copy_(torch.where(finite, buffer, before))


@torch.inference_mode()
def compute_in_parts(
    function: Callable[[Tensor], Tensor], x: Tensor, accelerator: Accelerator, micro_batches: MicroBatches
) -> Tensor:
    """The function of a batch, float32, without gradients, for as many clips at once as memory holds."""

    def attempt(size: int) -> Tensor:
        with accelerator.autocast():
            return torch.cat([function(part).float() for part in torch.split(x, size)])

    return micro_batches.fit(attempt, len(x))


def average_windows(logits: Tensor, windows: Sequence[int], several: bool = False) -> Tensor:
    """One row of logits for each clip, whose probabilities are the mean of its windows' probabilities.

    Probabilities are averaged, as `petl-ast predict` does, and not logits: a window where the sound is heard
    clearly counts no more than one, and one that is sure of something else cannot veto it.

    Args:
        logits: [windows of all clips, classes], the windows of a clip one behind the other.
        windows: How many each clip has.
        several: Whether probabilities are sigmoids, of several classes a clip, and not a softmax.

    Returns:
        [clips, classes]; of a clip with a single window, that one's logits to the bit.
    """
    parts = torch.split(logits, list(windows))

    def mean(values: Tensor) -> Tensor:
        return values.logsumexp(0) - math.log(len(values))

    if several:
        means = [mean(F.logsigmoid(part)) - mean(F.logsigmoid(-part)) for part in parts]
    else:
        means = [mean(part.log_softmax(1)) for part in parts]
    return torch.stack([part[0] if len(part) == 1 else mean for part, mean in zip(parts, means, strict=True)])


@torch.inference_mode()
def eval_one_epoch(
    model: nn.Module,
    batches: Batches,
    accelerator: Accelerator,
    on_batch: OnBatch | None = None,
    micro_batches: MicroBatches | None = None,
    clip_of: Tensor | None = None,
) -> EvalResult:
    """Evaluate on every batch once, changing nothing but the model's mode.

    Args:
        model: [B, T, mel bins] -> logits [B, classes], on the accelerator's device.
        batches: Spectrograms and labels.
        accelerator: Gives device and precision.
        on_batch: Called after each batch, for progress bars.
        micro_batches: How many clips go through the model at once; if not given, whole batches.
        clip_of: Which clip each row of the batches is a window of, if some clips have several, one behind the
            other; int64 [rows].

    Raises:
        UserError: if memory does not hold a single clip.
    """
    model.eval()
    device, micro_batches = accelerator.device, micro_batches or MicroBatches()
    all_logits, all_labels = [], []
    for spectrograms, labels in batches:
        x = spectrograms.to(device, non_blocking=True)
        all_logits.append(compute_in_parts(model, x, accelerator, micro_batches))
        all_labels.append(labels)
        if on_batch:
            on_batch()
    logits, labels = torch.cat(all_logits).cpu(), torch.cat(all_labels).cpu()
    if clip_of is not None:
        windows = [len(list(rows)) for _, rows in groupby(clip_of.tolist())]
        logits = average_windows(logits, windows, labels.ndim == 2)
        labels = labels[torch.tensor(windows).cumsum(0) - 1]
    accuracy = right_answers(logits, labels).double().mean()
    return EvalResult(float(plain_loss(logits, labels)), float(accuracy), logits, labels)
