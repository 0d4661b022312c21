"""Crossing a test with transitions."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.lifecycle.transitions import Transition


def each_of(steps: Iterable[Transition]) -> pytest.MarkDecorator:
    """Run a test once for each of these transitions, as its argument `transition`; where the host and VMM know it."""
    return pytest.mark.parametrize(
        "transition", [pytest.param(step, id=step.name, marks=_marks(step)) for step in steps]
    )


def _marks(step: Transition) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.needs(step.need)] if step.need else []
    if step.only_on:
        marks.append(pytest.mark.only_on(step.only_on, reason=f"only {step.only_on} knows {step.name}"))
    return marks
