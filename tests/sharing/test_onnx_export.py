"""ONNX files: every method's model, any batch, checked against PyTorch; and their quantised twins."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import run_command, run_python
from petl_ast import build_model, load_adapter
from petl_ast.errors import UserError

onnxruntime = pytest.importorskip("onnxruntime")

LABELS = ["rain", "Türklingel", 'a "quoted" one']
FRAMES = 64
SPECTROGRAM = {"sampling_rate": 16000, "num_mel_bins": 128, "max_length": FRAMES, "mean": -4.5, "std": 4.5}
PLACES = [(p, i) for p in ("pfeiffer", "houlsby") for i in ("parallel", "sequential")]
CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("adapter", {"block": block, "placement": p, "insertion": i, "reduction_rate": 6})
        for block in ("conformer", "bottleneck")
        for p, i in PLACES
    ),
    ("adapter", {"kernel_size": 7, "reduction_rate": 6, "residual": True}),
    *((method, {}) for method in ("linear", "full_ft", "bitfit")),
    ("lora", {"reduction_rate": 6}),
    ("peft", {"r": 4, "use_dora": True}),
    ("prefix_tuning", {"num_tokens": 6}),
    *(("prompt_tuning", {"num_tokens": 7, "deep": deep}) for deep in (False, True)),
    *(("dense_moa", {"reduction_rate": 12, "num_experts": 3, "location": at}) for at in ("ffn", "mhsa")),
    *(
        ("soft_moa", {"reduction_rate": 12, "num_experts": 3, "num_slots": 2, "normalize": n})
        for n in (False, True)
    ),
]


def saved(
    folder: Path, backbone: str, method: str = "linear", thresholds: list[float] | None = None, **options: Any
) -> Path:
    """An adapter as if trained: what starts at zero, and so does nothing, is moved."""
    torch.manual_seed(0)
    model = build_model(backbone, len(LABELS), max_length=FRAMES, method=method, method_options=options)
    with torch.no_grad():
        for tensor in model.trained_state().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor), alpha=0.05)  # positive: a variance stays one
    kept = {"thresholds": thresholds} if thresholds else {}
    model.save_adapter(folder, labels=LABELS, spectrogram=SPECTROGRAM, **kept)
    return folder


def clips(number: int) -> torch.Tensor:
    return torch.randn(number, FRAMES, 128, generator=torch.Generator().manual_seed(number + 10))


@pytest.mark.parametrize(("method", "options"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_every_method_exports_to_the_same_logits(
    method: str, options: dict[str, Any], backbone: str, tmp_path: Path
) -> None:
    from petl_ast.sharing.onnx_export import export

    adapter = saved(tmp_path / "adapter", backbone, method, **options)
    found = export(adapter, tmp_path / "model.onnx")
    assert found.difference <= 1e-4
    model = load_adapter(adapter)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for number in (1, 3):
        (logits,) = session.run(["logits"], {"spectrogram": clips(number).numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(logits, model(clips(number)).numpy(), atol=1e-4, rtol=0)


def test_the_file_alone_tells_labels_and_spectrogram(backbone: str, tmp_path: Path) -> None:
    """As a process that knows neither PyTorch nor this package."""
    words = [saved(tmp_path / "adapter", backbone), tmp_path / "model.onnx", "--int8=true"]
    done = run_command("export", *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in ("Checked with batches of 1 and 3", "procedural clips", "times as fast", "model.int8.onnx"):
        assert part in done.stdout
    script = """
import json, sys
import numpy, onnxruntime
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    x = numpy.zeros((2, 64, 128), numpy.float32)
    (logits,) = session.run(None, {"spectrogram": x})
    print(json.dumps([json.loads(told["labels"]), json.loads(told["spectrogram"]), logits.shape]))
