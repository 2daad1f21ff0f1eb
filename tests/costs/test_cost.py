"""What a step is counted to cost, against counts made by other ways, on a tiny backbone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from conftest import write_rows
from petl_ast import build_model
from petl_ast.config import AugmentConfig, DataConfig, RunConfig, SpectrogramConfig, TrainConfig
from petl_ast.costs.cost import Cost, Operator, cost_of, work_of, work_with
from petl_ast.costs.machines import CARDS, Machine, cards
from petl_ast.data.formats import open_dataset
from petl_ast.errors import UserError
from petl_ast.models.ast_with_adapter import ASTWithAdapter
from petl_ast.models.method import method_names

FRAMES, CLASSES, CLIPS = 128, 5, 4
D, LAYERS, TOKENS = 48, 3, 2 + 12 * 12  # of the tiny backbone: 12 patches along frequency, 12 along time
MACHINE = Machine("a machine", "fp32", products=1e9, attention=5e8, bandwidth=1e8)


def model_of(backbone: str, method: str, **options: Any) -> ASTWithAdapter:
    return build_model(backbone, CLASSES, FRAMES, method, options)


def config_of(masks: int = 8, **train: Any) -> RunConfig:
    return RunConfig(
        spectrogram=SpectrogramConfig(max_length=FRAMES),
        augment=AugmentConfig(masks, masks),
        train=TrainConfig(**{"batch_size": CLIPS, **train}),
    )


def cost_with(backbone: str, method: str, masks: int = 8, **train: Any) -> Cost:
    options = {"reduction_rate": 6} if method == "adapter" else {}
    return cost_of(model_of(backbone, method, **options), config_of(masks, **train))


def flops(cost: Cost, kind: str) -> float:
    """Of a training step, a clip."""
    return sum(operator.flops for operator in cost.training.operators if operator.kind == kind) / CLIPS


@pytest.mark.parametrize("method", method_names())
def test_a_forward_counts_what_pytorch_counts(backbone: str, method: str) -> None:
    options = {"reduction_rate": 6} if method in ("adapter", "lora", "dense_moa", "soft_moa") else {}
    cost = cost_of(model_of(backbone, method, **options), config_of())
    model = model_of(backbone, method, **options).to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, FRAMES, 128, device="meta"))
    assert cost.evaluation.flops == counter.get_total_flops()
    assert cost.training.flops > cost.evaluation.flops


def test_attention_is_counted_forward_and_backward(backbone: str) -> None:
    """Two products of 2 N^2 d forward; backward four, and the scores once more."""
    pair = 4 * TOKENS**2 * D
    assert flops(cost_with(backbone, "full_ft"), "attention") == LAYERS * 3.5 * pair
    # What trains first in the adapter model is behind the first layer's attention.
    assert flops(cost_with(backbone, "adapter"), "attention") == (LAYERS + (LAYERS - 1) * 2.5) * pair


def test_the_backward_stops_at_the_first_trained_layer(backbone: str) -> None:
    linear, adapter, everything = (cost_with(backbone, name) for name in ("linear", "adapter", "full_ft"))
    assert linear.training.flops == pytest.approx(linear.evaluation.flops, rel=1e-3)
    assert linear.training.flops < adapter.training.flops < everything.training.flops
    assert linear.training.kept < adapter.training.kept < everything.training.kept


def test_the_adapter_is_as_large_as_its_file(backbone: str, tmp_path: Path) -> None:
    model = model_of(backbone, "adapter", reduction_rate=6)
    model.save_adapter(tmp_path)
    trained = sum(parameter.nbytes for parameter in model.trainable_parameters())
    cost = cost_of(model, config_of())
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert cost.adapter == sum(tensor.nbytes for tensor in saved.values()) > trained
    assert cost.optimizer == 2 * trained


def test_activations_are_what_autograd_keeps(backbone: str) -> None:
    """Counted another way: the tensors that a real training step saves, each storage once."""
    model = model_of(backbone, "full_ft")
    weights = {id(p.untyped_storage()) for p in model.parameters()}
    saved: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            saved[id(storage)] = storage
        return tensor

    model.train()
    x = torch.randn(CLIPS, FRAMES, 128)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model(x).sum()
    kept = sum(storage.nbytes() for storage in saved.values()) - x.nbytes
    del loss
    assert cost_with(backbone, "full_ft").training.kept == pytest.approx(kept, rel=0.02)


def test_checkpointing_trades_memory_for_operations(backbone: str) -> None:
    plain, checkpointed = (cost_with(backbone, "adapter", gradient_checkpointing=on) for on in (False, True))
    assert checkpointed.training.kept < plain.training.kept / 2
    assert checkpointed.memory < plain.memory
    assert checkpointed.training.flops > plain.training.flops
    assert checkpointed.evaluation.flops == plain.evaluation.flops


def test_parts_of_a_batch_need_less_memory_for_the_same_work(backbone: str) -> None:
    whole, parts = cost_with(backbone, "adapter"), cost_with(backbone, "adapter", micro_batch_size=1)
    assert parts.training.flops == whole.training.flops
    assert parts.training.peak == pytest.approx(whole.training.peak / CLIPS, rel=0.02)


def test_fixed_features_are_computed_once(backbone: str) -> None:
    plain, fixed = (cost_with(backbone, "linear", masks) for masks in (8, 0))
    assert plain.features is None
    assert fixed.features is not None
    head = 2 * D * CLASSES
    assert fixed.features.flops == plain.evaluation.flops - head
    assert fixed.evaluation.flops == head
    work = work_of(config_of())
    every_clip_once = work.clips * fixed.features.seconds(MACHINE)
    assert every_clip_once < fixed.seconds(work, MACHINE) < 1.5 * every_clip_once
    assert cost_with(backbone, "adapter", masks=0).features is None


def test_of_long_clips_features_are_computed_anew(backbone: str, tmp_path: Path) -> None:
    """Each epoch hears other stretches; whether there are long clips, the headers tell."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(5):
            seconds = 3 if number == 0 else 1
            samples = rng.standard_normal(16000 * seconds)
            soundfile.write(tmp_path / "sounds" / label / f"{label}{number}.wav", 0.1 * samples, 16000)
    found = {}
    for how in ("cut", "crop"):
        data = DataConfig(root=str(tmp_path / "sounds"), long_clips=how, cache=str(tmp_path / "cache"))
        config = dataclasses.replace(config_of(0), data=data)
        work = work_of(config)
        found[how] = cost_of(model_of(backbone, "linear"), config, work.long_clips)
        dataset, config = open_dataset(config)
        dataset.load_spectrograms()
        assert work.long_clips == work_with(config, dataset).long_clips == (how == "crop")
    assert found["cut"].features is not None
    assert found["crop"].features is None
    assert found["crop"].training.flops > 100 * found["cut"].training.flops


