"""The methods "lora", as the paper ran it, and "peft", any LoRA of the peft library; both are put in by peft.

W x becomes W x + scaling * up(down(x)) (Hu et al., 2022), in the paper for the query and value projections.
Besides, the final LayerNorm trains.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transformers import ASTModel

from ..errors import UserError
from .method import Method, Trained, bottleneck_width, init_like_paper, parameters_of, register

if TYPE_CHECKING:
    from peft import LoraConfig  # where it is used it is imported late: peft takes a second to import

QUERY_AND_VALUE = ("q_proj", "v_proj")


@dataclass(frozen=True)
class LoraOptions:
    """Options of the method "lora"; the defaults are the paper's.

    Attributes:
        reduction_rate: Hidden size divided by this, rounded, is the rank.
        alpha: The update is scaled by alpha / reduction_rate (not, as elsewhere, by alpha / rank).
    """

    reduction_rate: int = 64
    alpha: float = 8.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.alpha):
            raise UserError(f"method_options.alpha is {self.alpha}; it must be a finite number.")


def install(backbone: ASTModel, options: LoraOptions) -> Trained:
    """Put rank-r updates beside the query and value projections, both factors drawn from N(0, 0.02).

    Raises:
        UserError: if the reduction rate leaves no rank.
    """
    from peft import LoraConfig

    rank = bottleneck_width(backbone.config.hidden_size, options.reduction_rate)
    alpha = rank * options.alpha / options.reduction_rate  # peft scales by alpha / rank
    trained = _inject(backbone, LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(QUERY_AND_VALUE)))  # type: ignore[arg-type]
    for module in trained.modules:
        init_like_paper(module)
    return trained


@dataclass(frozen=True)
class PeftOptions:
    """Options of the method "peft": those fields of peft's LoraConfig that are given, `target_modules` apart.

    Attributes:
        fields: Passed on to LoraConfig.
    """

    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: dict[str, Any]) -> PeftOptions:
        """Check the values against LoraConfig.

        Raises:
            UserError: for a field that LoraConfig has not or refuses, or one that would change the frozen
                backbone.
        """
        options = cls({"target_modules": list(QUERY_AND_VALUE), **values})
        for name, allowed in {
            "bias": ("none",),
            "modules_to_save": (None,),
            "init_lora_weights": STARTS,
        }.items():
            value = options.fields.get(name, allowed[0])
            if not any(type(value) is type(one) and value == one for one in allowed):
                raise UserError(
                    f"method_options.{name} is {value!r:.100}; here it must be one of {list(allowed)}, for "
                    "the backbone stays frozen."
                )
        plain = cls().config()
        for name, value in options.fields.items():
            if name not in FIELDS and getattr(plain, name, value) != value:
                raise UserError(
                    f"method_options.{name} is {value!r:.100}, which makes something else than LoRA in a "
                    f"frozen backbone. Of LoraConfig's fields this method takes: {', '.join(FIELDS)}."
                )
        for name in _patterns(options.fields):
            if not isinstance(name, str) or not _SIMPLE.fullmatch(name) or name.count("*") > MOST_STARS:
                raise UserError(
                    f"method_options of 'peft': {name!r:.100} names no modules: give names (in a list, if "
                    f"there are several), or patterns of letters, digits, . ^ $ \\ and up to {MOST_STARS} .*"
                )
        options.config()
        return options

    def config(self) -> LoraConfig:
        """The LoraConfig.

        Raises:
            UserError: if it refuses a field.
        """
        from peft import LoraConfig

        try:
            return LoraConfig(**self.fields)
        except Exception as error:  # whatever it makes of values that it does not check
            raise UserError(f"method_options of 'peft': peft's LoraConfig says: {error}") from error


# Ways to begin that leave the backbone's weights as they are; the others of peft subtract from them.
STARTS = (True, False, "gaussian")
# Fields that make a LoRA of another form or place; peft_type and the like would make it another method.
FIELDS = (
    *("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "fan_in_fan_out", "bias"),
    *("use_rslora", "use_dora", "modules_to_save", "init_lora_weights", "layers_to_transform"),
    *("layers_pattern", "rank_pattern", "alpha_pattern", "lora_bias"),
)
# peft takes such values for regular expressions, and of those some are never done with a name.
_SIMPLE = re.compile(r"(?:[\w.^$\\-]|(?<=\.)\*){1,200}")
MOST_STARS = 3


def _patterns(fields: dict[str, Any]) -> list[Any]:
    patterns: list[Any] = []
    for name in ("target_modules", "exclude_modules", "layers_pattern", "rank_pattern", "alpha_pattern"):
        value = fields.get(name)
        patterns += (
            list(value) if isinstance(value, list | tuple | set | dict) else [value] * (value is not None)
        )
    return patterns


def install_peft(backbone: ASTModel, options: PeftOptions) -> Trained:
    """Put in whatever the LoraConfig says.

    Raises:
        UserError: if peft finds no module to adapt, or refuses.
    """
    try:
        return _inject(backbone, options.config())
    except Exception as error:  # peft looks at most values only when it uses them
        reason = str(error) or type(error).__name__
        raise UserError(f"method_options of 'peft': {reason}") from error


def _inject(backbone: ASTModel, config: LoraConfig) -> Trained:
    """Let peft change the backbone; what is new then is what trains, besides the final LayerNorm."""
    from peft import inject_adapter_in_model

    old = {id(part) for part in (*backbone.modules(), *backbone.parameters())}
    inject_adapter_in_model(config, backbone)
    parameters = [parameter for parameter in backbone.parameters() if id(parameter) not in old]
    # Not peft's wrappers, which hold the frozen projections too, but what they own: factors and dropout.
    owned = [m for m in backbone.modules() if id(m) not in old and not any(True for _ in m.children())]
    return Trained({"method": parameters, "layernorm": parameters_of(backbone.layernorm)}, modules=owned)


register(
    "lora",
    Method(
        LoraOptions,
        install,
        reference_names=tuple(
            (
                rf"^layers\.(\d+)\.attention\.{ours}_proj\.lora_{factor}\.default\.",
                rf"model.encoder.layer.\1.attention.attention.lora_{theirs}_{ours}.",
            )
            for ours in "qv"
            for factor, theirs in (("A", "down"), ("B", "up"))
        ),
    ),
)
register("peft", Method(PeftOptions, install_peft, may_start_at_zero=True))
