"""One epoch of training and one of evaluation. Knows neither data sets nor methods nor configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .micro_batches import MicroBatches

Batches = Iterable[tuple[Tensor, Tensor]]  # spectrograms [B, T, mel bins] and labels [B]
OnBatch = Callable[[], None]


@dataclass(frozen=True)
class TrainResult:
    """Means over an epoch: of the loss and accuracy over clips, of the gradient's 2-norm over steps."""

    loss: float
    accuracy: float
    gradient_norm: float


@dataclass(frozen=True)
class EvalResult:
    """Mean loss and accuracy over clips; logits [clips, classes] and labels [clips] on the CPU, in order."""

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
) -> TrainResult:
    """Train on every batch once; the schedule steps after every optimiser step.

    Sums stay on the device until the epoch's end, so no step waits for the host.

    Args:
        model: [B, T, mel bins] -> logits [B, classes], on the accelerator's device.
        batches: Spectrograms and labels.
        optimizer: As `accelerator.prepare` returned it.
        scheduler: Over steps, not epochs.
        accelerator: Gives device and precision.
        augment: Applied to each batch on the device.
        on_batch: Called after each step, for progress bars.
        micro_batches: How many clips go through the model at once; if not given, whole batches.

    Raises:
        UserError: if memory does not hold a single clip.
    """
    model.train()
    device, micro_batches = accelerator.device, micro_batches or MicroBatches()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    sums = torch.zeros(3, dtype=_exact(device), device=device)
    clips = steps = 0
    for spectrograms, labels in batches:
        x, y = spectrograms.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        if augment:
            x = augment(x)
        attempt = _Gradients(model, x, y, accelerator, optimizer)
        loss_and_correct = micro_batches.fit(attempt, len(y))
        accelerator.unscale_gradients(optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        sums += torch.cat((loss_and_correct, norm[None]))
        clips, steps = clips + len(y), steps + 1
        if on_batch:
            on_batch()
    loss_sum, correct, norm_sum = sums.tolist()
    return TrainResult(loss_sum / clips, correct / clips, norm_sum / steps)


class _Gradients:
    """Adds up a batch's gradients, some clips at a time; can be tried again if memory runs out midway."""

    def __init__(
        self, model: nn.Module, x: Tensor, y: Tensor, accelerator: Accelerator, optimizer: Optimizer
    ) -> None:
        self._model, self._x, self._y = model, x, y
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
        found = torch.zeros(2, dtype=_exact(device), device=device)
        for x, y in zip(torch.split(self._x, size), torch.split(self._y, size), strict=True):
            with self._accelerator.autocast():
                logits = self._model(x)
            loss = F.cross_entropy(logits.float(), y)
            self._accelerator.backward(loss if len(y) == clips else loss * (len(y) / clips))
            found += torch.stack((loss.detach() * len(y), (logits.argmax(1) == y).sum()))
        return found


def _exact(device: torch.device) -> torch.dtype:
    """What sums are kept in: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


@torch.inference_mode()
def compute_in_parts(
    function: Callable[[Tensor], Tensor], x: Tensor, accelerator: Accelerator, micro_batches: MicroBatches
) -> Tensor:
    """The function of a batch, float32, without gradients, for as many clips at once as memory holds."""

    def attempt(size: int) -> Tensor:
        with accelerator.autocast():
            return torch.cat([function(part).float() for part in torch.split(x, size)])

    return micro_batches.fit(attempt, len(x))


@torch.inference_mode()
def eval_one_epoch(
    model: nn.Module,
    batches: Batches,
    accelerator: Accelerator,
    on_batch: OnBatch | None = None,
    micro_batches: MicroBatches | None = None,
) -> EvalResult:
    """Evaluate on every batch once, changing nothing but the model's mode.

    Args:
        model: [B, T, mel bins] -> logits [B, classes], on the accelerator's device.
        batches: Spectrograms and labels.
        accelerator: Gives device and precision.
        on_batch: Called after each batch, for progress bars.
        micro_batches: How many clips go through the model at once; if not given, whole batches.

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
    accuracy = (logits.argmax(1) == labels).double().mean()
    return EvalResult(float(F.cross_entropy(logits, labels)), float(accuracy), logits, labels)
