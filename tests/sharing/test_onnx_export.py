"""ONNX files: every method's model, any batch, checked against PyTorch; and their quantised twins."""

from __future__ import annotations

import json
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


def saved(folder: Path, backbone: str, method: str = "linear", **options: Any) -> Path:
    """An adapter as if trained: what starts at zero, and so does nothing, is moved."""
    torch.manual_seed(0)
    model = build_model(backbone, len(LABELS), max_length=FRAMES, method=method, method_options=options)
    with torch.no_grad():
        for tensor in model.trained_state().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor), alpha=0.05)  # positive: a variance stays one
    model.save_adapter(folder, labels=LABELS, spectrogram=SPECTROGRAM)
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


def test_a_quantised_model_is_smaller_and_measured(tmp_path: Path) -> None:
    from petl_ast.sharing.onnx_export import export

    found = export(saved(tmp_path / "adapter", "ast-mini"), tmp_path / "model.onnx", int8=True)
    assert found.int8 is not None
    assert found.int8.size == (tmp_path / "model.int8.onnx").stat().st_size < found.size / 2
    assert 0 < found.int8.difference < 0.5
    assert 0.5 < found.int8.agreement <= 1
    assert all(time > 0 for time in found.int8.milliseconds)


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


def test_logits_that_differ_are_refused(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from petl_ast.sharing import onnx_export

    monkeypatch.setattr(onnx_export, "TOLERANCE", 0.0)
    monkeypatch.setattr(onnx_export, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(UserError, match="not written"):
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
