"""What a number in a configuration may be, told with its name where it is not."""

from __future__ import annotations

import math
from typing import Any

from .errors import UserError


def at_least(section: str, config: Any, **minima: float) -> None:
    """See that the named attributes are finite and at least so large.

    Raises:
        UserError: naming section, attribute and value.
    """
    for name, minimum in minima.items():
        value = getattr(config, name)
        if not (_is_finite(value) and value >= minimum):
            raise UserError(f"{section}.{name} is {value}; it must be at least {minimum}.")


def at_most(section: str, config: Any, why: str, **maxima: float) -> None:
    """See that the named attributes are no larger than so much.

    Raises:
        UserError: naming section, attribute and value, and `why` there is a limit.
    """
    for name, maximum in maxima.items():
        if (value := getattr(config, name)) > maximum:
            raise UserError(f"{section}.{name} is {value}; it must be at most {maximum:,} ({why}).")


def above_zero(section: str, config: Any, *names: str) -> None:
    """See that the named attributes are finite and above 0.

    Raises:
        UserError: naming section, attribute and value.
    """
    for name in names:
        value = getattr(config, name)
        if not (_is_finite(value) and value > 0):
            raise UserError(f"{section}.{name} is {value}; it must be above 0.")


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # a whole number may be too large for math
