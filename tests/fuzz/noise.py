"""Bytes that begin as something well-formed and end as anything."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

TOKENS = (
    b"",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\x1b[31m",
    b"9" * 5000,
    b"-1",
    b"1e400",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"[" * 5000,
    b'{"a":' * 5000,
    b"x" * 70_000,
    b" " * 70_000,
    b"\n" * 70_000,
    b" 9" * 30_000,
    b"a: " * 30_000,
    "\N{ARABIC-INDIC DIGIT ONE}".encode(),
    bytes(range(256)),
)
"""What parsers stumble over."""

Edit = tuple[float, float, bytes]


def noisy(*examples: bytes) -> st.SearchStrategy[bytes]:
    """One of the examples with a few slices replaced, or anything at all."""
    place = st.floats(0, 1)
    edit = st.tuples(place, st.floats(0, 0.2), st.sampled_from(TOKENS) | st.binary(max_size=8))
    edited = st.builds(_edited, st.sampled_from(examples), st.lists(edit, max_size=3))
    return edited | st.binary(max_size=300)


def _edited(example: bytes, edits: Sequence[Edit]) -> bytes:
    for place, share, token in edits:
        start = int(place * len(example))
        example = example[:start] + token + example[start + int(share * len(example)) :]
    return example
