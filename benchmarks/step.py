"""One contender of the training-step benchmarks, in a process of its own: prints one JSON object.

python -m benchmarks.step ours --batch 8 --steps 3

reference: the paper's way written plainly (eager attention that keeps its probabilities, Conv1d on transposed
    tensors, the LayerNorm that nobody uses);
ours: petl_ast as it is;
ours_checkpointed: with gradient checkpointing;
limit: nothing but the matrix products and the attention of a step, forward and the backward that is needed,
    by the fastest kernels known to us on this machine;
limit_torch: the same by PyTorch's own matrix products and attention.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ASTModel

from benchmarks.common import CLASSES, FRAMES
from petl_ast import build_model
from petl_ast.models import frozen
from petl_ast.models.ast_with_adapter import ASTWithAdapter
from petl_ast.models.backbone import PAPER_BACKBONE, random_backbone
from petl_ast.models.conformer_adapter import ConformerAdapter
from petl_ast.utils.environment import keep_freed_memory

BINS, D, WIDE, LAYERS, HEADS, R = 128, 768, 3072, 12, 12, 8
Step = Callable[[], object]


class PlainConformer(nn.Module):
    """The adapter as a first version would write it."""

    def __init__(self, ours: ConformerAdapter) -> None:
        super().__init__()
        self.ours = ours

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        block = self.ours
        block.lnorm(x)
        x = F.glu(block.pwise_conv1(x.transpose(1, 2)), dim=1)
        x = F.silu(block.bnorm(block.dwise_conv(x)[..., 1:]))
        return block.pwise_conv2(x).transpose(1, 2)


def model_steps(options: argparse.Namespace) -> tuple[Step, Step]:
    """A training step and an evaluation step of the full-size model."""
    kind, batch = options.kind, options.batch
    if kind == "reference":
        frozen.AVAILABLE = False
    else:
        keep_freed_memory()
    torch.manual_seed(0)
    config = random_backbone(PAPER_BACKBONE).config
    config.num_hidden_layers = options.layers
    attention = "eager" if kind == "reference" else "sdpa"
    backbone = ASTModel._from_config(config, attn_implementation=attention)
    model: ASTWithAdapter = build_model(
        backbone, options.classes, options.frames, options.method, options.method_options
    )
    if kind == "reference":
        for layer in model.backbone.layers:
            layer.mlp.adapter = PlainConformer(layer.mlp.adapter)
        model._follow_train_mode = [layer.mlp.adapter for layer in model.backbone.layers]
    if kind == "ours_checkpointed":
        model.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=1e-3)
    x, y = torch.randn(batch, options.frames, BINS), torch.arange(batch) % options.classes

    autocast = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16")

    def train() -> None:
        model.train()
        with autocast:
            logits = model(x)
        F.cross_entropy(logits.float(), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.inference_mode()
    def evaluate() -> None:
        model.eval()
        with autocast:
            model(x)

    return train, evaluate


def limit_steps(kind: str, batch: int) -> tuple[Step, Step]:
    """The matrix products and the attention of a training step, and of an evaluation step."""
    keep_freed_memory()
    tokens = 2 + 12 * ((FRAMES - 16) // 10 + 1)
    rows = batch * tokens
    narrow, wide, inside = torch.randn(rows, D), torch.randn(rows, WIDE), torch.randn(rows, R)
    weights = {shape: torch.randn(*shape) for shape in ((D, D), (WIDE, D), (D, WIDE), (2 * R, D), (D, R))}
    outputs = {width: torch.empty(rows, width) for width in (D, WIDE, 2 * R, R)}
    q, k, v = (torch.randn(batch, tokens, HEADS, D // HEADS).transpose(1, 2) for _ in range(3))
    into = torch.randn(batch, tokens, HEADS, D // HEADS)

    def product(x: Tensor, weight: Tensor) -> None:
        if kind == "limit":
            frozen.product(x, weight)
        else:
            torch.mm(x, weight.t(), out=outputs[len(weight)])

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if kind == "limit":
            return frozen.attention(nn.Module(), q, k, v, None, scaling=0.125)[0]
        return F.scaled_dot_product_attention(q, k, v, scale=0.125).transpose(1, 2)

    def forward(layer: int, backward: bool) -> None:
        for _ in range(4):
            product(narrow, weights[D, D])
        with torch.enable_grad():
            tensors = [t.requires_grad_(backward and layer > 0) for t in (q, k, v)]
            out = attend(*tensors)
        product(narrow, weights[WIDE, D])
        product(wide, weights[D, WIDE])
        product(narrow, weights[2 * R, D])
        product(inside, weights[D, R])
        if not backward:
            return
        product(narrow, weights[D, WIDE].t())
        product(wide, weights[WIDE, D].t())
        torch.mm(narrow, weights[D, R], out=outputs[R])  # the adapter's, with respect to its inputs ...
        torch.mm(outputs[2 * R], weights[2 * R, D], out=outputs[D])
        torch.mm(narrow.t(), inside)  # ... and to its weights
        torch.mm(outputs[2 * R].t(), narrow)
        if layer > 0:  # nothing before the first layer's LayerNorm trains: its attention needs no gradient
            torch.autograd.grad(out, tensors, into)
            for _ in range(4):
                product(narrow, weights[D, D].t())

    def train() -> None:
        with torch.no_grad():
            for layer in range(LAYERS):
                forward(layer, backward=True)

    def evaluate() -> None:
        with torch.no_grad():
            for layer in range(LAYERS):
                forward(layer, backward=False)

    return train, evaluate


def seconds_per_clip(step: Step, steps: int, batch: int) -> list[float]:
    """One figure for each step, after one that is not counted."""
    step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append((time.perf_counter() - start) / batch)
    return seconds


def main() -> None:
    """Time the steps and read the peak memory of this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["reference", "ours", "ours_checkpointed", "limit", "limit_torch"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="Of a model's steps.")
    parser.add_argument("--method", default="adapter")
    parser.add_argument("--method_options", type=json.loads, default={})
    options = parser.parse_args()
    if options.kind.startswith("limit") and options.precision != "fp32":
        raise SystemExit("The limits are measured in float32 alone.")
    if options.kind.startswith("limit"):
        train, evaluate = limit_steps(options.kind, options.batch)
    else:
        train, evaluate = model_steps(options)
    training = seconds_per_clip(train, options.steps, options.batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    evaluation = seconds_per_clip(evaluate, options.steps, options.batch)
    print(json.dumps({"training": training, "evaluation": evaluation, "peak_gb": round(peak / 1e9, 2)}))


if __name__ == "__main__":
    main()
