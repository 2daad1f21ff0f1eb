"""Pre-training from its first step, or from where it was stopped, to a backbone folder."""

from __future__ import annotations

import math
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from torch import Tensor
from torch.optim import AdamW

from ..data.augment import spec_augment
from ..data.sounds.clips import LABELS, MIN_SAMPLING_RATE
from ..errors import UserError
from ..files import clear_write_errors, locked, read_json, remove_litter, write_csv, write_json, write_text
from ..limits import at_least
from ..plain_yaml import read_yaml
from ..utils import console as screen
from ..utils.checkpoint import Cadence
from ..utils.environment import describe, make_accelerator
from ..utils.interrupt import Stopped, StopRequest
from ..utils.seeding import generator, stream_seed
from ..utils.visualization import save
from .backbone_folder import write_backbone
from .batches import PretrainBatch, ProceduralBatches
from .config import PretrainConfig, plain
from .model import Listener, losses
from .pictures import curves
from .state import PretrainState
from .statistics import BANDS, FEWEST_FRAMES, clip_statistics

BACKBONE, CHECKPOINT, CONFIG, LOCK = "backbone", "checkpoint.safetensors", "config.yaml", ".lock"
METRICS, TIMES, ENVIRONMENT, CURVES = "metrics.csv", "times.csv", "environment.json", "curves.png"
STANDARDISED_ON = 1024  # clips that mean and deviation of the statistics come from
ROWS = 100  # of the metrics
EPS, CLIP_NORM = 1e-6, 1.0


def pretrain(config: PretrainConfig) -> Path:
    """Pre-train an AST on procedural sounds; a run that is in the folder already goes on.

    Returns:
        The folder of the backbone, in the hub's format.

    Raises:
        UserError: for anything in the configuration or the output folder that cannot work.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, with everything saved.
    """
    frames, bins = config.spectrogram.max_length, config.spectrogram.num_mel_bins
    if frames < FEWEST_FRAMES:
        raise UserError(
            f"spectrogram.max_length is {frames}; pre-training needs at least {FEWEST_FRAMES} frames. The "
            "backbone can be used with fewer."
        )
    if bins % BANDS:
        raise UserError(f"spectrogram.num_mel_bins is {bins}; it must be a multiple of {BANDS} (AST: 128).")
    at_least("spectrogram", config.spectrogram, sampling_rate=MIN_SAMPLING_RATE)
    accelerator = make_accelerator("auto", config.precision)
    output = Path(config.output)
    busy = f"Another process is training into {output}. Wait for it, or choose another folder with --output."
    with locked(output / LOCK, busy):
        _prepare(config)
        backbone = output / BACKBONE
        if (backbone / "model.safetensors").is_file():
            screen.messages().print(f"Finished already: {backbone}")
            return backbone
        return _Training(config, accelerator).run()


def _prepare(config: PretrainConfig) -> None:
    """Make the output folder this run's.

    Raises:
        UserError: if the folder holds something else, or a run that may be neither replaced nor gone on with.
    """
    output = Path(config.output)
    path, values = output / CONFIG, plain(config)
    there = [p for p in output.iterdir() if not p.name.startswith(".")]
    before = read_yaml(path) if path.is_file() else None
    if there and not (isinstance(before, dict) and before.keys() >= {"shape", "objective"}):
        raise UserError(
            f"{output} holds other things than a run of pre-training. Choose another folder with --output."
        )
    if there and config.overwrite:
        with clear_write_errors(output):
            if (output / BACKBONE).exists():
                shutil.rmtree(output / BACKBONE)
            for name in (CHECKPOINT, METRICS, TIMES, ENVIRONMENT, CURVES):
                (output / name).unlink(missing_ok=True)
    elif there and not config.resume:
        raise UserError(f"{output} holds a run. Replace it with --overwrite, or choose another --output.")
    elif isinstance(before, dict) and before != values:
        changed = sorted(n for n in before.keys() | values.keys() if before.get(n) != values.get(n))
        raise UserError(
            f"{output} holds a run with another {', '.join(changed)} (see {path}). Replace it with "
            "--overwrite, or choose another folder with --output."
        )
    remove_litter(output)
    write_text(path, yaml.safe_dump(values, sort_keys=False))


