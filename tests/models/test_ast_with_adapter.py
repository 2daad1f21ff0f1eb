"""The adapted model: numbers of the paper's reference code, what trains, and what is saved."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import ASTConfig, ASTModel

from petl_ast import build_model, load_adapter
from petl_ast.errors import UserError
from petl_ast.models.ast_with_adapter import ASTWithAdapter

RECORD = "adapter_conformer_pfeiffer_parallel.npz"


def tensors(path: Path) -> dict[str, Tensor]:
    with np.load(path) as arrays:
        return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}


def part(record: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in record.items() if name.startswith(prefix)}


def small_model(backbone: str, **options: Any) -> ASTWithAdapter:
    """The model of the golden record: d = 48, r = 8, k = 8, 5 classes, 128 frames."""
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "num_classes": 5,
        "max_length": 128,
        "method_options": {"reduction_rate": 6, "kernel_size": 8},
        "position_embeddings": "zeros",
    }
    return build_model(backbone, **arguments | options)


def train_steps(model: ASTWithAdapter, x: Tensor, y: Tensor, steps: int) -> list[float]:
    """Steps as the record's: AdamW and cosine of the paper, clips (s % 2) * 6 .. + 6."""
    optimizer = torch.optim.AdamW(
        model.trainable_parameters(), lr=0.005, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    losses = []
    for step in range(steps):
        batch = slice(step % 2 * 6, step % 2 * 6 + 6)
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def test_reproduces_the_reference_code_number_for_number(backbone: str, golden: Path) -> None:
    record, data = tensors(golden / RECORD), tensors(golden / "batches.npz")
    model = small_model(backbone)
    model.load_reference_state_dict(part(record, "init/"))
    with torch.no_grad():
        assert (model(data["x_eval"]) - record["eval_logits_init"]).abs().max() <= 1e-6
    model.train()
    state = {name: t.clone() for name, t in model.trained_state().items()}
    with torch.no_grad():
        assert (model(data["x"][:6]) - record["train_logits_step0"]).abs().max() <= 1e-6
    model.load_trained_state(state)  # that forward pass moved BatchNorm's statistics

    losses = train_steps(model, data["x"], data["y"].long(), 12)
    assert np.abs(np.array(losses) - record["losses"].numpy()).max() <= 1e-6
    with torch.no_grad():
        assert (model.eval()(data["x_eval"]) - record["eval_logits_final"]).abs().max() <= 5e-4

    reference = small_model(backbone)
    reference.load_reference_state_dict(part(record, "final/"))
    for name, mine in model.trained_state().items():
        torch.testing.assert_close(
            mine, reference.trained_state()[name], rtol=1e-2, atol=2e-3, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_full_size_counts_and_shapes() -> None:
    model = build_model(ASTModel(ASTConfig()), num_classes=50, max_length=500)
    assert model.parameter_counts() == {
        "method": 250_080,
        "layernorm": 19_968,
        "head": 38_450,
        "trainable": 308_498,
        "total": 85_996_562,
    }
    with torch.no_grad():
        assert model(torch.randn(2, 500, 128)).shape == (2, 50)


def test_only_what_is_declared_gets_gradients_and_moves(backbone: str, golden: Path) -> None:
    data = tensors(golden / "batches.npz")
    model = small_model(backbone)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    train_steps(model, data["x"], data["y"].long(), 10)
    trained = set(model.trained_state())
    dead = {name for name in trained if ".lnorm." in name}  # owned, never run
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        name for name, _ in model.named_parameters() if name in trained - dead
    }
    moved = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == trained - dead


def test_train_mode_reaches_only_what_trains(backbone: str) -> None:
    model = small_model(backbone)
    assert not any(module.training for module in model.modules())
    model.train()
    in_training = {name for name, module in model.named_modules() if module.training}
    adapter = re.compile(r"backbone\.layers\.\d\.mlp\.adapter")
    assert {n for n in in_training if not adapter.match(n)} == {"", "classification_head"}
    assert sum(name.endswith(".bnorm") for name in in_training) == 3
    model.eval()
    assert not any(module.training for module in model.modules())


def test_evaluation_changes_nothing(backbone: str) -> None:
    model = small_model(backbone)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with torch.no_grad():
        model(torch.randn(2, 128, 128))
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_pooling_and_features(backbone: str) -> None:
    x = torch.randn(2, 128, 128)
    for pooling in ("mean", "cls"):
        model = small_model(backbone, pooling=pooling)
        tokens = model.backbone(x).last_hidden_state
        expected = tokens.mean(dim=1) if pooling == "mean" else tokens[:, 0]
        torch.testing.assert_close(model.features(x), expected)
        torch.testing.assert_close(model(x), model.classification_head(model.features(x)))


def test_saved_and_loaded_gives_the_same_logits(backbone: str, golden: Path, tmp_path: Path) -> None:
    data = tensors(golden / "batches.npz")
    model = small_model(backbone)
    train_steps(model, data["x"], data["y"].long(), 2)
    model.eval().save_adapter(tmp_path / "adapter", labels=list("abcde"))
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    loaded = load_adapter(tmp_path / "adapter")
    assert torch.equal(loaded(data["x_eval"]), model(data["x_eval"]))
    assert loaded.metadata == {"labels": list("abcde")}
    for name, tensor in model.trained_state().items():
        assert torch.equal(loaded.trained_state()[name], tensor)
    assert any("running_var" in name for name in model.trained_state()), "BatchNorm's statistics are lost"
    loaded.save_adapter(tmp_path / "again")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "adapter" / name).read_bytes()


