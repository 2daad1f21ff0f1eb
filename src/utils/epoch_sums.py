"""What an epoch of training has come to: sums that stay on the device, and a watch for numbers gone bad."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RECENT_STEPS = 100  # whose figures are kept until the host looks at them
SHOWN_STEPS = 10  # of which figures are told when one goes bad


@dataclass(frozen=True)
class TrainResult:
    """Means over an epoch: of the loss and accuracy over clips, of the gradient's 2-norm over steps; and how
    many steps were skipped, which none of the means counts.
    """

    loss: float
    accuracy: float
    gradient_norm: float
    skipped_steps: int


class NonFiniteError(Exception):
    """The loss or the gradient of a step is not a finite number.

    Attributes:
        step: The first such step of the epoch, counted from 1.
        recent: (learning rate, loss, gradient norm) of that step and some before it, the last one last.
    """

    def __init__(self, step: int, recent: list[tuple[float, float, float]]) -> None:
        super().__init__(f"step {step}: loss {recent[-1][1]}, gradient norm {recent[-1][2]}")
        self.step, self.recent = step, recent

    @property
    def what(self) -> str:
        """Which of the two is not finite."""
        return "gradient norm" if math.isfinite(self.recent[-1][1]) else "training loss"

    @property
    def value(self) -> float:
        """What it is instead."""
        _, loss, norm = self.recent[-1]
        return norm if math.isfinite(loss) else loss

    def last_steps(self) -> list[str]:
        """The last steps in words, one each, this one last."""
        first = self.step - len(self.recent) + 1
        return [
            f"step {first + i}: learning rate {rate:.4g}, loss {loss:.4g}, gradient norm {norm:.4g}"
            for i, (rate, loss, norm) in enumerate(self.recent)
        ][-SHOWN_STEPS:]


class EpochSums:
    """What an epoch has come to so far. Kept on the device, so that no step waits for the host.

    Attributes:
        steps: Steps done, those skipped included.
        values: float64 [5], over the steps not skipped: sums of losses and right answers over clips, of
            gradient norms over steps, number of clips, number of steps.
    """

    def __init__(self, device: torch.device, steps: int = 0, values: Sequence[float] = (0.0,) * 5) -> None:
        self.steps = steps
        self.values = torch.tensor(values, dtype=sum_type(device), device=device)
        self._looked_at = steps
        self._recent: deque[tuple[float, Tensor]] = deque(maxlen=RECENT_STEPS)

    def add(self, found: Tensor, norm: Tensor, clips: int, finite: Tensor, rate: float) -> None:
        """Count a step: summed loss and right answers [2], gradient norm, and whether they are to count."""
        self.steps += 1
        self._recent.append((rate, torch.stack((found[0] / clips, norm.to(found.dtype), finite))))
        # With float16 a norm may overflow in steps that count: the scaler then leaves the weights alone.
        figures = torch.where(finite, torch.cat((found, norm.nan_to_num(0.0, 0.0)[None])), 0.0)
        counted = finite.to(figures.dtype)
        self.values += torch.cat((figures, torch.stack((counted * clips, counted))))

    @property
    def unseen(self) -> int:
        """Steps since the last look."""
        return self.steps - self._looked_at

    def check(self) -> None:
        """Wait for the device and look at the steps since the last look.

        Raises:
            NonFiniteError: if one of them was skipped.
        """
        recent, new = list(self._recent), min(self.unseen, len(self._recent))
        self._looked_at = self.steps
        for position in range(len(recent) - new, len(recent)):
            if not recent[position][1][2]:
                raise NonFiniteError(
                    self.steps - len(recent) + position + 1,
                    [(rate, *figures[:2].tolist()) for rate, figures in recent[: position + 1]],
                )

    def result(self) -> TrainResult:
        """The means.

        Raises:
            NonFiniteError: if every step was skipped, so that there are none.
        """
        losses, correct, norms, clips, counted = self.values.tolist()
        if not counted:
            raise NonFiniteError(self.steps, [(math.nan, math.nan, math.nan)])
        return TrainResult(losses / clips, correct / clips, norms / counted, self.steps - int(counted))


def sum_type(device: torch.device) -> torch.dtype:
    """What sums are kept in: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64
