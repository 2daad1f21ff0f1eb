"""The names that the paper's reference code gives to tensors, and the check of a state dict written by it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import UserError
from ..utils.files import list_some

# This package's names (transformers 5's below `backbone.`) -> the reference code's (transformers 4's below
# `model.`).
COMMON_NAMES = (
    (r"^backbone\.layers\.(\d+)\.mlp\.(?:frozen\.)?fc1\.", r"model.encoder.layer.\1.intermediate.dense."),
    (r"^backbone\.layers\.(\d+)\.mlp\.(?:frozen\.)?fc2\.", r"model.encoder.layer.\1.output.dense."),
    (r"^backbone\.layers\.(\d+)\.attention\.q_proj\.", r"model.encoder.layer.\1.attention.attention.query."),
    (r"^backbone\.layers\.(\d+)\.attention\.k_proj\.", r"model.encoder.layer.\1.attention.attention.key."),
    (r"^backbone\.layers\.(\d+)\.attention\.v_proj\.", r"model.encoder.layer.\1.attention.attention.value."),
    (r"^backbone\.layers\.(\d+)\.attention\.o_proj\.", r"model.encoder.layer.\1.attention.output.dense."),
    (r"^backbone\.layers\.(\d+)\.", r"model.encoder.layer.\1."),
    (r"^backbone\.", r"model."),
)
# The reference model registers the backbone's parts twice; the second names carry nothing new.
ALIASES = ("embeddings.", "encoder.", "layernorm.")


def reference_name(name: str, method_names: tuple[tuple[str, str], ...]) -> str:
    """The reference code's name for the tensor that this package calls `name`."""
    for pattern, replacement in (*method_names, *COMMON_NAMES):
        renamed, hits = re.subn(pattern, replacement, name)
        if hits:
            return renamed
    return name


def trained_from_reference(
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    trained: set[str],
    method_names: tuple[tuple[str, str], ...],
) -> dict[str, Tensor]:
    """The trained tensors of a reference state dict under this package's names.

    Args:
        state: A whole reference state dict, or its trained part alone.
        own: The model's whole state dict.
        trained: Which of its names are trained; all of them must be in `state`.
        method_names: The method's own renamings.

    Raises:
        UserError: naming tensors that are missing, unknown, or frozen and different from the model's.
    """
    expected = {reference_name(name, method_names): name for name in own}
    given = {
        name: tensor for name, tensor in state.items() if name in expected or not name.startswith(ALIASES)
    }
    problems = [
        f"missing: {name}" for name, mine in expected.items() if mine in trained and name not in given
    ]
    problems += [f"unknown: {name}" for name in given if name not in expected]
    for name in given.keys() & expected.keys():
        mine = own[expected[name]]
        if given[name].shape != mine.shape:
            problems.append(f"shape {list(given[name].shape)} instead of {list(mine.shape)}: {name}")
        elif expected[name] not in trained and not torch.allclose(
            given[name].to(mine), mine, rtol=1e-5, atol=1e-7
        ):
            problems.append(f"frozen, but not the backbone's value: {name}")
    if problems:
        raise UserError(f"This state dict does not fit the model:\n{list_some(sorted(problems))}")
    return {expected[name]: tensor for name, tensor in given.items() if expected[name] in trained}