def test_another_backbone_is_refused(backbone: str, tmp_path: Path) -> None:
    small_model(backbone).save_adapter(tmp_path / "adapter")
    other = ASTModel.from_pretrained(backbone)
    with torch.no_grad():
        other.layers[0].mlp.fc1.weight += 1e-3
    with pytest.raises(UserError, match="other weights"):
        load_adapter(tmp_path / "adapter", backbone=other)


def test_a_backbone_in_memory_is_adapted_once(backbone: str, tmp_path: Path) -> None:
    ast = ASTModel(
        ASTConfig(hidden_size=48, num_hidden_layers=1, num_attention_heads=3, intermediate_size=96)
    )
    options = {"reduction_rate": 6}
    model = build_model(ast.to(torch.bfloat16), 5, 128, method_options=options)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    with pytest.raises(UserError, match="adapted already"):
        build_model(ast, 5, 128, method_options=options)
    model.save_adapter(tmp_path)
    with pytest.raises(UserError, match="backbone in memory"):
        load_adapter(tmp_path)


def test_inputs_of_another_size_are_named(backbone: str) -> None:
    with pytest.raises(UserError, match=r"\[2, 100, 128\]; this model hears \[clips, 128, 128\]"):
        small_model(backbone)(torch.zeros(2, 100, 128))


def test_metadata_that_json_cannot_hold_leaves_the_folder_alone(backbone: str, tmp_path: Path) -> None:
    for value in (float("nan"), tmp_path):
        with pytest.raises(UserError, match="plain, finite values"):
            small_model(backbone).save_adapter(tmp_path / "adapter", accuracy=value)
    assert not (tmp_path / "adapter").exists()