def test_an_operator_takes_the_longer_of_computing_and_moving() -> None:
    half = dataclasses.replace(MACHINE, precision="bf16")
    assert Operator("product", 10**9, 10**6).seconds(MACHINE) == 1
    assert Operator("attention", 10**9, 10**6).seconds(MACHINE) == 2
    assert Operator("product", 10**6, 10**8).seconds(MACHINE) == 1
    assert Operator("product", 10**6, 10**8).seconds(half) == 0.5
    assert Operator("other", 10**9, 10**8).seconds(half) == 1


def test_a_run_is_counted_from_the_csv(shared_miniature: Path) -> None:
    """30 clips in five folds: 18 train, 6 validate after each epoch, 6 are tested twice."""
    config = RunConfig(data=DataConfig(root=str(shared_miniature)), train=TrainConfig(epochs=3))
    work = work_of(config)
    assert (work.training, work.evaluation, work.clips) == (5 * 3 * 18, 5 * (3 * 6 + 2 * 6), 30)
    assert "30 clips in 5 folds" in work.source
    two = dataclasses.replace(config, data=DataConfig(root=str(shared_miniature), folds=[2, 5]))
    assert work_of(two).training == 2 * 3 * 18


def test_without_a_data_set_it_is_esc50s_and_said(tmp_path: Path) -> None:
    work = work_of(RunConfig(data=DataConfig(root=str(tmp_path / "none"))))
    assert (work.training, work.evaluation, work.clips) == (300_000, 104_000, 2000)
    assert "no data set in" in work.source
    assert "assumed" in work.source
    small = work_of(RunConfig(data=DataConfig(root=str(tmp_path), subset="esc10", folds=[1])))
    assert (small.training, small.evaluation, small.clips) == (50 * 240, 52 * 80, 400)


def test_a_csv_that_is_no_use_is_an_error(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"name": "a.wav"}])
    with pytest.raises(UserError, match="no column filename"):
        work_of(RunConfig(data=DataConfig(root=str(tmp_path))))


def test_cards_in_the_precisions_they_have() -> None:
    found = {(card.name, card.precision): card for card in cards()}
    assert {name for name, _ in found} == set(CARDS) == {"T4", "A100", "H100", "H200"}
    assert {precision for name, precision in found if name == "T4"} == {"fp32", "fp16"}
    for name in ("A100", "H100", "H200"):
        fp32, tf32, bf16 = (found[name, precision] for precision in ("fp32", "tf32", "bf16"))
        assert fp32.products < tf32.products < bf16.products
        assert (tf32.bytes_per_value, bf16.bytes_per_value) == (4, 2)
