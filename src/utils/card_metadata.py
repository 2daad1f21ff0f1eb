"""What a model card says of an adapter in the hub's terms, and the names that its text uses too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from ..adapter_folder import local_backbone
from ..backbones import shipped
from ..config import RunConfig
from ..hub import is_hub_id
from ..text import shown
from .metrics import share_interval

UNKNOWN = "unknown"  # what the hub calls a licence that nobody has given
LIBRARY = "petl-ast"
TAGS = ["audio", "audio-spectrogram-transformer", "parameter-efficient-transfer-learning"]


@dataclass(frozen=True)
class Tested:
    """The test fold's clips, as what they are and as what they were taken for; and the run around them.

    Attributes:
        clips: How many there are.
        truth: The true class of each clip, where each has one.
        predicted: What it was taken for.
        config: The run's configuration.
        over_folds: Mean and interval of the accuracy over the run's folds, as in summary.json.
        folds: How many folds the run tested.
    """

    clips: int = 0
    truth: Sequence[str] = ()
    predicted: Sequence[str] = ()
    config: RunConfig | None = None
    over_folds: dict[str, Any] = field(default_factory=dict)
    folds: int = 0

    @property
    def hits(self) -> int:
        """How many clips were recognised."""
        return sum(a == b for a, b in zip(self.truth, self.predicted, strict=True))

    @property
    def interval(self) -> str:
        """Wilson's 95 % interval of the accuracy in words; empty where no clips are known."""
        if not self.truth:
            return ""
        low, high = share_interval(self.hits, len(self.truth))
        return f"95 % interval {low:.1%} to {high:.1%}"


def front_matter(config: dict[str, Any], tested: Tested, adapter: Path) -> str:
    """The YAML that the hub reads, without the lines around it, of the card of the folder `adapter`.

    A base model is named only where it is the hub's: a link to what is not there would help nobody.
    """
    from huggingface_hub import EvalResult, ModelCardData

    data, model, results = section(config, "data"), config["model"], []
    key, quantity = measure(config)
    value = number(section(config, "metrics").get(f"test_{key}"))
    if value is not None and data.get("root"):
        results.append(
            EvalResult(
                task_type="audio-classification",
                dataset_type=re.sub(r"[^a-z0-9]+", "-", data_name(config).lower()).strip("-") or "data",
                dataset_name=data_name(config),
                dataset_split=shown(f"fold {data.get('test')}"),
                metric_type=quantity.replace(" ", "_"),
                metric_value=value,
                metric_name=f"Test {quantity}{f', {tested.interval}' if tested.truth else ''}",
            )
        )
    card = ModelCardData(
        license=UNKNOWN,
        library_name=LIBRARY,
        pipeline_tag="audio-classification",
        base_model=model["backbone"] if is_on_hub(model.get("backbone"), adapter) else None,
        tags=[*TAGS, shown(model.get("method"))],
        metrics=[quantity.replace(" ", "_")],
        model_name=card_name(config),
        eval_results=results or None,
    )
    return card.to_yaml().strip()


def measure(config: dict[str, Any]) -> tuple[str, str]:
    """What an adapter is judged by: its name among the metrics, behind "test_", and in words."""
    return ("map", "mean average precision") if "thresholds" in config else ("accuracy", "accuracy")


def card_name(config: dict[str, Any]) -> str:
    """Data set, method and test fold: esc10-adapter-fold-1."""
    fold = section(config, "data").get("test")
    of_fold = f"-fold-{fold}" if fold is not None else ""
    return shown(f"{data_name(config)}-{config['model'].get('method')}{of_fold}")


def data_name(config: dict[str, Any]) -> str:
    """The last name of where the data set was, without a table's ending; and its subset."""
    data = section(config, "data")
    name = re.sub(r"(?<=.)\.csv\Z", "", last_name(data.get("root")), flags=re.IGNORECASE) or "data"
    return shown(f"{name}-esc10" if data.get("subset") == "esc10" and name != "esc10" else name)


def last_name(path: object) -> str:
    """The last name in a path of any system, empty if there is none; the rest is nobody else's business."""
    name = PureWindowsPath(str(path or "")).name
    return "" if name in ("..", "~") else name


def is_on_hub(backbone: object, adapter: Path) -> bool:
    """Whether the backbone of the adapter in a folder is known by its id: a local one of that name, which
    loading the adapter would take, comes first.
    """
    return isinstance(backbone, str) and is_hub_id(backbone) and local_backbone(backbone, adapter) is None


def is_local(backbone: object, adapter: Path) -> bool:
    """Whether somebody else has to be given the backbone of the adapter in a folder."""
    return not (is_on_hub(backbone, adapter) or shipped(str(backbone)))


def section(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of adapter_config.json; empty if it is none."""
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def number(value: object) -> float | None:
    """`value` if it is a number."""
    return float(value) if isinstance(value, int | float) else None