class _Training:
    """Model, optimiser and batches of a run."""

    def __init__(self, config: PretrainConfig, accelerator: Accelerator) -> None:
        self._config, self._accelerator = config, accelerator
        self._output = Path(config.output)
        self._console = screen.messages()
        torch.manual_seed(stream_seed(config.seed, "weights"))
        self._model = Listener(config.shape, config.spectrogram, config.objective, len(LABELS))
        self._model.to(accelerator.device)
        self._batches = ProceduralBatches(config.seed, config.batch_size, config.spectrogram)
        matrices = [p for p in self._model.parameters() if p.ndim > 1 and p.shape[0] > 1]
        others = [
            p for p in self._model.parameters() if p.ndim <= 1 or p.shape[0] == 1
        ]  # norms, biases, tokens
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = AdamW(
            groups, config.learning_rate, config.betas, EPS, weight_decay=config.weight_decay
        )
        self._state = PretrainState(self._model, self._optimizer)
        if (self._output / CHECKPOINT).is_file():
            self._state.load(self._output / CHECKPOINT)
            self._console.print(f"Going on behind step {self._state.step:,}.")
        self._note_environment()

    def run(self) -> Path:
        """All steps that are left, then the backbone."""
        config, state = self._config, self._state
        if not state.step:
            self._standardise()
        cadence, begun = Cadence(config.checkpoint_steps), time.perf_counter() - state.seconds
        row_steps = max(1, config.steps // ROWS)

        def keep() -> None:
            state.seconds = time.perf_counter() - begun
            cadence.save(state, self._output / CHECKPOINT)

        with StopRequest() as stop, screen.progress(self._console) as bars:
            task = bars.add_task("Clips", total=config.steps * config.batch_size, note="")
            bars.update(task, completed=state.step * config.batch_size)
            for batch in self._batches.stream(state.step, config.steps, config.workers):
                for name, value in self._step(batch).items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                state.step += 1
                bars.advance(task, config.batch_size)
                if state.step % row_steps == 0 or state.step == config.steps:
                    self._add_row((state.step - 1) % row_steps + 1, time.perf_counter() - begun)
                    bars.update(task, note=self._note())
                    if not self._console.is_terminal:
                        self._console.print(f"{state.step * config.batch_size:,} clips, {self._note()}")
                if stop.signal is not None or cadence.due(state.step) or state.step == config.steps:
                    keep()
                if stop.signal is not None:
                    raise Stopped(stop.signal, self._how_to_go_on(stop.signal))
        return self._finish()

    def _step(self, batch: PretrainBatch) -> dict[str, float]:
        """One step of the optimiser; the losses and the number of families told right."""
        config, state, device = self._config, self._state, self._accelerator.device
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(state.step + 1, config)
        draws = generator("cpu", config.seed, "augmentation", state.step)
        masked = spec_augment(batch.spectrograms, config.augment, draws)
        chosen = torch.rand(len(masked), 1, 1, generator=draws) < 0.5
        heard = torch.where(chosen, masked, batch.spectrograms).to(device)
        families, parameters, known = (t.to(device) for t in batch[1:])
        told = clip_statistics(batch.spectrograms).to(device)
        told = ((told - self._model.mean) / self._model.deviation).clamp(-5, 5)  # type: ignore[operator]
        with self._accelerator.autocast():
            answers = self._model(heard, draws)
        parts = losses(answers, families, parameters, known, told)
        total = torch.stack([getattr(config.objective, name) * part for name, part in parts.items()]).sum()
        if not total.isfinite():
            raise UserError(
                f"The loss is not finite at step {state.step + 1}. Lower --learning_rate and begin anew with "
                "--overwrite."
            )
        self._accelerator.backward(total)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), CLIP_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        right = (answers.families.argmax(1) == families[:, 0]).float().mean()
        return {**{name: part.item() for name, part in parts.items()}, "right": right.item()}

    def _standardise(self) -> None:
        batches = -(-min(STANDARDISED_ON, self._config.clips) // self._config.batch_size)
        first = 2**40 // self._config.batch_size  # far behind the clips to train on: none is heard twice
        with screen.progress(self._console) as bars:
            task = bars.add_task("Statistics", total=batches * self._config.batch_size, note="")
            found: list[Tensor] = []
            for batch in self._batches.stream(first, first + batches, self._config.workers):
                found.append(clip_statistics(batch.spectrograms))
                bars.advance(task, self._config.batch_size)
        self._model.standardise(torch.cat(found))

    def _add_row(self, steps: int, seconds: float) -> None:
        state, config = self._state, self._config
        row: dict[str, Any] = {"clips": state.step * config.batch_size}
        row |= {name: round(value / steps, 6) for name, value in state.sums.items()}
        row["learning_rate"] = round(config.learning_rate * _schedule(state.step, config), 9)
        state.rows.append(row)
        state.times.append({"clips": row["clips"], "seconds": round(seconds, 1)})
        state.sums = {}
        write_csv(self._output / METRICS, state.rows)
        write_csv(self._output / TIMES, state.times)

    def _note(self) -> str:
        row = self._state.rows[-1]
        parts = ", ".join(f"{name} {row[name]:.3f}" for name in ("family", "parameters", "statistics"))
        return f"{row['right']:.1%} of families right, losses: {parts}"

    def _note_environment(self) -> None:
        path = self._output / ENVIRONMENT
        before = read_json(path) if path.is_file() else []
        here = describe(self._config.seed, self._accelerator.device)
        write_json(path, [*before, {"from_step": self._state.step, **here}])

    def _finish(self) -> Path:
        state, config = self._state, self._config
        folder = self._output / BACKBONE
        record = {
            "clips": state.step * config.batch_size,
            "families": len(LABELS),
            "seconds": round(state.seconds),
            "config": plain(config),
            "last": state.rows[-1],
            "machines": read_json(self._output / ENVIRONMENT),
        }
        save(lambda: curves(state.rows), self._output / CURVES)
        write_backbone(folder, self._model.backbone, config.spectrogram, record)  # last: now it is finished
        return folder

    def _how_to_go_on(self, number: int) -> str:
        done = f"{self._state.step * self._config.batch_size:,} of {self._config.clips:,} clips"
        name = signal.Signals(number).name
        return f"{name} after {done}; the state is saved. Go on with the same command."


def _schedule(step: int, config: PretrainConfig) -> float:
    """The learning rate's factor at a step, counted from 1: up in a line, down in a half cosine."""
    rise = config.warmup * config.steps
    if step <= rise:
        return step / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (config.steps - rise + 1)))
