"""One loaded backbone that many adapters stand on.

A method changes the modules of the backbone that it enters, so each adapter needs modules of its own. The
tensors inside, which are the size of a backbone, need not be: every adapter gets a copy of the module tree
that holds the very same parameters, and copies only of those that its method declares as trained. The tree as
its checkpoint has it is kept, for the next adapter to start from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import ASTModel

from ..adapter_folder import Declared
from .backbone import POSITION_TABLE, PositionEmbeddings, fingerprint, fit_length
from .method import Trained

_State = tuple[tuple[int, int], ...]  # where each tensor lies, and how often it was changed in place
_Facts = tuple[str, dict[str, Declared]]  # fingerprint, and what plans train, by plan
_known: WeakKeyDictionary[ASTModel, tuple[_State, _Facts]] = WeakKeyDictionary()


class SharedBackbone(nn.Module):
    """A backbone as its checkpoint has it, and trees that share its tensors.

    Args:
        ast: Stays as it is; its weights are shared if they are float32.
        source: What messages and adapter folders call it.

    Attributes:
        ast: The backbone; nothing ever changes it but its device and its precision.
        fingerprint: Its checksum (see `backbone.fingerprint`).
        tables: Fitted position tables by policy and length, each shared by the trees that need it.
        declared: What a plan would train on it, by plan: most adapters of a backbone are planned alike.
    """

    def __init__(self, ast: ASTModel, source: str) -> None:
        super().__init__()
        self.source = source
        # Parameters of our own on the same memory: what moves them to a device leaves the caller's alone.
        self.ast = _copied(ast, lambda p: nn.Parameter(p.detach(), requires_grad=False)).float().eval()
        self.fingerprint, self.declared = _remembered(ast, lambda: (fingerprint(self.ast), {}))
        self.tables = nn.ParameterDict()

    def tree(self, max_length: int, policy: PositionEmbeddings) -> ASTModel:
        """A module tree for clips of `max_length` frames, to be changed at will; its tensors are shared.

        Raises:
            UserError: if the clips are shorter than one patch.
        """
        tree, key = _copied(self.ast, lambda p: p), f"{policy}_{max_length}"
        fit_length(tree, max_length, policy)
        if key not in self.tables:
            self.tables[key] = tree.embeddings.position_embeddings
        tree.embeddings.position_embeddings = self.tables[key]
        return tree

    def forget_tables(self, models: Iterable[nn.Module]) -> None:
        """Free the position tables that none of the models on this backbone has."""
        used = {id(parameter) for model in models for parameter in model.parameters()}
        for key in [key for key, table in self.tables.items() if id(table) not in used]:
            del self.tables[key]

    def shape(self) -> ASTModel:
        """A tree that takes no memory, to ask what a method would make of it."""
        return _copied(
            self.ast, lambda p: nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
        )


def own_copies(tree: ASTModel, trained: Trained, shared: Collection[int]) -> Trained:
    """Give `tree` copies of its own of what trains.

    Args:
        tree: Holds all that `trained` declares.
        trained: As the method declares it.
        shared: Ids of the parameters that other trees hold too.

    Returns:
        The same declaration, of the copies.
    """
    parameters = [p for group in trained.groups.values() for p in group]
    own = {id(p): nn.Parameter(p.detach().clone()) for p in parameters if id(p) in shared}
    for module in tree.modules():
        held = module.named_parameters(recurse=False)
        module._parameters.update([(name, own[id(p)]) for name, p in held if id(p) in own])
    groups = {name: [own.get(id(p), p) for p in group] for name, group in trained.groups.items()}
    return Trained(groups, trained.modules)


def _copied(ast: ASTModel, tensor: Callable[[nn.Parameter], nn.Parameter]) -> ASTModel:
    """The modules copied, each parameter p replaced by `tensor(p)`."""
    memo: dict[int, Any] = {}  # so that the copies, like their originals, have one configuration in common

    def copied(module: nn.Module) -> nn.Module:
        twin = module.__new__(type(module))
        for name, value in vars(module).items():
            # Of the dictionaries, most are for hooks, and empty: deepcopy would spend its time on them.
            vars(twin)[name] = value.copy() if isinstance(value, dict) else copy.deepcopy(value, memo)
        twin._parameters.update((name, tensor(p)) for name, p in module.named_parameters(recurse=False))
        twin._modules.update((name, copied(part)) for name, part in module.named_children())
        return twin

    return copied(ast)


def _remembered(ast: ASTModel, compute: Callable[[], _Facts]) -> _Facts:
    """`compute()`, which reads every weight, unless it is known and no weight changed since.

    torch counts changes in place, those of optimisers and `load_state_dict` too; not those through `.data`.
    """
    weights = [t for name, t in ast.state_dict(keep_vars=True).items() if name != POSITION_TABLE]
    if any(weight.is_inference() for weight in weights):  # of these torch counts nothing
        return compute()
    state = tuple((weight.data_ptr(), weight._version) for weight in weights)
    if ast not in _known or _known[ast][0] != state:
        _known[ast] = state, compute()
    return _known[ast][1]
