"""Ways to spoil valid files: blindly, and knowing what stands in them."""

from __future__ import annotations

import copy
import random
import re
import struct
from typing import Any

NUMBERS = (
    *("0", "-1", "1", "3", "255", "65536", "2147483647", "4294967296", "1000000000", "9223372036854775807"),
    *("18446744073709551616", "-9223372036854775808", "1e308", "1e999", "-1e999", "1e-320", "NaN", "nan"),
    *("Infinity", ".inf", "0x7fffffffffffffff", "1:30:00", "9" * 5000, "0.5", "1_000", "٣", "--1", "1e", ""),
)
WORDS = (
    *(
        "",
        " ",
        "null",
        "true",
        "[]",
        "{}",
        "..",
        "../x",
        "/etc/passwd",
        "C:\\x",
        "~",
        "a\0b",
        "\x1b[2J",
        "\ufeff",
    ),
    *(
        '"',
        "'",
        '""',
        ",",
        ";",
        "\t",
        "\r\n",
        "\n",
        "\\",
        "#",
        "&a",
        "*a",
        "&a [*a]",
        "!!python/object:os.system x",
    ),
    *(
        "!!int x",
        "!!float ''",
        "!!binary =",
        "2020-13-45",
        "2020-12-24",
        "[" * 300,
        "{a: " * 100,
        "<<: *a",
        "---",
    ),
    *(
        "%",
        "|",
        ">",
        "@",
        "`",
        "\ud800",
        "é",
        "日本",
        "(a+)+$",
        "x" * 3000,
        "esc10",
        "outside.wav",
        "linked.wav",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 48, 1000, 10**9, 2**63, 10**30, 10**4000, 0.5, -0.0, 1e308, 1e-320),
    *(
        "",
        " ",
        "a",
        "..",
        "/",
        "\ud800",
        "\0",
        "nan",
        "x" * 5000,
        "(a+)+$",
        "LORA",
        "IA3",
        "lora",
        "peft",
        "soft_moa",
    ),
    *([], {}, [[]], [1], ["a", "b"], [None] * 50, {"a": 1}, {"": {}}, [[[[[[[]]]]]]]),
)
WHOLE = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 1023, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def spoil_bytes(rng: random.Random, data: bytes, within: int | None = None) -> bytes:
    """Flip, cut, insert, double, swap, or put an extreme number of 1 to 8 bytes somewhere.

    Args:
        rng: Where the choices come from.
        data: The valid file.
        within: Only the first so many bytes are spoilt: a header.
    """
    limit = min(len(data), within or len(data))
    head, tail = bytearray(data[:limit]), data[limit:]
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(head) + 1)
        length = rng.choice((1, 2, 4, 8, rng.randrange(1, 200)))
        way = rng.randrange(7)
        if way == 0 and head:
            head[at % len(head)] ^= 1 << rng.randrange(8)
        elif way == 1:
            number = rng.choice(WHOLE) if rng.random() < 0.8 else rng.randrange(2**64)
            order = rng.choice("<>")
            size, letter = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
            head[at : at + size] = struct.pack(order + letter, number % 256**size)
        elif way == 2:
            del head[at : at + length]
        elif way == 3:
            head[at:at] = rng.randbytes(length)
        elif way == 4:
            head[at:at] = head[at : at + length] * rng.choice((1, 1, 50))
        elif way == 5:
            other = rng.randrange(len(head) + 1)
            head[at : at + length], head[other : other + length] = (
                head[other : other + length],
                head[at : at + length],
            )
        elif within is None:
            del head[at:]
    return bytes(head) + tail


def spoil_text(rng: random.Random, data: bytes) -> bytes:
    """Swap, drop or double lines and cells; put extreme numbers and odd words in the place of others."""
    text = data.decode("utf-8")
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        way = rng.randrange(6)
        if way < 2:
            found = list(re.finditer(r"\d+(?:\.\d+)?" if way else r"[^\s,:]+", text))
            if found:
                place = rng.choice(found)
                new = rng.choice(NUMBERS if way else WORDS)
                text = text[: place.start()] + new + text[place.end() :]
        elif way == 2:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(WORDS) + text[at:]
        else:
            lines = text.split("\n")
            one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            if way == 3:
                lines[one], lines[other] = lines[other], lines[one]
            elif way == 4:
                lines[one:one] = [lines[other]] * rng.choice((1, 2, 100))
            else:
                del lines[one]
            text = "\n".join(lines)
    data = text.encode("utf-8", "surrogatepass")
    way = rng.randrange(12)
    if way == 0:
        return b"\xef\xbb\xbf" + data
    if way == 1:
        return data.replace(b"\n", b"\r\n")
    if way == 2:
        return data.replace(b",", b";")
    if way == 3:
        return text.encode("utf-16", "surrogatepass")
    return spoil_bytes(rng, data) if way == 4 else data


def spoil_value(rng: random.Random, value: Any) -> Any:
    """Take keys out of plain data, double them under another name, or give them other values."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            return value
        parent, key = rng.choice(places)
        way = rng.randrange(6)
        if way == 0:
            del parent[key]
        elif way == 1 and isinstance(parent, dict):
            parent[rng.choice((key + "x", "", "format", "\0"))] = copy.deepcopy(parent[key])
        elif way == 2:
            parent[key] = [parent[key]]
        elif way == 3 and type(parent[key]) in (int, float):
            parent[key] = rng.choice((parent[key] + 1, -parent[key], parent[key] * 1000, 10**9, 2**40, 0))
        elif way == 4:
            deep: Any = parent[key]
            for _ in range(rng.choice((5, 40, 60, 400))):
                deep = [deep]
            parent[key] = deep
        else:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
