"""What a parameter-efficient method is: its options, how it enters a backbone, and what it declares as
trained.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import ASTModel

from ..config import parse_dataclass
from ..errors import UserError

INIT_STD = 0.02
LARGEST_START = 1e3  # no sensible initialisation comes near; uninitialised memory often does


@dataclass
class Trained:
    """What a method trains, declared by the method itself; nothing is found by matching names.

    Attributes:
        groups: Parameters by the group that they are counted under: "method" and, where they train,
        "layernorm".
        modules: Modules that behave differently in training (BatchNorm, dropout): they alone follow
            `model.train()`, and their buffers are saved with the parameters.
    """

    groups: dict[str, list[nn.Parameter]]
    modules: list[nn.Module] = field(default_factory=list)


@dataclass(frozen=True)
class Method:
    """One entry of the registry.

    Attributes:
        options: Dataclass of the method's options. Built-in methods take the paper's values as defaults.
        install: Puts the method into a frozen backbone and says what trains. The classification head, which
            every method trains, is not its concern.
        reference_names: (regular expression, replacement) pairs that turn this package's parameter names into
            those of the paper's reference code, tried before the common ones of `reference.py`.
        may_start_at_zero: Whether a weight matrix of the method may be all zero before training, as LoRA's
            second factor is in peft. Everywhere else this is a sign that its initialisation was lost.
    """

    options: type[Any]
    install: Callable[[ASTModel, Any], Trained]
    reference_names: tuple[tuple[str, str], ...] = ()
    may_start_at_zero: bool = False

    def parse_options(self, values: dict[str, Any], where: str) -> Any:
        """The options as the dataclass; a class with a `parse` of its own is left to read its values.

        Raises:
            UserError: naming an option that is unknown or of a wrong type.
        """
        parse = getattr(self.options, "parse", None)
        return parse(values) if parse else parse_dataclass(self.options, values, where)

    def plain_options(self, options: Any) -> dict[str, Any]:
        """What `parse_options` reads back."""
        values = dataclasses.asdict(options)
        return values["fields"] if hasattr(self.options, "parse") else values


_METHODS: dict[str, Method] = {}


def register(name: str, method: Method) -> None:
    """Make `method` known as `name` to `build_model` and to configurations.

    Raises:
        ValueError: if another method has that name.
    """
    if _METHODS.setdefault(name, method) is not method:
        raise ValueError(f"There is a method called {name!r} already.")


def method_names() -> list[str]:
    """Every registered name, sorted."""
    return sorted(_METHODS)


def get_method(name: str) -> Method:
    """The method registered as `name`.

    Raises:
        UserError: if there is none, naming those there are.
    """
    if name not in _METHODS:
        raise UserError(f"There is no method {name!r}; the methods are: {', '.join(method_names())}.")
    return _METHODS[name]


def check_initialised(trained: Trained, may_start_at_zero: bool) -> None:
    """Refuse method weights that are not finite, all zero, far too large for a start, or not there at all.

    On some library versions the paper's adapters come up as uninitialised memory and train all the same,
    badly.

    Raises:
        UserError: naming the group and the shape of the first such tensor.
    """
    for parameter in trained.groups.get("method", []):
        weights = parameter.detach()
        if weights.is_meta:
            problem = "not in memory"
        elif not weights.isfinite().all():
            problem = "not finite"
        elif weights.abs().max() > LARGEST_START:
            problem = f"as large as {weights.abs().max():.3g}"
        elif weights.ndim > 1 and not weights.any() and not may_start_at_zero:
            problem = "all zero"
        else:
            continue
        raise UserError(
            f"Weights {list(weights.shape)} of the method are {problem} before any training: they were "
            "never initialised. Is this a method of your own, or another version of a library?"
        )


def init_like_paper(module: nn.Module) -> None:
    """Start every Linear in `module` as the paper's library (transformers 4.28) did: N(0, 0.02) truncated,
    bias 0.

    This overrides the zeros that the reference code writes for some of them, as it did in the paper's runs.
    """
    for linear in module.modules():
        if isinstance(linear, nn.Linear):
            nn.init.trunc_normal_(linear.weight, std=INIT_STD)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)


def uniform_tokens(backbone: ASTModel, *shape: int) -> nn.Parameter:
    """Learned tokens [*shape, d], drawn from U(-v, v) with v = sqrt(6 / (3 * patch area + d)) (Jia et al.,
    2022).
    """
    config = backbone.config
    limit = math.sqrt(6 / (3 * config.patch_size**2 + config.hidden_size))
    return nn.Parameter(torch.empty(*shape, config.hidden_size).uniform_(-limit, limit))


def bottleneck_width(hidden_size: int, reduction_rate: int) -> int:
    """Hidden size / reduction rate, rounded.

    Raises:
        UserError: if nothing would be left.
    """
    if reduction_rate < 1 or round(hidden_size / reduction_rate) < 1:
        raise UserError(
            f"method_options.reduction_rate is {reduction_rate}; it must be at least 1 and leave some of "
            f"the backbone's hidden size {hidden_size}."
        )
    return round(hidden_size / reduction_rate)


def parameters_of(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of some modules, in order."""
    return [parameter for module in modules for parameter in module.parameters()]
