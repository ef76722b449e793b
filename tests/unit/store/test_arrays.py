"""Arrays as PostgreSQL reads them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.store.arrays import bytes_array, numbers_array, texts_array


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        ([1, -2, 2**62], f"{{1, -2, {2**62}}}"),
        ([None, 0], "{NULL, 0}"),
        ([True, None, False], "{True, NULL, False}"),
        ((7,), "{7}"),
        ([], "{}"),
    ],
)
def test_numbers_and_truth_values_are_a_plain_list(values: Sequence[int | None], literal: str) -> None:
    assert numbers_array(values) == literal


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        (["Task/1", None, ""], '{"Task/1",null,""}'),
        (["null", "NULL", "{a,b}", "ü\u2028\U0001f600"], '{"null","NULL","{a,b}","ü\u2028\U0001f600"}'),
        (['say "no"', None, "C:\\", "line\nnext\ttab\x01"], '{"say \\"no\\"",NULL,"C:\\\\","line\nnext\ttab\x01"}'),
        ([], "{}"),
    ],
)
def test_every_text_is_quoted_and_only_quotes_and_backslashes_are_escaped(
    values: Sequence[str | None], literal: str
) -> None:
    """PostgreSQL takes the character after a backslash as it is, so JSON's ``\\n`` would become an ``n``."""
    assert texts_array(values) == literal


def test_bytes_have_their_lengths_before_them_and_minus_one_where_there_are_none() -> None:
    assert bytes_array([b"\x00a", None, b""]) == bytes.fromhex(
        "00000001 00000001 00000011 00000003 00000001 00000002 0061 ffffffff 00000000"
    )
    assert bytes_array([]) == bytes.fromhex("00000000 00000000 00000011")
