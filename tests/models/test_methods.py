"""One suite of guarantees, run for every method."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ASTConfig, ASTModel

from petl_ast import build_model, load_adapter
from petl_ast.errors import UserError
from petl_ast.models import method as registry
from petl_ast.models.ast_with_adapter import ASTWithAdapter, Probe
from petl_ast.models.backbone import load_backbone
from petl_ast.models.insertion import adapt_ffn
from petl_ast.models.method import Method, Trained, parameters_of, register
from petl_ast.models.reference import reference_name

D, LAYERS, CLASSES, FRAMES = 48, 3, 5, 128  # the tiny backbone, FFN 96, and what is built on it
HEAD = CLASSES * D + CLASSES
LAYERNORM = 2 * D


@dataclass(frozen=True)
class Case:
    """A method with options, its number of trained parameters without the head, and its learning rate."""

    method: str
    options: dict[str, Any]
    trained: int
    never_moves: str = "$."  # a pattern of trained tensors that get no gradient

    def __str__(self) -> str:
        options = "-".join(str(value) for value in self.options.values())
        return f"{self.method}-{options}" if options else self.method


def conformer(r: int, k: int) -> int:
    return LAYERNORM + 2 * r * D + 2 * r + r * k + r + 2 * r + D * r + D


def bottleneck(r: int) -> int:
    return 2 * r * D + r + D


BACKBONE = 76_320 + 96  # all weights at 128 frames: 2 + 12 * 12 tokens in the position table
LINEAR_BIASES = LAYERS * (4 * D + 96 + D)
DEAD = r"\.lnorm\."
CASES = [
    Case(
        "adapter", {"reduction_rate": 6}, LAYERS * (conformer(8, 8) + LAYERNORM) + LAYERNORM, never_moves=DEAD
    ),
    Case(
        "adapter",
        {"placement": "houlsby", "insertion": "sequential", "residual": True, "reduction_rate": 6}
        | {"kernel_size": 31},
        LAYERS * (2 * conformer(8, 31) + 2 * LAYERNORM) + LAYERNORM,
        never_moves=DEAD,
    ),
    Case(
        "adapter",
        {"placement": "houlsby", "reduction_rate": 12},
        LAYERS * (2 * conformer(4, 8) + 2 * LAYERNORM) + LAYERNORM,
        never_moves=DEAD,
    ),
    Case(
        "adapter",
        {"block": "bottleneck", "reduction_rate": 6},
        LAYERS * (bottleneck(8) + LAYERNORM) + LAYERNORM,
    ),
    Case(
        "adapter",
        {"block": "bottleneck", "insertion": "sequential", "residual": True, "reduction_rate": 6},
        LAYERS * (bottleneck(8) + LAYERNORM) + LAYERNORM,
    ),
    Case("linear", {}, LAYERNORM),
    Case("full_ft", {}, BACKBONE),
    Case("bitfit", {}, LINEAR_BIASES + (2 * LAYERS + 1) * D),
    Case("lora", {"reduction_rate": 6, "alpha": 8}, LAYERS * 2 * 2 * 8 * D + LAYERNORM),
    Case("peft", {"r": 4, "lora_alpha": 8}, LAYERS * 2 * 2 * 4 * D + LAYERNORM),
    Case("peft", {"r": 4, "use_dora": True, "lora_dropout": 0.1}, LAYERS * 2 * (2 * 4 * D + D) + LAYERNORM),
    Case("prefix_tuning", {"num_tokens": 6}, LAYERS * 6 * D + LAYERNORM),
    Case("prompt_tuning", {"num_tokens": 7}, 7 * D + LAYERNORM),
    Case("prompt_tuning", {"num_tokens": 7, "deep": True}, LAYERS * 7 * D + LAYERNORM),
    Case(
        "dense_moa",
        {"reduction_rate": 12, "num_experts": 3},
        LAYERS * (3 * bottleneck(4) + 3 * D + 3 + LAYERNORM) + LAYERNORM,
    ),
    Case(
        "dense_moa",
        {"reduction_rate": 12, "num_experts": 3, "location": "mhsa"},
        LAYERS * (3 * bottleneck(4) + 3 * D + 3 + LAYERNORM) + LAYERNORM,
    ),
    Case(
        "soft_moa",
        {"reduction_rate": 12, "num_experts": 3, "num_slots": 2},
        LAYERS * (3 * bottleneck(4) + 6 * D + LAYERNORM) + LAYERNORM,
    ),
    Case(
        "soft_moa",
        {"reduction_rate": 12, "num_experts": 3, "num_slots": 2, "location": "mhsa", "normalize": True},
        LAYERS * (3 * bottleneck(4) + 6 * D + 1 + LAYERNORM) + LAYERNORM,
    ),
]
every_method = pytest.mark.parametrize("case", CASES, ids=str)


def build(case: Case, backbone: str, **more: Any) -> ASTWithAdapter:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"num_classes": CLASSES, "max_length": FRAMES}
    return build_model(backbone, method=case.method, method_options=case.options, **arguments | more)


def clips(number: int, frames: int = FRAMES) -> Tensor:
    return torch.randn(number, frames, 128, generator=torch.Generator().manual_seed(1))


def train(model: ASTWithAdapter, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=1e-3, weight_decay=0.1)
    x, y = clips(4), torch.arange(4)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


@every_method
def test_counts_are_the_closed_form(case: Case, backbone: str) -> None:
    model = build(case, backbone)
    counts = model.parameter_counts()
    assert counts["method"] + counts["layernorm"] == case.trained
    assert counts["head"] == HEAD
    assert counts["trainable"] == case.trained + HEAD == sum(p.numel() for p in model.trainable_parameters())
    assert counts["total"] == sum(p.numel() for p in model.parameters())


@every_method
def test_only_what_is_declared_moves_in_ten_steps(case: Case, backbone: str) -> None:
    model = build(case, backbone)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, 10)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    may_move = {name for name in model.trained_state() if not re.search(case.never_moves, name)}
    # A bias on all keys alike changes no attention: its gradient is rounding, or nothing.
    assert moved | {n for n in may_move if n.endswith("k_proj.bias")} == may_move
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (name in may_move), name


@every_method
def test_train_and_eval_touch_only_what_they_should(case: Case, backbone: str) -> None:
    model = build(case, backbone)
    frozen = [m for m in load_backbone(backbone).modules()]
    model.train()
    if case.method != "full_ft":
        assert not any(m.training for m in model.modules() if isinstance(m, type(frozen[1]) | ASTModel))
    assert model.classification_head.training
    model.eval()
    assert not any(module.training for module in model.modules())


@every_method
def test_saved_and_loaded_gives_the_same_logits(case: Case, backbone: str, tmp_path: Path) -> None:
    model = build(case, backbone)
    train(model, 3)
    model.eval().save_adapter(tmp_path)
    loaded = load_adapter(tmp_path)
    assert torch.equal(loaded(clips(2)), model(clips(2)))
    for name, tensor in model.trained_state().items():
        assert torch.equal(loaded.trained_state()[name], tensor), name
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["model"]["method"] == case.method


@every_method
def test_reference_names_there_and_back(case: Case, backbone: str) -> None:
    if case.method == "peft":
        pytest.skip("the reference code knows no peft")
    names = registry.get_method(case.method).reference_names
    model, other = build(case, backbone), build(case, backbone)
    train(model, 2)
    state = {
        reference_name(name, names): tensor.detach().clone() for name, tensor in model.state_dict().items()
    }
    assert len(state) == len(model.state_dict())
    aliases = {
        name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")
    }
    other.load_reference_state_dict({**aliases, **state})
    assert torch.equal(other.eval()(clips(2)), model.eval()(clips(2)))
    trained_alone = {reference_name(name, names) for name in model.trained_state()}
    third = build(case, backbone)
    third.load_reference_state_dict({name: state[name] for name in trained_alone})
    assert torch.equal(third(clips(2)), model(clips(2)))
    lost = sorted(trained_alone)[0]
    with pytest.raises(UserError, match=re.escape(f"missing: {lost}")):
        other.load_reference_state_dict({name: state[name] for name in trained_alone - {lost}})


@every_method
def test_works_under_autocast(case: Case, backbone: str) -> None:
    model = build(case, backbone)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.train()(clips(3))
    logits.float().sum().backward()
    plain = build(case, backbone)
    if "lora_dropout" not in case.options:
        torch.testing.assert_close(logits.float(), plain.train()(clips(3)), rtol=0.2, atol=0.1)


@every_method
@pytest.mark.parametrize("frames", [100, 500, 1200])
def test_every_length_works(case: Case, backbone: str, frames: int) -> None:
    model = build(case, backbone, max_length=frames)
    logits = model(clips(1, frames))
    assert logits.shape == (1, CLASSES)
    assert logits.isfinite().all()


@every_method
def test_compiled_model_agrees(case: Case, backbone: str) -> None:
    torch.compiler.reset()
    model = build(case, backbone)
    # "aot_eager" captures the whole graph, forward and backward, and runs it without a C++ compiler.
    compiled = torch.compile(model, backend="aot_eager")
    expected = model(clips(2))
    torch.testing.assert_close(compiled(clips(2)), expected, rtol=1e-4, atol=1e-5)
    compiled(clips(2)).sum().backward()


@every_method
def test_gradient_checkpointing_changes_no_number(case: Case, backbone: str) -> None:
    def train(checkpointing: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = build(case, backbone)
        if checkpointing:
            model.enable_gradient_checkpointing()
        optimizer = torch.optim.SGD(model.trainable_parameters(), lr=0.1)
        for _ in range(2):
            model.train()
            model(clips(2)).square().sum().backward()
            optimizer.step()
        return model.trained_state()

    plain, checkpointed = train(False), train(True)
    for name, tensor in plain.items():
        torch.testing.assert_close(checkpointed[name], tensor, rtol=1e-5, atol=1e-6)


@every_method
def test_fixed_features_are_found_and_lead_to_the_same_logits(case: Case, backbone: str) -> None:
    model = build(case, backbone)
    assert model.fixed_features == (case.method == "linear")
    with torch.no_grad():
        model.backbone.layernorm.weight.uniform_(0.5, 2)
        model.backbone.layernorm.bias.normal_()
        torch.testing.assert_close(
            Probe(model)(model.summary(clips(2))), model(clips(2)), rtol=1e-4, atol=1e-5
        )


@every_method
def test_a_lost_initialisation_is_refused(case: Case, backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.method in ("linear", "full_ft", "bitfit"):
        pytest.skip("puts no new weights in")
    method = registry.get_method(case.method)

    def damaged(value: float) -> Method:
        def install(ast: ASTModel, options: Any) -> Trained:
            trained = method.install(ast, options)
            matrix = next(p for p in trained.groups["method"] if p.ndim > 1)
            with torch.no_grad():
                matrix.fill_(value)
            return trained

        return Method(method.options, install, method.reference_names, method.may_start_at_zero)

    for value, problem in ((float("nan"), "not finite"), (1e30, "as large as 1e"), (0.0, "all zero")):
        if value == 0 and method.may_start_at_zero:
            continue
        monkeypatch.setitem(registry._METHODS, case.method, damaged(value))
        with pytest.raises(UserError, match=problem):
            build(case, backbone)


@dataclass(frozen=True)
class ScaleOptions:
    """Options of a method that is not of this package."""

    start: float = 0.5


class Scale(nn.Module):
    """One learned number per channel."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