assert "torch" not in sys.modules
"""
    alone = run_python("-c", script, tmp_path / "model.onnx", tmp_path / "model.int8.onnx")
    assert alone.returncode == 0, alone.stderr
    assert [json.loads(line) for line in alone.stdout.splitlines()] == [[LABELS, SPECTROGRAM, [2, 3]]] * 2


@pytest.mark.parametrize("thresholds", [None, [0.3, 0.5, 0.6]], ids=["one label", "several labels"])
def test_a_quantised_model_is_smaller_and_measured(thresholds: list[float] | None, tmp_path: Path) -> None:
    from petl_ast.sharing.onnx_export import export

    root = logging.getLogger()
    before = root.level, list(root.handlers)
    adapter = saved(tmp_path / "adapter", "ast-mini", thresholds=thresholds)
    found = export(adapter, tmp_path / "model.onnx", int8=True)
    assert (root.level, list(root.handlers)) == before
    assert found.int8 is not None
    assert found.int8.size == (tmp_path / "model.int8.onnx").stat().st_size < found.size / 2
    assert found.int8.several is (thresholds is not None)
    assert 0 < found.int8.difference < 0.03  # 0.008 was measured
    assert 0.95 < found.int8.agreement < 1  # 0.988 and 0.992
    assert all(time > 0 for time in found.int8.milliseconds)


def test_a_class_that_is_affirmed_otherwise_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two clips and three classes, the second clip's second one; its first class stays the likeliest."""
    from petl_ast.config import SpectrogramConfig
    from petl_ast.sharing import quantised
    from petl_ast.sharing.onnx_export import onnx_bytes

    answers = iter(
        np.array(logits, np.float32)
        for logits in ([[2.0, 1.0, -1.0], [3.0, 0.1, -1.0]], [[2.0, 1.0, -1.0], [3.0, -0.1, -1.0]])
    )
    monkeypatch.setattr(quantised, "_clips", lambda _: clips(2).numpy())
    monkeypatch.setattr(quantised, "_times", lambda *_: (1.0, 1.0))
    monkeypatch.setattr(quantised, "run", lambda *_: next(answers))
    loaded = load_adapter(saved(tmp_path / "adapter", "ast-mini"))
    content = onnx_bytes(loaded.get_adapter(loaded.active_adapter), {})
    found = quantised.quantise(content, tmp_path / "small.onnx", SpectrogramConfig(), [0.5, 0.5, 0.5])
    assert found.agreement == pytest.approx(5 / 6)
    assert found.difference == pytest.approx(1 / (1 + np.exp(-0.1)) - 1 / (1 + np.exp(0.1)), abs=1e-6)


def test_the_command_line_tells_yes_and_no_of_several_labels(tmp_path: Path) -> None:
    adapter = saved(tmp_path / "adapter", "ast-mini", thresholds=[0.3, 0.5, 0.6])
    done = run_command("export", adapter, tmp_path / "model.onnx", "--int8=true")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert re.search(
        r"Its yes or no is float32's for \d+\.\d% of the classes of 169 procedural clips;", done.stdout
    )
    assert "names float32's class" not in done.stdout


def test_files_in_the_way_and_wrong_names_are_refused_first(backbone: str, tmp_path: Path) -> None:
    from petl_ast.sharing.onnx_export import export

    adapter, path = saved(tmp_path / "adapter", backbone), tmp_path / "model.onnx"
    (tmp_path / "model.int8.onnx").write_text("mine")
    with pytest.raises(UserError, match=r"model\.int8\.onnx is there already.*--overwrite"):
        export(adapter, path, int8=True)
    with pytest.raises(UserError, match=r"ends with \.onnx"):
        export(adapter, tmp_path / "model.pb")
    assert not path.exists()
    export(adapter, path)
    first = path.read_bytes()
    export(adapter, path, overwrite=True)
    assert path.read_bytes() == first


@pytest.mark.parametrize(("bias", "told"), [(2e-4, "by 0.0002, more than 0.0001"), (float("nan"), "by nan")])
def test_logits_that_differ_are_refused(
    bias: float, told: str, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime whose logits are all too large by as much."""
    from petl_ast.sharing import onnx_export

    right = onnx_export.run
    monkeypatch.setattr(onnx_export, "run", lambda *given: right(*given) + np.float32(bias))
    with pytest.raises(UserError, match=f"{told}.*not written"):
        onnx_export.export(saved(tmp_path / "adapter", backbone), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_without_the_packages_the_verb_says_how_to_get_them(backbone: str, tmp_path: Path) -> None:
    words = ["export", str(saved(tmp_path / "adapter", backbone)), str(tmp_path / "model.onnx")]
    script = f"""
import importlib.util as util, sys
find = util.find_spec
util.find_spec = lambda name, *rest: None if name.startswith("onnx") else find(name, *rest)
from petl_ast.cli import main
sys.exit(main({words!r}))
"""
    done = run_python("-c", script)
    assert done.returncode == 2
    assert 'pip install "petl-ast[export]"' in done.stderr and "Traceback" not in done.stderr
