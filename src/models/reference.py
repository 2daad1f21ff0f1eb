"""The names that the paper's reference code gives to tensors, and the check of a state dict written by it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import UserError
from ..files import list_some

# transformers 5's names -> transformers 4's, which the reference code has below `model.`.
COMMON_NAMES = (
    (r"^layers\.(\d+)\.mlp\.fc1\.", r"encoder.layer.\1.intermediate.dense."),
    (r"^layers\.(\d+)\.mlp\.fc2\.", r"encoder.layer.\1.output.dense."),
    (r"^layers\.(\d+)\.attention\.q_proj\.", r"encoder.layer.\1.attention.attention.query."),
    (r"^layers\.(\d+)\.attention\.k_proj\.", r"encoder.layer.\1.attention.attention.key."),
    (r"^layers\.(\d+)\.attention\.v_proj\.", r"encoder.layer.\1.attention.attention.value."),
    (r"^layers\.(\d+)\.attention\.o_proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"^layers\.(\d+)\.", r"encoder.layer.\1."),
)
WRAPPERS = re.compile(r"\.(?:frozen|base_layer)(?=\.)")  # steps into the wrapped sub-module, here and in peft
BACKBONE = "backbone."


def reference_name(name: str, method_names: tuple[tuple[str, str], ...]) -> str:
    """The reference code's name for the tensor that this package calls `name`.

    Args:
        name: As in the model's state dict.
        method_names: The method's own (regular expression, replacement) pairs. They see the name below
            `backbone.`, without the wrappers' steps, and give the reference's full name.
    """
    if not name.startswith(BACKBONE):
        return name
    inside = WRAPPERS.sub("", name.removeprefix(BACKBONE))
    for pattern, replacement in method_names:
        renamed, hits = re.subn(pattern, replacement, inside)
        if hits:
            return renamed
    for pattern, replacement in COMMON_NAMES:
        renamed, hits = re.subn(pattern, replacement, inside)
        if hits:
            return f"model.{renamed}"
    return f"model.{inside}"


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
    # The reference model registers most tensors twice, with and without `model.`.
    aliases = {_other_name(name): name for name in expected if _other_name(name) not in expected}
    problems = [
        f"missing: {name}" for name, mine in expected.items() if mine in trained and name not in state
    ]
    problems += [f"unknown: {name}" for name in state if name not in expected and name not in aliases]
    for name, tensor in state.items():
        main = aliases.get(name, name)
        if main not in expected:
            continue
        mine = own[expected[main]]
        if tensor.shape != mine.shape:
            problems.append(f"shape {list(tensor.shape)} instead of {list(mine.shape)}: {name}")
        elif expected[main] not in trained:
            if not torch.allclose(tensor.to(mine), mine, rtol=1e-5, atol=1e-7):
                problems.append(f"frozen, but not the backbone's value: {name}")
        elif main in state and not torch.equal(tensor, state[main]):
            problems.append(f"another value than {main}: {name}")
    if problems:
        raise UserError(f"This state dict does not fit the model:\n{list_some(problems)}")
    return {mine: state[name] for name, mine in expected.items() if mine in trained}


def _other_name(name: str) -> str:
    return name.removeprefix("model.") if name.startswith("model.") else f"model.{name}"
