"""Many adapters on one backbone give what each gives alone, and cost what they train."""

from __future__ import annotations

import copy
import gc
import itertools
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import (
    ASTAttention,
)

from conftest import GOLDEN
from petl_ast import ManyAdapters, build_model, load_adapter
from petl_ast.config import SpectrogramConfig
from petl_ast.errors import UserError
from petl_ast.models import shared_backbone
from petl_ast.models.ast_with_adapter import ASTWithAdapter
from petl_ast.models.backbone import load_backbone
from petl_ast.models.frozen import AVAILABLE, FrozenLinear
from petl_ast.models.plan import Plan

FRAMES, LAYERS = 128, 3
BACKBONE = str(GOLDEN / "backbone")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "conformer": {"method": "adapter", "method_options": {"reduction_rate": 6}},
    "conformer_2": {"method": "adapter", "method_options": {"reduction_rate": 12, "kernel_size": 31}},
    "houlsby": {
        "method": "adapter",
        "method_options": {"placement": "houlsby", "insertion": "sequential", "reduction_rate": 6},
    },
    "bottleneck": {"method": "adapter", "method_options": {"block": "bottleneck", "reduction_rate": 6}},
    "linear": {"method": "linear"},
    "full_ft": {"method": "full_ft"},
    "bitfit": {"method": "bitfit"},
    "lora": {"method": "lora", "method_options": {"reduction_rate": 6}},
    "dora": {
        "method": "peft",
        "method_options": {"r": 4, "use_dora": True, "target_modules": ["q_proj", "fc1"]},
    },
    "prefix": {"method": "prefix_tuning"},
    "prefix_2": {"method": "prefix_tuning", "method_options": {"num_tokens": 6}},
    "prompt": {"method": "prompt_tuning"},
    "prompt_2": {"method": "prompt_tuning"},
    "deep_prompt": {"method": "prompt_tuning", "method_options": {"deep": True}},
    "dense_moa": {"method": "dense_moa", "method_options": {"reduction_rate": 12}},
    "soft_moa": {"method": "soft_moa", "method_options": {"reduction_rate": 12, "location": "mhsa"}},
    "cls": {"method": "linear", "pooling": "cls"},
    "zeros": {"method": "bitfit", "position_embeddings": "zeros"},
}
NAMES = list(ARGUMENTS)
every_adapter = pytest.mark.parametrize("name", NAMES)


