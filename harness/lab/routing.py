"""Which tests go to the lab: those that need more than this host's KVM can do."""

from __future__ import annotations

from typing import Any

import pytest

from harness.lab.suite import SUITE
from harness.run.capability import NEEDS_KVM
from harness.run.session import DRIVER_NEEDS, SESSION, Session


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


def goes_to_lab(item: pytest.Item, session: Session, *, always: bool = False) -> bool:
    """Whether a test is one for the lab: what the host lacks is all that is in its way, or nothing and `always`."""
    crossed = parameters(item)
    if not {"vmm", "driver"} <= crossed.keys() or crossed.get("writer", "") is None:
        return False
    kind = session.vmm(crossed["vmm"]).kind
    only_on = item.get_closest_marker("only_on")
    if kind != NEEDS_KVM or (only_on is not None and only_on.args[0] != kind):
        return False
    if crossed["driver"] == "linux" and session.linux is None:
        return False
    return always or lacking(item, session) is not None


def reason_to_skip(item: pytest.Item) -> str | None:
    """Why a test can run neither on this host nor in the lab, with the way out; None if it can here."""
    config = item.config
    session = config.stash[SESSION]
    if (reason := lacking(item, session)) is None or not goes_to_lab(item, session):
        return reason
    suite = config.stash.get(SUITE, None)
    if suite is None:
        return f"{reason}, or give --lab auto"
    return f"{reason}; and there is no lab: {suite.lost.splitlines()[0]}"
