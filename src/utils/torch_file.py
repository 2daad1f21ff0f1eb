"""Reading a file of torch.save from a stranger: tensors alone, and no more memory than the file has bytes.

torch's `weights_only` keeps code from running, but it still takes memory as the file says: for compressed
members, for objects that it makes itself, for tensors of many elements over a storage of one.
"""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from ..files import list_some
from ..text import shown

REMEDY = "Save the reference model with torch.save(model.state_dict(), FILE)."
MOST_PICKLE_BYTES = 5_000_000  # names and shapes; those of a whole AST have 50,000
MOST_MEMBERS = 100_000
# What the pickle of a state dict calls, and nothing that makes an object of any size.
CALLED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long")),
}
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64)


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors by name, mapped from the file.

    Raises:
        UserError: if it is no zip of torch.save with plain tensors alone, says that it holds more than it
            does, or holds values that are not finite.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file.")
    try:
        _check_archive(file)
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # zipfile, pickletools and torch have many for what is no such file
        reason = shown((str(error).strip() or type(error).__name__).splitlines()[0])
        raise UserError(
            f"{file} cannot be read as a torch file of plain tensors ({reason}).\n{REMEDY}"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"{file} holds no state dict. {REMEDY}")
    if problems := [f"{shown(name)}: {fault}" for name, value in state.items() if (fault := _fault(value))]:
        raise UserError(f"{file} holds tensors that cannot be used:\n{list_some(problems)}")
    return dict(state)


def _check_archive(file: Path) -> None:
    """Refuse what declares more than is there, before torch reads it. Raises whatever says so."""
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no zip archive, as torch.save writes since version 1.6")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"it has {len(members):,} members")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its members are compressed, which torch.save never does")
        if sum(member.file_size for member in members) > file.stat().st_size:
            raise ValueError("its members are larger than the file")
        pickles = [member for member in members if member.filename.endswith("data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > MOST_PICKLE_BYTES:
            raise ValueError(f"it has {len(pickles)} members data.pkl, or a larger one than tensors need")
        for opcode, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"):
                raise ValueError(f"its pickle uses {opcode.name}, which no state dict needs")
            if opcode.name == "GLOBAL" and argument not in CALLED:
                raise ValueError(f"its pickle calls {argument}, which no state dict needs")


def _fault(tensor: Tensor) -> str:
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.dtype not in DTYPES:
        return f"it is {tensor.layout}, {tensor.device} and {tensor.dtype}"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"it repeats a few values as {list(tensor.shape)}"
    return "" if tensor.isfinite().all() else "not all of its values are finite"
