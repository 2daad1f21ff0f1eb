"""What a parameter-efficient method is: its options, how it enters a backbone, and what it declares as
trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from transformers import ASTModel

from ..errors import UserError


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
        options: Dataclass of the method's options.
        install: Puts the method into a frozen backbone and says what trains. The classification head, which
            every method trains, is not its concern.
        reference_names: (regular expression, replacement) pairs that turn this package's parameter names into
            those of the paper's reference code, tried before the common ones of `reference.py`.
    """

    options: type[Any]
    install: Callable[[ASTModel, Any], Trained]
    reference_names: tuple[tuple[str, str], ...] = ()


_METHODS: dict[str, Method] = {}


def register(name: str, method: Method) -> None:
    """Make `method` known as `name` to `build_model` and to configurations.

    Raises:
        ValueError: if another method has that name.
    """
    if _METHODS.setdefault(name, method) is not method:
        raise ValueError(f"There is a method called {name!r} already.")


def get_method(name: str) -> Method:
    """The method registered as `name`.

    Raises:
        UserError: if there is none, naming those there are.
    """
    if name not in _METHODS:
        raise UserError(f"There is no method {name!r}; the methods are: {', '.join(sorted(_METHODS))}.")
    return _METHODS[name]


def parameters_of(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of some modules, in order."""
    return [parameter for module in modules for parameter in module.parameters()]