def save(folder: Path, seed: int, **arguments: Any) -> Path:
    """An adapter folder whose trained tensors are far from where they started."""
    torch.manual_seed(seed)
    classes, length = 3 + seed % 4, arguments.pop("max_length", FRAMES)
    model = build_model(BACKBONE, classes, length, **arguments)
    with torch.no_grad():
        for tensor in model.trained_state().values():
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand_like(tensor)
    spectrogram = vars(SpectrogramConfig(max_length=length, mean=float(seed)))
    labels = [f"{folder.name} {label}" for label in range(classes)]
    model.save_adapter(folder, labels=labels, spectrogram=spectrogram)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One adapter folder of every kind; different numbers of classes."""
    root = tmp_path_factory.mktemp("adapters")
    return {name: save(root / name, seed, **ARGUMENTS[name]) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def alone(folders: dict[str, Path]) -> dict[str, ASTWithAdapter]:
    """Every adapter loaded by itself."""
    return {name: load_adapter(folder) for name, folder in folders.items()}


def together(folders: dict[str, Path], names: Iterable[str] = NAMES) -> ManyAdapters:
    first, *others = names
    model = load_adapter(folders[first], name=first)
    for name in others:
        model.add_adapter(name, folders[name])
    return model


@pytest.fixture(scope="module")
def everything(folders: dict[str, Path]) -> ManyAdapters:
    """All of them on one backbone, not to be changed; the first one has changed what it could."""
    return together(folders, ["full_ft", *(name for name in NAMES if name != "full_ft")])


def clips(number: int, frames: int = FRAMES) -> Tensor:
    return torch.randn(number, frames, 128, generator=torch.Generator().manual_seed(number))


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def tensors(*models: nn.Module) -> dict[int, Tensor]:
    """Parameters and buffers by address, each once."""
    return {t.data_ptr(): t for m in models for t in (*m.parameters(), *m.buffers())}


@every_adapter
def test_the_active_adapter_is_what_it_is_alone(
    name: str, everything: ManyAdapters, alone: dict[str, ASTWithAdapter]
) -> None:
    everything.set_adapter(name)
    assert everything.active_adapter == name
    x = clips(2)
    with torch.no_grad():
        assert torch.equal(everything(x), alone[name](x))
        assert torch.equal(everything.features(x), alone[name].features(x))
        assert torch.equal(everything.summary(x), alone[name].summary(x))
    for attribute in ("labels", "spectrogram", "settings", "metadata", "fixed_features"):
        assert getattr(everything, attribute) == getattr(alone[name], attribute), attribute
    assert everything.parameter_counts() == alone[name].parameter_counts()
    assert everything.state_dict().keys() == alone[name].state_dict().keys()
    assert [p.shape for p in everything.trainable_parameters()] == [
        p.shape for p in alone[name].trainable_parameters()
    ]
    assert not any(module.training for module in everything.modules())


def test_pairs_of_all_adapters_in_one_batch(
    everything: ManyAdapters, alone: dict[str, ASTWithAdapter]
) -> None:
    x = clips(3)
    with torch.no_grad():
        single = {name: alone[name](x) for name in NAMES}
        for one, other in itertools.combinations(NAMES, 2):
            expected = [single[one][0], single[other][1], single[one][2]]
            assert_same(everything(x, adapters=[one, other, one]), expected)


@settings(deadline=None, max_examples=20)
@given(names=st.lists(st.sampled_from(NAMES), max_size=8))
def test_any_batch(everything: ManyAdapters, alone: dict[str, ASTWithAdapter], names: list[str]) -> None:
    x = clips(len(names))
    with torch.no_grad():
        expected = [alone[name](clip[None])[0] for name, clip in zip(names, x, strict=True)]
        assert_same(everything(x, adapters=names), expected)


def test_long_clips_in_one_batch(tmp_path: Path) -> None:
    """Of 374 tokens: these go through our own attention."""
    names = ["conformer", "prefix", "prompt"]
    folders = {n: save(tmp_path / n, i, max_length=320, **ARGUMENTS[n]) for i, n in enumerate(names)}
    x = clips(3, 320)
    expected = [load_adapter(folders[name])(clip[None])[0] for name, clip in zip(names, x, strict=True)]
    assert_same(together(folders, names)(x, adapters=names), expected)


def test_gradients_of_a_mixed_batch_reach_each_adapter(folders: dict[str, Path]) -> None:
    names = ["conformer", "lora", "prompt"]
    model, x = together(folders, names), clips(3)
    sum(logits.square().sum() for logits in model(x, adapters=names)).backward()
    for name, clip in zip(names, x, strict=True):
        single = load_adapter(folders[name])
        single(clip[None]).square().sum().backward()
        for ours, theirs in zip(
            model.get_adapter(name).trainable_parameters(), single.trainable_parameters(), strict=True
        ):
            assert (ours.grad is None) == (theirs.grad is None)
            if theirs.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4)


def test_what_is_the_same_computes_all_clips_at_once(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward: Callable[..., Any] = ASTAttention.forward

    def counted(self: ASTAttention, hidden_states: Tensor, *rest: Any, **more: Any) -> Any:
        seen.append(len(hidden_states))
        return forward(self, hidden_states, *rest, **more)

    monkeypatch.setattr(ASTAttention, "forward", counted)
    names = ["conformer", "conformer_2", "bottleneck", "lora"]
    together(folders, names)(clips(8), adapters=names * 2)
    assert seen == [8] * LAYERS


def test_adapters_grow_memory_by_what_they_train(folders: dict[str, Path]) -> None:
    model = together(folders)
    models = {name: model.get_adapter(name) for name in NAMES}
    pristine = load_backbone(BACKBONE)
    for name, one in models.items():
        trained = {id(tensor) for tensor in one.trained_state().values()}
        others = tensors(*(other for other in models.values() if other is not one))
        own = [t for t in tensors(one).values() if t.data_ptr() not in others]
        table = one.backbone.state_dict(keep_vars=True).get("embeddings.position_embeddings")
        assert {id(t) for t in own if t is not table or id(t) in trained} == trained, name
    everything = sum(t.nbytes for t in tensors(*models.values()).values())
    adapters = sum(t.nbytes for one in models.values() for t in one.trained_state().values())
    tables = 2 * pristine.embeddings.position_embeddings.nbytes  # "crop" and "zeros", both shorter
    assert everything <= sum(t.nbytes for t in pristine.parameters()) + adapters + tables
    if AVAILABLE:
        assert all(
            any(type(m) is FrozenLinear for m in one.modules()) for n, one in models.items() if n != "full_ft"
        )


def test_training_one_leaves_the_others_alone(folders: dict[str, Path]) -> None:
    x, y = clips(4), torch.tensor([0, 1, 2, 0])
    for name in ("full_ft", "bitfit", "conformer", "dora"):
        model = together(folders, [name, "lora", "prompt"])
        before = [model.get_adapter(other)(x).detach() for other in ("lora", "prompt")]
        optimizer = torch.optim.SGD(model.train().trainable_parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        trained = model.eval()(x)
        assert not torch.equal(trained, load_adapter(folders[name])(x))
        for other, expected in zip(("lora", "prompt"), before, strict=True):
            model.set_adapter(other)
            assert torch.equal(model(x), expected), (name, other)
        model.set_adapter(name)
        assert torch.equal(model(x), trained)
        model.add_adapter("another", folders["conformer_2"])
        model.set_adapter("another")
        assert torch.equal(model(x), load_adapter(folders["conformer_2"])(x)), name


def test_train_mode_stays_with_the_active_adapter(folders: dict[str, Path]) -> None:
    model = together(folders, ["conformer", "full_ft"])
    model.train()
    model.set_adapter("full_ft")
    assert model.training
    assert model.backbone.layers[0].training
    assert not any(module.training for module in model.get_adapter("conformer").modules())


def test_a_swap_reads_and_computes_nothing(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = together(folders, ["conformer", "lora"])
    backbone, state = model.backbone, model.state_dict(keep_vars=True)

    def never(*_: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(shared_backbone, "fingerprint", never)
    model.add_adapter("prefix", folders["prefix"])
    monkeypatch.setattr(nn.Module, "__call__", never)
    monkeypatch.setattr(Tensor, "copy_", never)
    for name in ("lora", "prefix", "conformer"):
        model.set_adapter(name)
    assert model.backbone is backbone
    assert all(tensor is state[name] for name, tensor in model.state_dict(keep_vars=True).items())


def test_what_a_plan_trains_is_asked_once_of_a_backbone_in_memory(
    folders: dict[str, Path], backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the fingerprint is computed once, as long as the weights stay as they are."""
    asked: list[str] = []
    real = shared_backbone.fingerprint
    monkeypatch.setattr(shared_backbone, "fingerprint", lambda ast: asked.append("weights") or real(ast))
    trained = Plan.trained_tensors
    monkeypatch.setattr(Plan, "trained_tensors", lambda self, on: asked.append("plan") or trained(self, on))
    ast, folder = load_backbone(backbone), next(iter(folders.values()))
    for _ in range(3):
        load_adapter(folder, ast)
    assert asked == ["weights", "plan"]
    with torch.no_grad():
        ast.layernorm.weight.mul_(1)  # the same numbers, which nobody can know without reading them
    load_adapter(folder, ast)
    assert asked == ["weights", "plan", "weights", "plan"]


