"""
A Bundle with one broken resource in it, cut into its entries all the same.

The strict reader refuses a whole body for one lone surrogate (``"\\ud83d"``, what is left of an emoji cut in
half, as JavaScript servers write it) or one ``NaN``. Every page with that resource would then fail for ever.
Here the standard library's lenient reader finds where values begin and end; their bytes stay as received, and
the strict reader judges each entry alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_reader = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\r\n]*")


def cut(body: bytes) -> tuple[bytes, list[bytes]]:
    """
    Return a JSON object without its member ``entry``, and the items of that member.

    Raises:
        ValueError, RecursionError: This reader cannot make anything of it either.
    """
    text = body.decode("utf-8", "surrogateescape")
    kept: list[str] = []
    items: list[bytes] = []
    for name, begin, end in _members(text):
        if name == "entry" and text[begin] == "[":
            items = [text[first:last].encode("utf-8", "surrogateescape") for first, last in _items(text, begin)]
        else:
            kept.append(f"{json.dumps(name)}:{text[begin:end]}")
    return f"{{{','.join(kept)}}}".encode("utf-8", "surrogateescape"), items


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, begin and end of each member of the object that is the whole of *text*."""
    at = _expect(text, 0, "{")
    while text[at : at + 1] != "}":
        name, after = _reader.raw_decode(text, at)
        begin = _expect(text, _skip(text, after), ":")
        _, end = _reader.raw_decode(text, begin)
        if not isinstance(name, str):
            raise ValueError("a member's name is no text")
        yield name, begin, end
        at = _after_comma(text, end, "}")
    if _skip(text, at + 1) != len(text):
        raise ValueError("there is more behind the object")


def _items(text: str, begin: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each item of the array at *begin*."""
    at = _expect(text, begin, "[")
    while text[at : at + 1] != "]":
        _, end = _reader.raw_decode(text, at)
        yield at, end
        at = _after_comma(text, end, "]")


def _after_comma(text: str, at: int, closing: str) -> int:
    at = _skip(text, at)
    return at if text[at : at + 1] == closing else _expect(text, at, ",")


def _expect(text: str, at: int, character: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != character:
        raise ValueError(f"{character} is missing")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at
