"""The machine a run happens on: choosing the device, and writing down what was used."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from ..errors import UserError

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "numpy",
    "scipy",
    "scikit-learn",
    "librosa",
    "soundfile",
    "safetensors",
)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt (malloc.h)
KEPT_BYTES = 2**30


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next step instead of giving it back to the kernel.

    Every step frees and takes the same large tensors, and each time the kernel would hand them out as new,
    zeroed pages: a third of the time at 24 clips a batch (docs/benchmarks.md). Does nothing elsewhere than on
    Linux with glibc.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def make_accelerator(device: str = "auto", precision: str = "fp32") -> Accelerator:
    """Device and precision as accelerate sees them, and the process set up for them.

    On a GPU, kernels give the same bits every time; on a processor, freed memory is kept.

    Raises:
        UserError: if this machine has no such device or precision, or several processes were started.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    elif not available[device]:
        here = ", ".join(name for name, there in available.items() if there)
        raise UserError(
            f"train.device is {device!r}, but this machine offers: {here}. Use --train.device auto."
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("Training runs in one process; start it without `accelerate launch` or `torchrun`.")
    if precision not in ("fp32", "tf32", "bf16", "fp16"):
        raise UserError(f"The precision is {precision!r}; it must be fp32, tf32, bf16 or fp16.")
    if device == "cpu" and precision in ("tf32", "fp16"):
        raise UserError(f"train.precision {precision} needs a GPU; use fp32 (or bf16) on a CPU.")
    if device == "cpu":
        keep_freed_memory()
    if device == "cuda":  # a CPU repeats its bits by itself
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its bits only with this
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    # accelerate keeps its state for the whole process and refuses another device or precision, but a notebook
    # may well hold one run after another.
    AcceleratorState._reset_state(reset_partial_state=True)
    autocast = precision if precision in ("bf16", "fp16") else "no"
    return Accelerator(cpu=device == "cpu", mixed_precision=autocast)


def versions() -> dict[str, str]:
    """Versions of Python, this package and what decides its numbers."""
    from .. import __version__

    return {"python": platform.python_version(), "petl-ast": __version__} | {
        p: metadata.version(p) for p in PACKAGES
    }


def processor() -> str:
    """What the processor calls itself."""
    cpuinfo = Path("/proc/cpuinfo")  # on Linux, Python's own answer is empty or the architecture
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    told = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {name.strip(): value.strip() for name, value in told.items()}
    if not (name := fields.get("model name")):
        return platform.processor() or platform.machine()
    return f"{name}, family {fields.get('cpu family')}, model {fields.get('model')}"


def describe(seed: int, device: torch.device) -> dict[str, Any]:
    """What to know about a run besides its configuration."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "seed": seed,
        "command": sys.argv,
        "device": f"{device.type}: {name}",
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "versions": versions(),
    }
