"""Crossing a test with transitions."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.lifecycle.transitions import Transition
from harness.vmm.needs import needs


def each_of(steps: Iterable[Transition]) -> pytest.MarkDecorator:
    """Run a test once for each of these transitions, as its argument `transition`; where the host and VMM know it."""
    return pytest.mark.parametrize(
        "transition", [pytest.param(step, id=step.name, marks=needs(*step.needs)) for step in steps]
    )