def edit(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["model"] |= change
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 6}, "shape"),
        ({"method_options": {"reduction_rate": 12}}, "shape"),
        ({"method": "magic"}, "no method 'magic'"),
        ({"unheard_of": 1}, "not this version's"),
        ({"pooling": "max"}, "pooling is 'max'"),
    ],
)
def test_edited_adapters_are_refused(
    backbone: str, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    small_model(backbone).save_adapter(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(UserError, match=message):
        load_adapter(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": "5"}, "num_classes is '5'"),
        ({"method_options": {"reduction_rate": None}}, "reduction_rate is null"),
        ({"method": "magic"}, "the methods are: adapter"),
        ({"method_options": {"reduction": 6}}, "reduction_rate"),
        ({"method_options": {"reduction_rate": "six"}}, "reduction_rate"),
        ({"method_options": {"reduction_rate": 97}}, "reduction_rate is 97"),
        ({"method_options": {"kernel_size": 0}}, "kernel_size"),
        ({"method_options": {"block": "magic"}}, "block"),
        ({"position_embeddings": "sinus"}, "crop, interpolate, zeros"),
        ({"max_length": 8}, "at least one patch"),
    ],
)
def test_wrong_arguments_are_named(backbone: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small_model(backbone, **arguments)


class TestReferenceStateDict:
    """Loading what the paper's reference code saved."""

    @pytest.fixture
    def state(self, golden: Path) -> dict[str, Tensor]:
        return part(tensors(golden / RECORD), "final/")

    def test_whole_state_dict_with_frozen_tensors_and_aliases(
        self, backbone: str, state: dict[str, Tensor]
    ) -> None:
        model = small_model(backbone)
        frozen = model.backbone.layers[1].attention.q_proj.weight.detach().clone()
        state["model.encoder.layer.1.attention.attention.query.weight"] = frozen
        state["encoder.layer.1.attention.attention.query.weight"] = frozen
        state["model.embeddings.position_embeddings"] = torch.zeros_like(
            model.backbone.embeddings.position_embeddings
        )
        model.load_reference_state_dict(state)
        assert torch.equal(model.classification_head.weight, state["classification_head.weight"])
        loaded = model.backbone.layers[2].mlp.adapter.bnorm.running_var
        assert torch.equal(loaded, state["model.encoder.layer.2.adapter_module_FFN.bnorm.running_var"])

    @pytest.mark.parametrize("lost", ["classification_head.bias", "model.layernorm.weight"])
    def test_missing_tensors_are_named(self, backbone: str, state: dict[str, Tensor], lost: str) -> None:
        del state[lost]
        with pytest.raises(UserError, match=re.escape(f"missing: {lost}")):
            small_model(backbone).load_reference_state_dict(state)

    def test_unknown_tensors_are_named(self, backbone: str, state: dict[str, Tensor]) -> None:
        state["model.encoder.layer.0.adapter_module_MHSA.lnorm.weight"] = torch.zeros(48)
        with pytest.raises(UserError, match=r"unknown: .*adapter_module_MHSA"):
            small_model(backbone).load_reference_state_dict(state)

    def test_another_backbones_tensors_are_named(self, backbone: str, state: dict[str, Tensor]) -> None:
        state["model.encoder.layer.1.intermediate.dense.bias"] = torch.ones(96)
        model = small_model(backbone)
        before = {name: t.clone() for name, t in model.trained_state().items()}
        with pytest.raises(UserError, match=r"not the backbone's value: .*intermediate\.dense\.bias"):
            model.load_reference_state_dict(state)
        assert all(torch.equal(t, before[name]) for name, t in model.trained_state().items())

    def test_aliases_are_checked_too(self, backbone: str, state: dict[str, Tensor]) -> None:
        name = "encoder.layer.1.intermediate.dense.bias"
        with pytest.raises(UserError, match=re.escape(f"not the backbone's value: {name}")):
            small_model(backbone).load_reference_state_dict({**state, name: torch.ones(96)})
        other = {"layernorm.bias": state["model.layernorm.bias"] + 1}
        with pytest.raises(UserError, match=r"another value than model\.layernorm\.bias: layernorm\.bias"):
            small_model(backbone).load_reference_state_dict({**state, **other})
        alone = {name.removeprefix("model."): tensor for name, tensor in state.items()}
        with pytest.raises(UserError, match=r"missing: model\.encoder"):
            small_model(backbone).load_reference_state_dict(alone)

    def test_wrong_shapes_are_named(self, backbone: str, state: dict[str, Tensor]) -> None:
        state["classification_head.bias"] = torch.zeros(6)
        with pytest.raises(UserError, match=r"shape \[6\] instead of \[5\]: classification_head.bias"):
            small_model(backbone).load_reference_state_dict(state)