@pytest.mark.parametrize("first", ["crop", "interpolate", "zeros"])
def test_each_length_has_the_table_it_has_alone(first: str, tmp_path: Path) -> None:
    model = load_adapter(save(tmp_path / "first", 1, method="linear", position_embeddings=first))
    for policy in ("crop", "interpolate", "zeros"):
        for frames in (48, 128, 300):
            folder = save(
                tmp_path / f"{policy}{frames}",
                2,
                method="linear",
                max_length=frames,
                position_embeddings=policy,
            )
            model.add_adapter(folder.name, folder)
            model.set_adapter(folder.name)
            assert torch.equal(model(clips(1, frames)), load_adapter(folder)(clips(1, frames)))
    with pytest.raises(UserError, match=r"\[1, 128, 128\]; this model hears \[clips, 300, 128\]"):
        model(clips(1, 128))
    with pytest.raises(UserError, match=r"'default' 128, 'crop300' 300\. Give each length a batch"):
        model(clips(2), adapters=["default", "crop300"])
    with pytest.raises(UserError, match=r"\[1, 128, 128\]; this model hears \[clips, 300, 128\]"):
        model(clips(1), adapters=["crop300"])


def test_the_active_adapter_is_saved(folders: dict[str, Path], tmp_path: Path) -> None:
    model = together(folders)
    for name in NAMES:
        model.set_adapter(name)
        model.save_adapter(tmp_path / name)
        for file in folders[name].iterdir():
            assert (tmp_path / name / file.name).read_bytes() == file.read_bytes()


