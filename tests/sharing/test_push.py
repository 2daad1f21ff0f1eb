"""What `push` puts onto the hub and what it leaves there, in this process; test_hub.py has the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hub_stand_in import TOKEN, Hub, running
from huggingface_hub import constants
from huggingface_hub.utils.tqdm import are_progress_bars_disabled

from petl_ast import build_model
from petl_ast.errors import UserError
from petl_ast.sharing.push import push


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub for this very process, which is logged in there and keeps its cache to itself."""
    with running() as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        yield hub


def test_names_of_classes_stay_as_they_are_and_only_last_names_of_places_go_up(
    here: Hub, backbone: str, tmp_path: Path
) -> None:
    names = ["C:maj", "/a/", "~hum"]
    model = build_model(backbone, 3, max_length=48, method="linear")
    model.settings["backbone"] = "../../clients/ACME/ast"
    model.save_adapter(tmp_path / "adapter", labels=names, data={"root": "../../clients/ACME/rec"})
    push(tmp_path / "adapter", "ann/names")
    files = here.files("ann/names")
    config = json.loads(files["adapter_config.json"])
    assert config["labels"] == names
    assert (config["data"]["root"], config["model"]["backbone"]) == ("rec", "ast")
    assert b"ACME" not in b"".join(files.values())
    own = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    own["data"]["root"], own["model"]["backbone"] = "rec", "ast"
    assert own == config


def test_a_local_backbone_is_one_from_wherever_it_is_pushed(
    here: Hub, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(backbone, tmp_path / "project" / "models" / "ast")
    monkeypatch.chdir(tmp_path / "project")
    adapter = tmp_path / "project" / "outputs" / "adapter"
    build_model("models/ast", 2, max_length=48, method="linear").save_adapter(adapter)
    for number, place in enumerate((tmp_path / "project", tmp_path)):
        monkeypatch.chdir(place)
        pushed = push(adapter, f"ann/local{number}")
        assert any("--backbone" in note for note in pushed.notes)
        files = here.files(f"ann/local{number}")
        assert json.loads(files["adapter_config.json"])["model"]["backbone"] == "ast"
        assert "base_model" not in files["README.md"].decode() and b"--backbone" in files["README.md"]


def test_another_licence_replaces_all_of_the_old_one(here: Hub, backbone: str, tmp_path: Path) -> None:
    build_model(backbone, 2, max_length=48, method="linear").save_adapter(tmp_path)
    card = "---\ntags:\n- hum\nlicense:\n- mit\n- other\nlicense_name: mine\nlicense_link: x\n---\n# Mine\n"
    (tmp_path / "README.md").write_text(card)
    push(tmp_path, "ann/licence", licence="cc-by-4.0")
    _, header, text = here.files("ann/licence")["README.md"].decode().split("---\n")
    assert yaml.safe_load(header) == {"license": "cc-by-4.0", "tags": ["hum"]}
    assert text == "# Mine\n" and (tmp_path / "README.md").read_text() == card
    (tmp_path / "README.md").write_text("No header.\n")
    push(tmp_path, "ann/bare", licence="mit")
    assert here.files("ann/bare")["README.md"] == b"---\nlicense: mit\n---\nNo header.\n"
    (tmp_path / "README.md").write_text("---\n- a list\n---\n")
    with pytest.raises(UserError, match=r"README\.md does not begin with metadata"):
        push(tmp_path, "ann/list", licence="mit")


def test_the_hubs_card_is_replaced_only_if_asked(here: Hub, backbone: str, tmp_path: Path) -> None:

    model = build_model(backbone, 2, max_length=48, method="linear")
    model.save_adapter(tmp_path, labels=["a", "b"])
    push(tmp_path, "ann/again")
    assert not any("--overwrite" in note for note in push(tmp_path, "ann/again").notes)
    here.commit("ann/again", {"README.md": b"Written on the hub."})
    model.save_adapter(tmp_path, labels=["a", "c"])
    kept = push(tmp_path, "ann/again", licence="mit")
    assert any("README.md" in note and "--overwrite" in note for note in kept.notes)
    files = here.files("ann/again")
    assert files["README.md"] == b"Written on the hub."
    assert json.loads(files["adapter_config.json"])["labels"] == ["a", "c"]
    assert not any("--overwrite" in n for n in push(tmp_path, "ann/again", None, "mit", overwrite=True).notes)
    assert b"license: mit" in here.files("ann/again")["README.md"]
    assert not are_progress_bars_disabled()


@pytest.mark.parametrize(
    ("repository", "options", "told"),
    [
        ("noname", {}, "USER/NAME"),
        ("a/b/c", {}, "USER/NAME"),
        ("ann/x", {"licence": "My own!"}, "apache-2.0"),
    ],
)
def test_what_cannot_be_pushed(
    repository: str, options: dict[str, str], told: str, finished_run: Path
) -> None:
    with pytest.raises(UserError, match=told):
        push(finished_run / "fold_1" / "last", repository, **options)


def test_a_damaged_adapter_is_not_pushed(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run / "fold_1" / "last", tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(UserError, match="damaged"):
        push(tmp_path / "adapter", "ann/x")
