"""The demo's clips, and beside them a tiny backbone of random weights for quick trials, both made by code."""

from __future__ import annotations

from pathlib import Path

from transformers import ASTConfig

from ..data.synthetic import write_dataset
from ..errors import UserError
from ..files import clear_write_errors
from ..models.backbone import save_random_backbone
from . import console as screen

# Small enough to train five folds in a minute or two on two cores; 16 x 16 patches without overlap.
TINY_AST = ASTConfig(
    hidden_size=96,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=384,
    frequency_stride=16,
    time_stride=16,
    max_length=200,
    initializer_range=0.1,  # larger than usual: at 0.02 a random AST hardly tells frequencies apart
    num_labels=10,
)


def make_demo_data(folder: Path, clips_per_class: int, seed: int) -> list[Path]:
    """Write the synthetic data set into `folder` and a tiny random AST into `folder`/backbone.

    Returns:
        Both folders.

    Raises:
        UserError: if a number makes no sense or the folder cannot be written.
    """
    if seed < 0:
        raise UserError(f"seed is {seed}; it must be at least 0.")
    backbone = folder / "backbone"
    with screen.progress(screen.messages()) as bars, clear_write_errors(folder):
        task = bars.add_task("Synthetic clips", total=None, note="")
        write_dataset(folder, clips_per_class=clips_per_class, seed=seed, on_clip=lambda: bars.advance(task))
        save_random_backbone(backbone, TINY_AST, seed)
    return [folder, backbone]