def test_an_adapter_is_removed_with_all_it_had(folders: dict[str, Path]) -> None:
    model = together(folders, ["conformer", "lora"])
    head = weakref.ref(model.get_adapter("lora").classification_head.weight)
    with pytest.raises(UserError, match="'conformer' is active: make another one active first"):
        model.remove_adapter("conformer")
    model.remove_adapter("lora")
    assert model.adapters == ["conformer"]
    assert head() is None
    model.add_adapter("lora", folders["linear"])
    assert model.get_adapter("lora").settings["method"] == "linear"


def test_a_position_table_goes_with_the_last_adapter_that_has_it(tmp_path: Path) -> None:
    model = load_adapter(save(tmp_path / "first", 1, method="linear"))
    for seed, name in enumerate(("one", "other")):
        model.add_adapter(name, save(tmp_path / name, seed, method="linear", max_length=300))
    table = weakref.ref(model.get_adapter("one").backbone.embeddings.position_embeddings)
    model.remove_adapter("one")
    gc.collect()
    assert table() is model.get_adapter("other").backbone.embeddings.position_embeddings
    model.remove_adapter("other")
    gc.collect()
    assert table() is None
    model.add_adapter("one", tmp_path / "one")
    x = clips(1, 300)
    assert torch.equal(model.get_adapter("one")(x), load_adapter(tmp_path / "one")(x))


def test_what_is_set_on_the_model_stays_with_the_adapter(folders: dict[str, Path]) -> None:
    model = together(folders, ["conformer", "lora"])
    model.metadata = {"labels": ["a", "b", "c"]}
    model.set_adapter("lora")
    assert model.labels != ["a", "b", "c"]
    assert model.get_adapter("conformer").labels == ["a", "b", "c"]
    model.set_adapter("conformer")
    assert model.labels == ["a", "b", "c"]
    single = model.get_adapter("conformer")
    for attribute in vars(single).keys() - vars(nn.Module()).keys():
        assert getattr(model, attribute) is getattr(single, attribute), attribute


def test_another_precision_reaches_all_and_the_weights_stay_shared(folders: dict[str, Path]) -> None:
    names = ["conformer", "lora", "prompt", "zeros"]
    model = together(folders, names[:2]).double()
    for name in names[2:]:
        model.add_adapter(name, folders[name])
    frozen = {model.get_adapter(n).backbone.layers[0].mlp.frozen.fc1.weight.data_ptr() for n in names[:1]}
    frozen |= {model.get_adapter(n).backbone.layers[0].mlp.fc1.weight.data_ptr() for n in names[1:]}
    assert len(frozen) == 1
    x = clips(4).double()
    expected = [model.get_adapter(name)(clip[None])[0] for name, clip in zip(names, x, strict=True)]
    assert {logits.dtype for logits in expected} == {torch.float64}
    assert_same(model(x, adapters=names), expected)


