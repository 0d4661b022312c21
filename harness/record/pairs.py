"""Pairs, vrings and vectors as a witness names them: they say whose they are where an assertion fails."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, ClassVar, Self


def named(numbers: Iterable[int], noun: str = "pair") -> str:
    """Numbers in words: `no pair`, `pair 0`, `pairs 0-2`, `pairs 0, 2-3`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"{noun}{'s' if len(runs) > 1 or len(runs[0]) > 1 else ''} {words}" if runs else f"no {noun}"


class Named(frozenset[int]):
    """A set of numbers, and the words of the witness that names them: `the host holds`."""

    noun: ClassVar[str]
    """What is numbered."""
    witness: str

    def __new__(cls, numbers: Iterable[int], witness: str) -> Self:
        """A set that knows whose word it is."""
        made = super().__new__(cls, numbers)
        made.witness = witness
        return made

    def __and__(self, other: Set[object]) -> Self:
        return type(self)(super().__and__(other), self.witness)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)  # for type checkers: to be compared with any set

    __hash__ = frozenset.__hash__

    def __repr__(self) -> str:
        return f"{self.witness} {named(self, self.noun)}"

    def __reduce__(self) -> tuple[type[Self], tuple[list[int], str]]:
        return type(self), (sorted(self), self.witness)


class Pairs(Named):
    """A set of pairs."""

    noun = "pair"


class Vrings(Named):
    """A set of a vhost-user back end's vrings: vring 2i and 2i+1 are pair i."""

    noun = "vring"


class Vectors(Named):
    """A set of interrupt vectors."""

    noun = "vector"


class Count(int):
    """A number of something, and the words of the witness that counts it: `the host counts`, `active pair`."""

    witness: str
    noun: str
    plural: str

    def __new__(cls, count: int, witness: str, noun: str = "active pair", plural: str = "s") -> Self:
        """A number that knows whose word it is; `plural` is the ending of more than one."""
        made = super().__new__(cls, count)
        made.witness, made.noun, made.plural = witness, noun, plural
        return made

    def __repr__(self) -> str:
        return f"{self.witness} {int(self)} {self.noun}{self.plural * (self != 1)}"

    def __str__(self) -> str:
        return int.__repr__(self)

    def __reduce__(self) -> tuple[type[Self], tuple[int, str, str, str]]:
        return type(self), (int(self), self.witness, self.noun, self.plural)


ARRIVED = "the back end was sent"
"""Words of the witness that counts the messages which a fault waits for."""

_LIMITS = {"==": "", "<=": "at most ", ">=": "at least "}
_TURNED = {"<=": ">=", ">=": "<="}


def explained(operator: str, left: Any, right: Any) -> list[str] | None:
    """What a failed comparison found and expected, for pytest; None for one that no witness stands in.

    Either side may be what was expected: it is the one that no witness stands for.
    """
    if operator in ("in", "not in") and isinstance(right, Named):
        return [f"{right!r}: expected {'no' * (operator != 'in')} {right.noun} {left}".replace("  ", " ")]
    if not isinstance(left, Named | Count):
        left, right, operator = right, left, _TURNED.get(operator, operator)
    if operator not in _LIMITS or not isinstance(left, Named | Count):
        return None
    return [f"{left!r}: expected {_LIMITS[operator]}{_wanted(right, getattr(left, 'noun', ''))}"]


def _wanted(value: object, noun: str) -> str:
    if isinstance(value, Named):
        return f"{named(value, value.noun)} ({value.witness} them)"
    if isinstance(value, Set) and all(isinstance(each, int) for each in value):
        return named(value, noun)
    return repr(value)
