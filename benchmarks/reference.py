"""How far the model is from the records of the paper's reference code; the table in docs/reproduction.md.

python -m benchmarks.reference            the model
python -m benchmarks.reference FOLDER     the spectrograms too; FOLDER holds ESC-50's clips as audio/*.ogg
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from petl_ast import build_model
from petl_ast.config import SpectrogramConfig
from petl_ast.data.audio import read_waveform
from petl_ast.data.spectrogram import log_mel

GOLDEN = Path("tests/data/golden")


def model_differences() -> dict[str, float]:
    """Largest absolute differences of logits and losses over the record's twelve training steps."""
    record = np.load(GOLDEN / "adapter_conformer_pfeiffer_parallel.npz")
    data = {name: torch.from_numpy(array) for name, array in np.load(GOLDEN / "batches.npz").items()}
    options = {"reduction_rate": 6, "kernel_size": 8}
    model = build_model(GOLDEN / "backbone", 5, 128, method_options=options, position_embeddings="zeros")
    initial = {n.removeprefix("init/"): record[n] for n in record if n.startswith("init/")}
    model.load_reference_state_dict({n: torch.from_numpy(np.array(a)) for n, a in initial.items()})

    def difference(ours: torch.Tensor, name: str) -> float:
        return float(np.abs(ours.detach().numpy() - record[name]).max())

    found = {"eval_logits_init": difference(model(data["x_eval"]), "eval_logits_init")}
    optimizer = torch.optim.AdamW(
        model.trainable_parameters(), lr=0.005, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    model.train()
    losses = []
    for step in range(12):
        batch = slice(step % 2 * 6, step % 2 * 6 + 6)
        loss = F.cross_entropy(model(data["x"][batch]), data["y"][batch].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    found["losses"] = difference(torch.stack(losses), "losses")
    found["eval_logits_final"] = difference(model.eval()(data["x_eval"]), "eval_logits_final")
    return found


def spectrogram_difference(folder: Path) -> float:
    """Largest absolute difference on the normalised scale."""
    config = SpectrogramConfig()
    with np.load(GOLDEN / "fbank_esc10.npz") as record:
        return max(
            float(
                (
                    log_mel([read_waveform(folder / "audio" / n, 16000)], config)[0, ::4]
                    - torch.from_numpy(record[n])
                )
                .abs()
                .max()
            )
            for n in record
        )


if __name__ == "__main__":
    for quantity, largest in model_differences().items():
        print(f"{quantity:20} {largest:.1e}")
    for folder in sys.argv[1:]:
        print(f"{'spectrograms':20} {spectrogram_difference(Path(folder)):.1e}")
