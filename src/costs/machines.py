"""How fast a machine computes and moves data: this one measured now, some cards as their makers say."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import ASTConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward as _plain

from ..models import frozen
from ..models.backbone import SPECIAL_TOKENS, patch_grid
from ..utils.environment import make_accelerator

ATTAINABLE = 0.6  # of a card's peak rates, both of computing and moving: an assumption, not a measurement
# Peak rates in TFLOP/s by precision (dense: where a data sheet counts skipped zeros, half of it) and memory
# bandwidth in TB/s, from NVIDIA's data sheets: T4; A100, 80 GB, SXM; H100, SXM; H200, SXM.
CARDS: dict[str, tuple[dict[str, float], float]] = {
    "T4": ({"fp32": 8.1, "fp16": 65.0}, 0.320),
    "A100": ({"fp32": 19.5, "tf32": 156.0, "bf16": 312.0}, 2.039),
    "H100": ({"fp32": 67.0, "tf32": 494.5, "bf16": 989.5}, 3.35),
    "H200": ({"fp32": 67.0, "tf32": 494.5, "bf16": 989.5}, 4.8),
}
HERE = "this machine"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = {"cpu": ("fp32", "bf16"), "mps": ("fp32", "fp16"), "cuda": ("fp32", "tf32", "bf16", "fp16")}
CLIPS = 8  # that the measurement computes at once
COPIED = 2**28  # bytes: beyond any cache
SECONDS, ROUNDS = 0.3, 3  # a measurement lasts at least both


@dataclass(frozen=True)
class Machine:
    """Rates that a machine reaches in one precision.

    Attributes:
        name: What the user calls it.
        precision: "fp32", "tf32", "bf16" or "fp16".
        products: Floating-point operations per second of matrix products.
        attention: The same of attention.
        bandwidth: Bytes per second, reads and writes together.
    """

    name: str
    precision: str
    products: float
    attention: float
    bandwidth: float

    @property
    def bytes_per_value(self) -> int:
        """Of what matrix products and attention read and write."""
        return 2 if self.precision in ("bf16", "fp16") else 4


def cards() -> list[Machine]:
    """T4, A100, H100 and H200 in every precision that they have, at the attainable part of their peaks."""
    return [
        Machine(name, precision, *(ATTAINABLE * 1e12 * rate for rate in (peak, peak, bandwidth)))
        for name, (peaks, bandwidth) in CARDS.items()
        for precision, peak in peaks.items()
    ]


def measure(config: ASTConfig, device: str = "auto") -> list[Machine]:
    """This machine in every precision it has, measured in a few seconds by the kernels that training uses.

    Args:
        config: Of the backbone: products and attention of its shapes are measured.
        device: As for training.

    Raises:
        UserError: if this machine has no such device.
    """
    kind = make_accelerator(device).device.type
    return [_measure(config, kind, precision) for precision in PRECISIONS[kind]]


def _measure(config: ASTConfig, device: str, precision: str) -> Machine:
    """Forward and backward of a feed-forward network's products and of an attention, then a copy."""
    accelerator = make_accelerator(device, precision)
    linear, attention = (frozen.FrozenLinear, frozen.attention) if frozen.AVAILABLE else (nn.Linear, _plain)
    frequency, along_time = patch_grid(config, config.max_length)
    tokens, d, wide = SPECIAL_TOKENS + frequency * along_time, config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads
    with accelerator.device:
        network = nn.Sequential(linear(d, wide), linear(wide, d)).requires_grad_(False)
        x, grad = torch.randn(CLIPS, tokens, d, requires_grad=True), torch.randn(CLIPS, tokens, d)
        values = torch.randn(3, CLIPS, heads, tokens, d // heads, dtype=DTYPES.get(precision))
        source = torch.ones(COPIED, dtype=torch.uint8)
    query, key, value = (tensor.requires_grad_() for tensor in values.unbind())
    grad_out = torch.ones_like(query).transpose(1, 2).contiguous()
    target = torch.empty_like(source)

    def multiply() -> None:
        with accelerator.autocast():
            out: Tensor = network(x)
        torch.autograd.grad(out, x, grad.to(out.dtype))

    def attend() -> None:
        with accelerator.autocast():
            out, _ = attention(network, query, key, value, None, scaling=0.125)
        torch.autograd.grad(out, (query, key, value), grad_out)

    return Machine(
        HERE,
        precision,
        8 * CLIPS * tokens * d * wide / _seconds(multiply),  # 2 layers, 2 directions, multiply and add
        14 * CLIPS * tokens**2 * d / _seconds(attend),  # 7 products of 2 N^2 d each, 2 of them forward
        2 * COPIED / _seconds(lambda: target.copy_(source)),
    )


def _seconds(step: Callable[[], object]) -> float:
    """Median of several calls, after one that is not counted."""
    step()
    seconds: list[float] = []
    while len(seconds) < ROUNDS or sum(seconds) < SECONDS:
        _wait()
        start = time.perf_counter()
        step()
        _wait()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _wait() -> None:
    """Let an accelerator finish what it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
