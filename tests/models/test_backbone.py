"""Loading AST checkpoints, and fitting their position table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import ASTConfig, ASTModel

from petl_ast.errors import UserError
from petl_ast.models.backbone import (
    fingerprint,
    fit_length,
    fit_position_table,
    load_backbone,
    patch_grid,
    save_random_backbone,
)


@pytest.fixture
def copied(backbone: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(backbone, tmp_path / "backbone"))


def rewrite(folder: Path, change: dict[str, torch.Tensor | None]) -> None:
    """Replace tensors of a checkpoint, or drop those given as None."""
    state = load_file(folder / "model.safetensors") | change
    save_file(
        {k: v for k, v in state.items() if v is not None}, folder / "model.safetensors", {"format": "pt"}
    )


def test_old_key_names_reach_their_places(backbone: str) -> None:
    model = load_backbone(backbone)
    raw = load_file(Path(backbone) / "model.safetensors")
    layer = "audio_spectrogram_transformer.encoder.layer.2."
    for old, mine in {
        layer + "attention.attention.query.weight": model.layers[2].attention.q_proj.weight,
        layer + "attention.attention.value.bias": model.layers[2].attention.v_proj.bias,
        layer + "attention.output.dense.weight": model.layers[2].attention.o_proj.weight,
        layer + "intermediate.dense.weight": model.layers[2].mlp.fc1.weight,
        layer + "output.dense.bias": model.layers[2].mlp.fc2.bias,
        layer + "layernorm_after.weight": model.layers[2].layernorm_after.weight,
        "audio_spectrogram_transformer.embeddings.position_embeddings": model.embeddings.position_embeddings,
    }.items():
        assert torch.equal(raw[old], mine), old


def test_every_key_style_gives_the_same_model(backbone: str, tmp_path: Path) -> None:
    model = load_backbone(backbone)
    model.save_pretrained(tmp_path / "without_head")
    (tmp_path / "new_names").mkdir()
    shutil.copy(Path(backbone) / "config.json", tmp_path / "new_names")
    new = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(new, tmp_path / "new_names" / "model.safetensors", {"format": "pt"})
    x = torch.randn(1, 256, 128)
    for folder in ("without_head", "new_names"):
        other = load_backbone(tmp_path / folder)
        assert fingerprint(other) == fingerprint(model)
        assert torch.equal(other(x).last_hidden_state, model(x).last_hidden_state)


def test_half_precision_checkpoint_is_loaded_in_full(copied: Path) -> None:
    rewrite(copied, {k: v.half() for k, v in load_file(copied / "model.safetensors").items()})
    assert {p.dtype for p in load_backbone(copied).parameters()} == {torch.float32}


def test_prints_nothing(backbone: str, capfd: pytest.CaptureFixture[str]) -> None:
    load_backbone(backbone)
    assert capfd.readouterr() == ("", "")


def test_missing_and_foreign_weights_are_named(copied: Path) -> None:
    key = "audio_spectrogram_transformer.encoder.layer.0.intermediate.dense.weight"
    kept = load_file(copied / "model.safetensors")[key]
    rewrite(copied, {key: None})
    with pytest.raises(UserError, match=r"lacks 1 weights, such as .*fc1.weight"):
        load_backbone(copied)
    rewrite(copied, {key: kept, "audio_spectrogram_transformer.extra.weight": torch.zeros(2)})
    with pytest.raises(UserError, match=r"no AST's, such as .*extra.weight"):
        load_backbone(copied)


def test_other_models_are_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(UserError, match="'bert', not an AST"):
        load_backbone(copied)


@pytest.mark.parametrize("damage", ["truncate", "remove", "garbage", "config"])
def test_damaged_checkpoints_are_refused(copied: Path, damage: str) -> None:
    weights = copied / "model.safetensors"
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "remove":
        weights.unlink()
    elif damage == "garbage":
        weights.write_bytes(b"no weights at all" * 100)
    else:
        (copied / "config.json").write_text("{")
    with pytest.raises(UserError, match="backbone"):
        load_backbone(copied)


@pytest.mark.parametrize("name", ["./missing", "/missing/folder", "~/missing"])
def test_a_folder_that_is_not_there_is_not_sought_on_the_hub(name: str) -> None:
    with pytest.raises(UserError, match="no folder with an AST checkpoint"):
        load_backbone(name)


def test_pickled_weights_are_never_read(copied: Path) -> None:
    torch.save({"a": torch.zeros(1)}, copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(UserError, match="Cannot load the backbone"):
        load_backbone(copied)


def numbered_table(frequency: int, time: int) -> torch.Tensor:
    """Table [1, 2 + F * T, 2] whose patch (f, t) holds (f, t), frequency-major."""
    grid = torch.stack(torch.meshgrid(torch.arange(frequency), torch.arange(time), indexing="ij"), dim=-1)
    return torch.cat((torch.tensor([[-1, -1], [-2, -2]]), grid.reshape(-1, 2))).unsqueeze(0).float()


@settings(max_examples=50, deadline=None)
@given(frequency=st.integers(1, 5), full=st.integers(1, 30), data=st.data())
def test_crop_takes_the_centre_columns(frequency: int, full: int, data: st.DataObject) -> None:
    time = data.draw(st.integers(1, full))
    table = fit_position_table(numbered_table(frequency, full), (frequency, full), time, "crop")
    start = full // 2 - time // 2 if time < full else 0
    assert table[0, :2].tolist() == [[-1, -1], [-2, -2]]
    expected = [[float(f), float(t)] for f in range(frequency) for t in range(start, start + time)]
    assert table[0, 2:].tolist() == expected


@pytest.mark.parametrize("policy", ["crop", "interpolate"])
def test_longer_tables_are_stretched_over_time_alone(policy: str) -> None:
    table = fit_position_table(numbered_table(3, 10), (3, 10), 25, policy)  # type: ignore[arg-type]
    grid = table[0, 2:].view(3, 25, 2)
    torch.testing.assert_close(grid[..., 0], torch.arange(3.0).unsqueeze(1).expand(3, 25))
    assert (grid[..., 1].diff(dim=1) >= -1e-6).all()
    assert grid[0, 0, 1] == 0
    assert grid[0, -1, 1] == 9


def test_interpolate_and_crop_differ_for_shorter_clips() -> None:
    full = numbered_table(2, 20)
    crop = fit_position_table(full, (2, 20), 10, "crop")[0, 2:12, 1]
    stretched = fit_position_table(full, (2, 20), 10, "interpolate")[0, 2:12, 1]
    assert crop.tolist() == list(range(5, 15))
    torch.testing.assert_close(stretched, torch.arange(10.0) * 2 + 0.5)


def test_zeros_and_unchanged_length() -> None:
    full = numbered_table(2, 20)
    assert not fit_position_table(full, (2, 20), 10, "zeros").any()
    assert torch.equal(fit_position_table(full, (2, 20), 20, "crop"), full)
    assert torch.equal(fit_position_table(full, (2, 20), 20, "interpolate"), full)


@pytest.mark.parametrize("policy", ["crop", "interpolate", "zeros"])
@pytest.mark.parametrize("max_length", [16, 100, 256, 300, 1200])
def test_every_length_works_after_fitting(backbone: str, policy: str, max_length: int) -> None:
    model = load_backbone(backbone)
    fit_length(model, max_length, policy)  # type: ignore[arg-type]
    frequency, time = patch_grid(model.config, max_length)
    tokens = model(torch.randn(1, max_length, 128)).last_hidden_state
    assert tokens.shape == (1, 2 + frequency * time, 48)
    assert tokens.isfinite().all()
    assert not model.embeddings.position_embeddings.requires_grad


def test_grid_of_the_full_size_checkpoint() -> None:
    assert patch_grid(ASTConfig(), 1024) == (12, 101)
    assert patch_grid(ASTConfig(), 500) == (12, 49)
    with pytest.raises(UserError, match="max_length is 15"):
        patch_grid(ASTConfig(), 15)


def test_fingerprint_sees_weights_and_not_the_position_table(backbone: str) -> None:
    model, other = load_backbone(backbone), load_backbone(backbone)
    fit_length(other, 128, "zeros")
    assert fingerprint(other) == fingerprint(model)
    with torch.no_grad():
        other.layers[1].mlp.fc2.bias[0] += 1e-3
    assert fingerprint(other) != fingerprint(model)


def test_random_backbone_is_the_hubs_format_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    config = ASTConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_length=64,
        num_labels=3,
    )
    torch.manual_seed(1)
    save_random_backbone(tmp_path / "a", config, seed=5)
    drawn_between = torch.rand(1)
    save_random_backbone(tmp_path / "b", config, seed=5)
    save_random_backbone(tmp_path / "c", config, seed=6)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn_between), "the global stream moved"
    a, b, c = (fingerprint(load_backbone(tmp_path / name)) for name in "abc")
    assert a == b != c
    names = load_file(tmp_path / "a" / "model.safetensors")
    assert "audio_spectrogram_transformer.encoder.layer.0.attention.attention.query.weight" in names
    assert names["audio_spectrogram_transformer.embeddings.position_embeddings"].any()
    assert isinstance(load_backbone(tmp_path / "a"), ASTModel)
