"""Pairs as a witness names them: sets and counts that say whose they are where an assertion fails."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Self


def named(pairs: Iterable[int]) -> str:
    """Pairs in words: `no pair`, `pair 0`, `pairs 0-2`, `pairs 0, 2-3`."""
    runs: list[list[int]] = []
    for pair in sorted(pairs):
        if runs and pair == runs[-1][-1] + 1:
            runs[-1].append(pair)
        else:
            runs.append([pair])
    words = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"pair{'s' if len(runs) > 1 or len(runs[0]) > 1 else ''} {words}" if runs else "no pair"


class Pairs(frozenset[int]):
    """A set of pairs, and the words of the witness that names it: `the host holds`."""

    witness: str

    def __new__(cls, pairs: Iterable[int], witness: str) -> Self:
        """A set that knows whose word it is."""
        made = super().__new__(cls, pairs)
        made.witness = witness
        return made

    def __repr__(self) -> str:
        return f"{self.witness} {named(self)}"

    def __reduce__(self) -> tuple[type[Self], tuple[list[int], str]]:
        return type(self), (sorted(self), self.witness)


class Count(int):
    """A number of pairs, and the words of the witness that counts them: `the host counts`."""

    witness: str

    def __new__(cls, count: int, witness: str) -> Self:
        """A number that knows whose word it is."""
        made = super().__new__(cls, count)
        made.witness = witness
        return made

    def __repr__(self) -> str:
        return f"{self.witness} {int(self)} active pair{'s' * (self != 1)}"

    def __str__(self) -> str:
        return int.__repr__(self)

    def __reduce__(self) -> tuple[type[Self], tuple[int, str]]:
        return type(self), (int(self), self.witness)


def explained(operator: str, left: object, right: object) -> list[str] | None:
    """What a failed comparison found and expected, for pytest; None for one that is about neither pairs nor counts.

    Either side may be what was expected: it is the one that no witness stands for.
    """
    if not isinstance(left, Pairs | Count):
        left, right = right, left
    if operator not in ("==", "<=", ">=") or not isinstance(left, Pairs | Count):
        return None
    return [f"{left!r}: expected {'at most ' * (operator != '==')}{_wanted(right)}"]


def _wanted(value: object) -> str:
    if isinstance(value, Pairs):
        return f"{named(value)} ({value.witness} them)"
    if isinstance(value, Set) and all(isinstance(each, int) for each in value):
        return named(value)
    return repr(value)