def test_a_copy_is_a_model_of_its_own(folders: dict[str, Path]) -> None:
    model = together(folders, ["conformer", "lora"])
    other = copy.deepcopy(model)
    other.add_adapter("prompt", folders["prompt"])
    assert model.adapters == ["conformer", "lora"]
    assert not tensors(model, model.get_adapter("lora")).keys() & tensors(other).keys()
    assert_same(
        other(clips(2), adapters=["lora", "conformer"]), model(clips(2), adapters=["lora", "conformer"])
    )


def test_a_backbone_in_memory_stays_as_it_is(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ast = load_backbone(BACKBONE)
    before = {name: tensor.clone() for name, tensor in ast.state_dict().items()}
    one = load_adapter(folders["full_ft"], backbone=ast)
    with monkeypatch.context() as patch:
        patch.setattr(shared_backbone, "fingerprint", None)  # it is known by now
        two = load_adapter(folders["conformer"], backbone=ast)
    for name, model in (("full_ft", one), ("conformer", two)):
        assert torch.equal(model(clips(1)), load_adapter(folders[name])(clips(1)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in ast.state_dict().items())
    assert all(parameter.requires_grad for parameter in ast.parameters())
    shared = ast.layers[0].attention.q_proj.weight
    assert two.backbone.layers[0].attention.q_proj.weight.data_ptr() == shared.data_ptr()
    two.double()
    assert one(clips(1)).dtype == torch.float32
    with pytest.raises(UserError, match=r"adapted already\. Give one that was not"):
        load_adapter(folders["conformer"], backbone=two.backbone)
    with torch.no_grad():
        shared += 1e-3
    with pytest.raises(UserError, match="other weights"):
        load_adapter(folders["conformer"], backbone=ast)


def test_an_adapter_of_another_backbone_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    ast = load_backbone(BACKBONE)
    with torch.no_grad():
        ast.layers[0].mlp.fc1.weight += 1e-3
    other = build_model(ast, 3, FRAMES, "linear")
    other.save_adapter(tmp_path / "other")
    model = together(folders, ["conformer"])
    with pytest.raises(UserError) as refused:
        model.add_adapter("other", tmp_path / "other")
    for part in (
        str(tmp_path / "other"),
        other.backbone_fingerprint,
        model.backbone_fingerprint,
        BACKBONE,
        "by itself, with load_adapter",
    ):
        assert part in str(refused.value)
    assert model.adapters == ["conformer"]


@pytest.mark.parametrize(
    ("adapters", "message"),
    [
        ("conformer", "adapters is 'conformer' for an input of"),
        (["conformer"], r"for an input of \[2, 128, 128\]; it must be a list with one name for each clip"),
        ([], "one name for each clip"),
        (["conformer", "birds"], "no adapter 'birds'; the adapters are: conformer, lora"),
        (["conformer", ["lora"]], r"no adapter \['lora'\]"),
    ],
)
def test_wrong_names_for_a_batch(folders: dict[str, Path], adapters: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        together(folders, ["conformer", "lora"])(clips(2), adapters=adapters)


@pytest.mark.parametrize("name", ["", "two\nlines", 1, None, ["lora"]])
def test_names_that_are_none(folders: dict[str, Path], name: Any) -> None:
    with pytest.raises(UserError, match="must be one line of text"):
        load_adapter(folders["linear"], name=name)
    model = load_adapter(folders["linear"])
    with pytest.raises(UserError, match="must be one line of text"):
        model.add_adapter(name, folders["lora"])
    for call in (model.set_adapter, model.get_adapter, model.remove_adapter):
        with pytest.raises(UserError, match="the adapters are: default"):
            call(name)
    assert model.adapters == ["default"]


def test_what_cannot_be_added_changes_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    model = together(folders, ["conformer", "lora"])
    with pytest.raises(UserError, match="an adapter 'lora' already: choose another name"):
        model.add_adapter("lora", folders["linear"])
    with pytest.raises(UserError, match="is no adapter folder"):
        model.add_adapter("birds", tmp_path)
    assert model.adapters == ["conformer", "lora"]
    assert model.active_adapter == "conformer"
