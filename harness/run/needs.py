"""What a test needs of a host, and whether this one can do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.run.session import DRIVER_NEEDS, SESSION, Session

ELSEWHERE = pytest.StashKey[Callable[[pytest.Item], str]]()
"""Where a plugin that can run tests elsewhere leaves how it goes on the reason of a skip: why not there either."""


def parameters(item: pytest.Item) -> dict[str, Any]:
    """What a test is crossed with."""
    found: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def lacking(item: pytest.Item, session: Session) -> str | None:
    """Why this host cannot run a test, and what to do about it; None if it can."""
    crossed = parameters(item)
    abilities = session.abilities[crossed["vmm"]]
    own = [need for mark in item.iter_markers("needs") for need in mark.args]
    for need in (DRIVER_NEEDS[crossed["driver"]], *own):
        if (reason := abilities.lacking(need)) is not None:
            return reason
    return None


def reason_to_skip(item: pytest.Item) -> str | None:
    """Why a test can run neither here nor elsewhere, with the way out; None if it can here."""
    stash = item.config.stash
    reason = lacking(item, stash[SESSION])
    return reason and reason + stash.get(ELSEWHERE, lambda _: "")(item)
