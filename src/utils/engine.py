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
    """
    model.train()
    device = accelerator.device
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    sums = torch.zeros(3, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    clips = steps = 0
    for spectrograms, labels in batches:
        x, y = spectrograms.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        if augment:
            x = augment(x)
        with accelerator.autocast():
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y)
        accelerator.backward(loss)
        accelerator.unscale_gradients(optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        sums += torch.stack((loss.detach() * len(y), (logits.argmax(1) == y).sum(), norm))
        clips, steps = clips + len(y), steps + 1
        if on_batch:
            on_batch()
    loss_sum, correct, norm_sum = sums.tolist()
    return TrainResult(loss_sum / clips, correct / clips, norm_sum / steps)


@torch.inference_mode()
def eval_one_epoch(
    model: nn.Module, batches: Batches, accelerator: Accelerator, on_batch: OnBatch | None = None
) -> EvalResult:
    """Evaluate on every batch once, changing nothing but the model's mode.

    Args:
        model: [B, T, mel bins] -> logits [B, classes], on the accelerator's device.
        batches: Spectrograms and labels.
        accelerator: Gives device and precision.
        on_batch: Called after each batch, for progress bars.
    """
    model.eval()
    device = accelerator.device
    all_logits, all_labels = [], []
    for spectrograms, labels in batches:
        with accelerator.autocast():
            logits = model(spectrograms.to(device, non_blocking=True))
        all_logits.append(logits.float())
        all_labels.append(labels)
        if on_batch:
            on_batch()
    logits, labels = torch.cat(all_logits).cpu(), torch.cat(all_labels)
    accuracy = (logits.argmax(1) == labels).double().mean()
    return EvalResult(float(F.cross_entropy(logits, labels)), float(accuracy), logits, labels)
