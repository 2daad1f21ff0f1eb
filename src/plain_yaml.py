"""Reading YAML from strangers: plain values only, of bounded size, before any other library sees the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .errors import UserError
from .text import shown

MOST_BYTES = 100_000  # a whole configuration has about 3,000
MOST_VALUES = 10_000  # aliases written out
MOST_DEPTH = 20
LARGEST_WHOLE = 2**63


def read_yaml(path: Path) -> Any:
    """The values in a YAML file.

    Raises:
        UserError: if it is too large, no UTF-8, no YAML of plain values, nested too deeply, writes a key
            twice, repeats values through aliases without bounds, or holds numbers beyond 64 bits.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UserError(f"{path} has {size:,} bytes; a configuration has {MOST_BYTES:,} at most.")
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        if node is None:
            return None
        _check_size(node)
        values = yaml.SafeLoader("").construct_document(node)  # type: ignore[no-untyped-call]
        _check_values(values)
        return values
    except RecursionError:
        reason = f"it is nested more than {MOST_DEPTH} levels deep"
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, OverflowError) as error:
        reason = str(error)
    except (TypeError, AttributeError, KeyError, IndexError) as error:  # from PyYAML, for some tags
        reason = f"a value does not fit its tag ({shown(error)})"
    raise UserError(f"{path} cannot be read as YAML in UTF-8 (see --help): {reason}")


def _check_size(root: yaml.Node) -> None:
    """Count what there would be with every alias written out, without writing it out."""
    counts: dict[int, int] = {}

    def count(node: yaml.Node, depth: int) -> int:
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep{_place(node)}")
        if id(node) not in counts:
            total = 1
            if isinstance(node, yaml.MappingNode):
                seen: set[str] = set()
                for key, value in node.value:
                    if isinstance(key, yaml.ScalarNode):
                        if key.value in seen:
                            raise ValueError(f"the key {shown(key.value[:100])} is there twice{_place(key)}")
                        seen.add(key.value)
                    total += count(key, depth + 1) + count(value, depth + 1)
            elif isinstance(node, yaml.SequenceNode):
                total += sum(count(item, depth + 1) for item in node.value)
            if total > MOST_VALUES:
                raise ValueError(f"it holds more than {MOST_VALUES:,} values{_place(node)}")
            counts[id(node)] = total
        return counts[id(node)]

    count(root, 0)


def _check_values(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_values(key)
            _check_values(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            _check_values(inner)
    elif isinstance(value, str) and "\0" in value:
        raise ValueError("it holds a NUL character")
    elif isinstance(value, int) and not -LARGEST_WHOLE < value < LARGEST_WHOLE:
        raise ValueError("it holds a whole number of more than 64 bits")
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"it holds a value of type {type(value).__name__}, which no option takes")


def _place(node: yaml.Node) -> str:
    return f" (line {node.start_mark.line + 1})"
