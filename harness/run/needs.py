"""What a test needs of its VMM and of the host: declared by marks, by its driver and by its network backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.run.session import DRIVER_NEEDS, SESSION, Session
from harness.testbed.backends import NEEDS
from harness.vmm.abilities import SAVING, Ability, Need
from harness.vmm.base import Vmm

ELSEWHERE = pytest.StashKey[Callable[[pytest.Item], str]]()
"""Where a plugin that can run tests elsewhere leaves how it goes on the reason of a skip: why not there either."""


def parameters(item: pytest.Item) -> dict[str, Any]:
    """What a test is crossed with."""
    found: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def _needs(item: pytest.Item) -> Iterator[Need]:
    yield from (need for mark in item.iter_markers("needs") for need in mark.args)
    crossed = parameters(item)
    if crossed.get("driver") == "firmware":
        yield Ability.FIRMWARE
    if (ability := NEEDS.get(crossed.get("backend", ""))) is not None:
        yield ability


def vmm_lacks(item: pytest.Item, vmm: Vmm) -> str | None:
    """What the VMM does not have of what a test needs, as a sentence; None if it has everything."""
    return next((why for need in _needs(item) if (why := need.lacking(vmm)) is not None), None)


def host_lacks(item: pytest.Item, session: Session) -> str | None:
    """Why this host cannot run a test, and what to do about it; None if it can."""
    crossed = parameters(item)
    able = session.capabilities[crossed["vmm"]]
    saving = ["snapshot"] if any(need in SAVING for need in _needs(item)) else []
    for need in (DRIVER_NEEDS[crossed["driver"]], *saving):
        if (reason := able.lacking(need)) is not None:
            return reason
    return None


def reason_to_skip(item: pytest.Item) -> str | None:
    """Why a test can run neither here nor elsewhere, with the way out; None if it can here."""
    stash = item.config.stash
    reason = host_lacks(item, stash[SESSION])
    return reason and reason + stash.get(ELSEWHERE, lambda _: "")(item)
