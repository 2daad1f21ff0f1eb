"""Adapters on the hub: pushed, loaded by their id, and every refusal in one clear message."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hub_stand_in import TOKEN, Hub, running

from conftest import GOLDEN, REPOSITORY
from petl_ast import build_model, load_adapter
from petl_ast.errors import UserError
from petl_ast.hub import is_hub_id

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
FILES = {*ADAPTER_FILES, "README.md", "confusion_matrix.png"}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running() as server:
        yield server


def petl_ast(
    *words: object, home: Path, address: str, token: str | None = TOKEN, **more: str
) -> subprocess.CompletedProcess[str]:
    """`petl-ast` as a process whose hub is at `address`, and which keeps its cache and token in `home`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), **more}
    environment |= {"HF_TOKEN": token} if token else {}
    return subprocess.run(
        [sys.executable, "-m", "petl_ast", *map(str, words)],
        cwd=home.parent,
        env={**environment, "PYTHONPATH": os.environ.get("PYTHONPATH", str(REPOSITORY / "pkg"))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def pushed(hub: Hub, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An adapter of the finished run on the hub."""
    home = tmp_path_factory.mktemp("pusher") / "hf"
    words = ["push", finished_run / "fold_1" / "last", "ann/tones", "--licence", "cc-by-4.0"]
    done = petl_ast(*words, home=home, address=hub.address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{hub.address}/ann/tones"
    assert "--backbone" in done.stdout  # the tiny backbone is a local folder
    return "ann/tones"


@pytest.fixture
def clip(shared_miniature: Path) -> Path:
    return sorted((shared_miniature / "audio").glob("1-*.wav"))[0]


def test_what_is_pushed_is_the_adapter_its_card_and_its_picture(
    hub: Hub, pushed: str, finished_run: Path
) -> None:
    files, folder = hub.files(pushed), finished_run / "fold_1" / "last"
    assert files.keys() == FILES
    for name in ("adapter_model.safetensors", "confusion_matrix.png"):
        assert files[name] == (folder / name).read_bytes()
    header = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    local = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert local["license"] == "unknown"  # the folder stays as it was
    assert {**local, "license": "cc-by-4.0"} == header


def test_paths_of_the_machine_stay_there(hub: Hub, pushed: str, finished_run: Path) -> None:
    config = json.loads(hub.files(pushed)["adapter_config.json"])
    own = json.loads((finished_run / "fold_1" / "last" / "adapter_config.json").read_text())
    assert own["data"]["root"] == str(Path(own["data"]["root"]).absolute())
    assert config["data"]["root"] == Path(own["data"]["root"]).name
    assert config["model"]["backbone"] == "backbone"
    for name in ("adapter_config.json", "README.md"):
        assert str(Path(own["data"]["root"]).parent).encode() not in hub.files(pushed)[name]


def test_a_pushed_adapter_predicts_as_the_folder_does(
    hub: Hub, pushed: str, finished_run: Path, clip: Path, tmp_path: Path
) -> None:
    more = [clip, "--json", "--device=cpu"]
    here = petl_ast(
        "predict", finished_run / "fold_1" / "last", *more, home=tmp_path / "a", address=hub.address
    )
    hub.asked.clear()
    options = [*more, f"--backbone={GOLDEN / 'backbone'}"]
    there = petl_ast("predict", pushed, *options, home=tmp_path / "b", address=hub.address, token=None)
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout != ""
    assert set(hub.asked) == set(ADAPTER_FILES)
    offline = petl_ast(
        *("predict", pushed, *options), home=tmp_path / "b", address="http://127.0.0.1:9", HF_HUB_OFFLINE="1"
    )
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == here.stdout
    without = petl_ast("predict", pushed, *more, home=tmp_path / "b", address=hub.address)
    assert without.returncode == 2
    assert "'backbone'" in without.stderr and "--backbone" in without.stderr


def test_evaluate_takes_an_id(hub: Hub, pushed: str, shared_miniature: Path, tmp_path: Path) -> None:
    options = [f"--data_root={shared_miniature}", f"--backbone={GOLDEN / 'backbone'}", "--device=cpu"]
    done = petl_ast("evaluate", pushed, *options, home=tmp_path / "hf", address=hub.address)
    assert done.returncode == 0, done.stderr
    assert "the same." in done.stdout and "NOT the same" not in done.stdout


def test_a_shipped_backbone_needs_the_id_alone_and_is_checked(hub: Hub, clip: Path, tmp_path: Path) -> None:
    spectrogram = {"sampling_rate": 16000, "num_mel_bins": 128, "max_length": 48, "mean": 0.0, "std": 1.0}
    build_model("ast-mini", 2, max_length=48, method="linear").save_adapter(
        tmp_path / "adapter", labels=["a", "b"], spectrogram=spectrogram
    )
    home, words = tmp_path / "hf", [clip, "--json", "--device=cpu"]
    done = petl_ast(
        "push", tmp_path / "adapter", "ann/mini", "--private=true", home=home, address=hub.address
    )
    assert done.returncode == 0, done.stderr
    assert "--licence" in done.stdout and "ann/mini" in hub.private
    assert petl_ast("predict", "ann/mini", *words, home=home, address=hub.address).returncode == 0
    stranger = petl_ast("predict", "ann/mini", *words, home=tmp_path / "x", address=hub.address, token=None)
    assert stranger.returncode == 2 and "private" in stranger.stderr and "HF_TOKEN" in stranger.stderr
    files = dict(hub.files("ann/mini"))
    config = json.loads(files["adapter_config.json"])
    config["model"]["backbone_fingerprint"] = "0" * 16
    first = hub.commits["ann/mini"][-1][0]
    hub.commit("ann/mini", {"adapter_config.json": json.dumps(config).encode()})
    wrong = petl_ast("predict", "ann/mini", *words, home=home, address=hub.address)
    assert wrong.returncode == 2 and "fingerprint" in wrong.stderr
    assert petl_ast("predict", f"ann/mini@{first}", *words, home=home, address=hub.address).returncode == 0


@pytest.mark.parametrize(
    ("adapter", "told"),
    [
        ("ann/nothing", ["no folder here", "no repository ann/nothing", "HF_TOKEN"]),
        ("ann/empty", ["holds no adapter", "adapter_model.safetensors"]),
        ("ann/empty@gone", ["no such revision"]),
        ("a/b/c", ["no adapter folder, nor an id on the hub, USER/NAME", "fold_N/last"]),
    ],
)
def test_what_is_no_adapter_is_told(
    adapter: str, told: list[str], hub: Hub, clip: Path, tmp_path: Path
) -> None:
    if "ann/empty" not in hub.commits:
        hub.commit("ann/empty", {"README.md": b"nothing"})
    done = petl_ast("predict", adapter, clip, home=tmp_path / "hf", address=hub.address)
    assert done.returncode == 2
    assert all(part in done.stderr for part in told), done.stderr
    assert "Traceback" not in done.stderr


def test_below_a_folder_that_is_here_nothing_is_looked_for_on_the_hub(
    hub: Hub, pushed: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "ann").mkdir()
    hub.asked.clear()
    done = petl_ast("predict", pushed, clip, home=tmp_path / "hf", address=hub.address)
    assert done.returncode == 2 and hub.asked == []
    assert "not looked for on the hub, for there is a folder ann here" in done.stderr
    assert "nor an id" not in done.stderr
    push = petl_ast("push", "ann/tones", "ann/x", home=tmp_path / "hf", address=hub.address)
    assert push.returncode == 2 and "ann/tones is no adapter folder, for it does not hold" in push.stderr
    assert "hub" not in push.stderr  # of what is pushed, only a folder can be given


def test_no_network_is_told(clip: Path, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"  # the port of a service that throws everything away, and that nobody runs
    for more, told in (({}, "does not answer"), ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set")):
        done = petl_ast("predict", "ann/tones", clip, home=tmp_path / "hf", address=nobody, **more)
        assert done.returncode == 2
        assert told in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_refused_pushes(hub: Hub, finished_run: Path, tmp_path: Path) -> None:
    adapter, home = finished_run / "fold_1" / "last", tmp_path / "hf"
    nobody = petl_ast("push", adapter, "ann/x", home=home, address=hub.address, token=None)
    assert nobody.returncode == 2 and "hf auth login" in nobody.stderr
    stranger = petl_ast("push", adapter, "ann/x", home=home, address=hub.address, token="hf_other")
    assert stranger.returncode == 2 and "HF_TOKEN" in stranger.stderr and "Traceback" not in stranger.stderr
    away = petl_ast("push", adapter, "ann/x", home=home, address="http://127.0.0.1:9")
    assert away.returncode == 2 and "reachable?" in away.stderr and "Traceback" not in away.stderr
    assert "ann/x" not in hub.commits


def test_a_folder_comes_before_an_id(backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_model(backbone, 2, max_length=48, method="linear").save_adapter("ann/tones")
    assert load_adapter("ann/tones")(torch.zeros(1, 48, 128)).shape == (1, 2)


def test_a_backbone_that_is_not_there_is_told(backbone: str, tmp_path: Path) -> None:
    shutil.copytree(backbone, tmp_path / "moved")
    model = build_model(tmp_path / "moved", 2, max_length=48, method="linear")
    model.save_adapter(tmp_path / "adapter")
    shutil.rmtree(tmp_path / "moved")
    with pytest.raises(UserError, match=r"moved'.*--backbone"):
        load_adapter(tmp_path / "adapter")
    assert load_adapter(tmp_path / "adapter", backbone=backbone).settings["num_classes"] == 2


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        *(("ann/tones", True), ("MIT/ast-finetuned-audioset-10-10-0.4593", True), ("a_b/c.d", True)),
        *(
            ("ann", False),
            ("a/b/c", False),
            ("/a/b", False),
            ("./a", False),
            ("../a", False),
            ("a/..", False),
        ),
        *(("a/b--c", False), ("a b/c", False), ("~/a", False), ("", False), ("a/b.git", False)),
    ],
)
def test_ids(text: str, is_one: bool) -> None:
    assert is_hub_id(text) is is_one