@pytest.fixture
def scale_method() -> Iterator[None]:
    def install(ast: ASTModel, options: ScaleOptions) -> Trained:
        scales = [Scale(ast.config.hidden_size, options.start) for _ in ast.layers]
        for layer, scale in zip(ast.layers, scales, strict=True):
            adapt_ffn(layer, scale)
        return Trained({"method": parameters_of(*scales)}, modules=list(scales))

    register("scale", Method(ScaleOptions, install))
    yield
    del registry._METHODS["scale"]


@pytest.mark.usefixtures("scale_method")
def test_a_method_from_outside_works_like_the_others(backbone: str, tmp_path: Path) -> None:
    case = Case("scale", {"start": 0.25}, LAYERS * D)
    test_counts_are_the_closed_form(case, backbone)
    test_only_what_is_declared_moves_in_ten_steps(case, backbone)
    test_saved_and_loaded_gives_the_same_logits(case, backbone, tmp_path)
    with pytest.raises(ValueError, match="already"):
        register("scale", Method(ScaleOptions, lambda ast, options: Trained({})))
    with pytest.raises(UserError, match=r"method_options of 'scale'.*start"):
        build(Case("scale", {"start": "low"}, 0), backbone)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("linear", {"rank": 3}, "rank"),
        ("lora", {"reduction_rate": 97}, "reduction_rate is 97"),
        ("lora", {"reduction_rate": 0}, "reduction_rate is 0"),
        ("peft", {"rank": 3}, "rank"),
        ("peft", {"init_lora_weights": "pissa"}, "backbone stays frozen"),
        ("peft", {"bias": "all"}, "backbone stays frozen"),
        ("peft", {"target_modules": ["nothing"]}, "nothing"),
        ("prefix_tuning", {"num_tokens": 5}, "must be even"),
        ("prompt_tuning", {"num_tokens": 0}, "num_tokens is 0"),
        ("dense_moa", {"num_experts": 0}, "num_experts"),
        ("soft_moa", {"num_slots": 0}, "num_slots"),
        ("soft_moa", {"location": "head"}, "location"),
    ],
)
def test_wrong_options_are_named(backbone: str, method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(Case(method, options, 0), backbone)


# ---- each method's forward pass against the same layer written out by hand ----


def by_hand(model: ASTWithAdapter, x: Tensor, layer: Any) -> Tensor:
    """The whole model with an encoder layer of the test's own: layer(number, module, h) -> h."""
    backbone = model.backbone
    h = backbone.embeddings(x)
    for number, module in enumerate(backbone.layers):
        h = layer(number, module, h)
    return model.classification_head(backbone.layernorm(h).mean(dim=1))


def attend(attention: Any, y: Tensor, query: Any = None, value: Any = None, prefix: Any = None) -> Tensor:
    """Attention with its probabilities written out."""
    heads, (batch, tokens, width) = 3, y.shape
    q = (query or attention.q_proj)(y)
    k, v = attention.k_proj(y), (value or attention.v_proj)(y)
    if prefix is not None:
        k = torch.cat((k[:, :1], prefix.key_tokens.expand(batch, -1, -1), k[:, 1:]), dim=1)
        v = torch.cat((v[:, :1], prefix.value_tokens.expand(batch, -1, -1), v[:, 1:]), dim=1)

    def split(t: Tensor) -> Tensor:
        return t.view(batch, -1, heads, width // heads).transpose(1, 2)

    scores = split(q) @ split(k).transpose(2, 3) / (width // heads) ** 0.5
    return attention.o_proj((scores.softmax(dim=-1) @ split(v)).transpose(1, 2).reshape(batch, tokens, width))


def check(model: ASTWithAdapter, layer: Any) -> None:
    with torch.no_grad():
        difference = (model(clips(2)) - by_hand(model, clips(2), layer)).abs().max()
        assert difference <= 1e-6


@pytest.mark.parametrize("insertion", ["parallel", "sequential"])
@pytest.mark.parametrize("placement", ["pfeiffer", "houlsby"])
@pytest.mark.parametrize("residual", [False, True])
def test_adapter_placements(backbone: str, insertion: str, placement: str, residual: bool) -> None:
    options = {"insertion": insertion, "placement": placement, "residual": residual, "reduction_rate": 6}
    model = build(Case("adapter", options, 0), backbone)

    def layer(number: int, module: Any, h: Tensor) -> Tensor:
        y = module.layernorm_before(h)
        if placement == "pfeiffer":
            h = attend(module.attention, y) + h
        else:
            a, adapter = attend(module.attention.frozen, y), module.attention.adapter
            if insertion == "parallel":
                h = a + h + adapter(y) + (y if residual else 0)
            else:
                h = adapter(a) + h + (a if residual else 0)
        z = module.layernorm_after(h)
        f, adapter = module.mlp.frozen(z), module.mlp.adapter
        if insertion == "parallel":
            return f + h + adapter(z) + (z if residual else 0)
        return adapter(f) + h + (f if residual else 0)

    check(model, layer)


def test_bottleneck_block(backbone: str) -> None:
    model = build(Case("adapter", {"block": "bottleneck", "reduction_rate": 6}, 0), backbone)
    block = model.backbone.layers[0].mlp.adapter
    x = torch.randn(2, 4, D)
    down = x @ block.linear_downsample.weight.T + block.linear_downsample.bias
    up = F.gelu(down) @ block.linear_upsample.weight.T + block.linear_upsample.bias
    torch.testing.assert_close(block(x), up)
    for linear in (block.linear_downsample, block.linear_upsample):
        assert 0.015 < linear.weight.std() < 0.025
        assert not linear.bias.any()


def test_lora(backbone: str) -> None:
    model = build(Case("lora", {"reduction_rate": 6, "alpha": 8}, 0), backbone)

    def layer(number: int, module: Any, h: Tensor) -> Tensor:
        def updated(projection: Any) -> Any:
            down, up = projection.lora_A["default"].weight, projection.lora_B["default"].weight
            assert down.shape == (8, D)
            assert 0.015 < up.std() < 0.025, "the second factor is not zero in the paper's runs"
            return lambda y: projection.base_layer(y) + 8 / 6 * (y @ down.T @ up.T)

        attention = module.attention
        y = module.layernorm_before(h)
        h = attend(attention, y, updated(attention.q_proj), updated(attention.v_proj)) + h
        return module.mlp(module.layernorm_after(h)) + h

    check(model, layer)


def test_prefix_tuning(backbone: str) -> None:
    model = build(Case("prefix_tuning", {"num_tokens": 6}, 0), backbone)

    def layer(number: int, module: Any, h: Tensor) -> Tensor:
        h = attend(module.attention, module.layernorm_before(h), prefix=module.attention.prefix) + h
        return module.mlp(module.layernorm_after(h)) + h

    check(model, layer)
    tokens = torch.cat(
        [p.flatten() for layer in model.backbone.layers for p in parameters_of(layer.attention.prefix)]
    )
    limit = (6 / (3 * 16 * 16 + D)) ** 0.5
    assert 0.9 * limit < tokens.abs().max() <= limit


@pytest.mark.parametrize("deep", [False, True])
def test_prompt_tuning(backbone: str, deep: bool) -> None:
    model = build(Case("prompt_tuning", {"num_tokens": 7, "deep": deep}, 0), backbone)
    prompts = model.backbone.embeddings
    plain = prompts.frozen(clips(2))
    tokens = prompts(clips(2))
    assert torch.equal(tokens[:, :1], plain[:, :1]), "CLS"
    assert torch.equal(tokens[:, 1:8], prompts.prompt_embeddings.expand(2, -1, -1))
    assert torch.equal(tokens[:, 8:], plain[:, 2:]), (
        "the distillation token is gone, the patches are all there"
    )

    def layer(number: int, module: Any, h: Tensor) -> Tensor:
        if deep and number:
            module = module.frozen
            own = prompts.deep_prompt_embeddings[number - 1].expand(len(h), -1, -1)
            h = torch.cat((h[:, :1], own, h[:, 8:]), dim=1)
        h = attend(module.attention, module.layernorm_before(h)) + h
        return module.mlp(module.layernorm_after(h)) + h

    check(model, layer)


@pytest.mark.parametrize("location", ["mhsa", "ffn"])
@pytest.mark.parametrize("method", ["dense_moa", "soft_moa"])
def test_mixtures(backbone: str, method: str, location: str) -> None:
    options = {"reduction_rate": 12, "num_experts": 3, "location": location}
    model = build(Case(method, options | ({"num_slots": 2} if method == "soft_moa" else {}), 0), backbone)

    def dense(mixture: Any, x: Tensor) -> Tensor:
        weights = mixture.router(x).softmax(-1)
        return sum(weights[..., e : e + 1] * expert(x) for e, expert in enumerate(mixture.experts))

    def soft(mixture: Any, x: Tensor) -> Tensor:
        phi = mixture.slot_params.reshape(D, 6)  # slots of expert 0, then 1, ...
        logits = x @ phi
        slots = logits.softmax(dim=1).transpose(1, 2) @ x  # [B, 6, d]
        outputs = torch.cat([mixture.experts[s // 2](slots[:, s : s + 1]) for s in range(6)], dim=1)
        return logits.softmax(dim=2) @ outputs

    mix = dense if method == "dense_moa" else soft

    def layer(number: int, module: Any, h: Tensor) -> Tensor:
        module = module.frozen if location == "mhsa" else module
        y = module.layernorm_before(h)
        if location == "mhsa":
            mixed = mix(module.attention.adapter, y)
            h = attend(module.attention.frozen, y) + h + mixed
            return module.mlp(module.layernorm_after(h)) + h + mixed  # the second time: so does the reference
        h = attend(module.attention, y) + h
        z = module.layernorm_after(h)
        return module.mlp.frozen(z) + h + mix(module.mlp.adapter, z)

    check(model, layer)


def names_per_layer(*names: str) -> set[str]:
    return {f"model.encoder.layer.{i}.{name}" for i in range(LAYERS) for name in names}


def both(*names: str) -> list[str]:
    return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


BATCHNORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
CONFORMER = [
    *both("lnorm", "pwise_conv1", "dwise_conv", "pwise_conv2"),
    *(f"bnorm.{name}" for name in BATCHNORM),
]
EXPERTS = both(*(f"moa.moa.{e}.linear_{way}sample" for e in range(2) for way in ("down", "up")))
BACKBONE_LINEARS = (
    *(f"attention.attention.{name}" for name in ("query", "key", "value")),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)
FINAL = {"model.layernorm.weight", "model.layernorm.bias"}
REFERENCE_NAMES = [
    (
        Case("adapter", {"reduction_rate": 6}, 0),
        names_per_layer(*(f"adapter_module_FFN.{n}" for n in CONFORMER), *both("layernorm_after")) | FINAL,
    ),
    (
        Case("adapter", {"reduction_rate": 6, "block": "bottleneck", "placement": "houlsby"}, 0),
        names_per_layer(
            *both(
                *(f"adapter_module_{at}.linear_{w}sample" for at in ("FFN", "MHSA") for w in ("down", "up"))
            ),
            *both("layernorm_after", "layernorm_before"),
        )
        | FINAL,
    ),
    (Case("linear", {}, 0), FINAL),
    (
        Case("lora", {"reduction_rate": 6}, 0),
        names_per_layer(*(f"attention.attention.lora_{w}_{p}.weight" for w in ("down", "up") for p in "qv"))
        | FINAL,
    ),
    (
        Case("prefix_tuning", {}, 0),
        names_per_layer("attention.attention.key_tokens", "attention.attention.value_tokens") | FINAL,
    ),
    (
        Case("prompt_tuning", {"deep": True}, 0),
        {"prompt_embeddings", "deep_prompt_embeddings", "layernorm.weight", "layernorm.bias"},
    ),
    (Case("prompt_tuning", {}, 0), {"prompt_embeddings", "layernorm.weight", "layernorm.bias"}),
    (
        Case("dense_moa", {"reduction_rate": 12, "num_experts": 2, "location": "mhsa"}, 0),
        names_per_layer(*EXPERTS, *both("router.ff", "layernorm_before")) | FINAL,
    ),
    (
        Case("soft_moa", {"reduction_rate": 12, "num_experts": 2}, 0),
        names_per_layer(*EXPERTS, "moa.slot_params", *both("layernorm_after")) | FINAL,
    ),
    (
        Case("bitfit", {}, 0),
        names_per_layer(
            *(f"{name}.bias" for name in (*BACKBONE_LINEARS, "layernorm_before", "layernorm_after"))
        )
        | {"model.layernorm.bias"},
    ),
    (
        Case("full_ft", {}, 0),
        names_per_layer(*both(*BACKBONE_LINEARS, "layernorm_before", "layernorm_after"))
        | FINAL
        | {f"model.embeddings.{n}" for n in ("cls_token", "distillation_token", "position_embeddings")}
        | {f"model.embeddings.patch_embeddings.projection.{n}" for n in ("weight", "bias")},
    ),
]


@pytest.mark.parametrize(("case", "expected"), REFERENCE_NAMES, ids=lambda value: str(value)[:40])
def test_names_of_the_reference_code(case: Case, expected: set[str], backbone: str) -> None:
    names = registry.get_method(case.method).reference_names
    trained = build(case, backbone).trained_state()
    head = {"classification_head.weight", "classification_head.bias"}
    assert {reference_name(name, names) for name in trained} == expected | head


def test_head_starts_like_the_papers(backbone: str) -> None:
    head = build(CASES[0], backbone).classification_head
    bound = D**-0.5
    for tensor in (head.weight, head.bias):
        assert 0 < tensor.abs().max() <= bound
    assert head.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_normalised_soft_mixture(backbone: str) -> None:
    case = Case("soft_moa", {"reduction_rate": 12, "num_experts": 2, "normalize": True}, 0)
    mixture = build(case, backbone).backbone.layers[0].mlp.adapter
    with torch.no_grad():
        mixture.scale.fill_(3.0)
    raw = torch.randn(2, 5, D)
    x = raw / (raw.norm(dim=-1, keepdim=True) + 1e-6)
    phi = mixture.slot_params / (mixture.slot_params.norm(dim=1, keepdim=True) + 1e-6)  # over experts
    logits = x @ phi[..., 0] * 3.0
    slots = logits.softmax(dim=1).transpose(1, 2) @ x
    outputs = torch.cat([mixture.experts[e](slots[:, e : e + 1]) for e in range(2)], dim=1)
    torch.testing.assert_close(mixture(raw), logits.softmax(dim=2) @ outputs)


def test_linear_trains_nothing_before_the_final_layernorm(backbone: str) -> None:
    model = build(Case("linear", {}, 0), backbone)
    assert set(model.trained_state()) == {
        "backbone.layernorm.weight",
        "backbone.layernorm.bias",
        "classification_head.weight",
        "classification_head.bias",
    }


def test_bitfit_trains_biases_but_not_the_patch_convolutions(backbone: str) -> None:
    trained = set(build(Case("bitfit", {}, 0), backbone).trained_state()) - {"classification_head.weight"}
    assert all(name.endswith(".bias") for name in trained)
    assert not [name for name in trained if "patch_embeddings" in name]
    assert len(trained) == LAYERS * 8 + 1 + 1


def test_full_finetuning_follows_the_checkpoints_dropout() -> None:
    config = ASTConfig(hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    config.max_length, config.hidden_dropout_prob = 32, 0.5
    for method, differs in (("full_ft", True), ("adapter", False)):
        options = {"reduction_rate": 6} if method == "adapter" else {}
        model = build_model(ASTModel(config), 3, 32, method=method, method_options=options).train()
        x = clips(2, 32)
        assert torch.equal(model(x), model(x)) != differs


@pytest.mark.parametrize(
    ("method", "options", "trained"),
    [
        ("adapter", {}, 270_048),
        ("linear", {}, 1_536),
        ("full_ft", {}, 85_708_032),
        ("bitfit", {}, 102_144),
        ("lora", {}, 443_904),
        ("prefix_tuning", {}, 222_720),
        ("prompt_tuning", {}, 20_736),
        ("prompt_tuning", {"deep": True}, 231_936),
    ],
)
def test_counts_on_the_full_size_model(method: str, options: dict[str, Any], trained: int) -> None:
    with torch.device("meta"):
        ast = ASTModel(ASTConfig())
    ast.to_empty(device="cpu")
    for parameter in ast.parameters():
        nn.init.constant_(parameter, 0.01)
    counts = build_model(ast, num_classes=50, method=method, method_options=options).parameter_counts()
    assert counts["method"] + counts["layernorm"] == trained
