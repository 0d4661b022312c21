"""Which tests go to the lab: those that need more than this host's KVM can do."""

from __future__ import annotations

import pytest

from harness.lab.suite import SUITE
from harness.run.needs import host_lacks, parameters, vmm_lacks
from harness.run.session import SESSION, Session


def goes_to_lab(item: pytest.Item, session: Session, *, always: bool = False) -> bool:
    """Whether a test is one for the lab: what the host lacks is all that is in its way, or nothing and `always`."""
    crossed = parameters(item)
    if not {"vmm", "driver"} <= crossed.keys() or crossed.get("writer", "") is None:
        return False
    vmm = session.vmm(crossed["vmm"])
    if not vmm.needs_kvm or vmm_lacks(item, vmm) is not None:
        return False
    if crossed["driver"] == "linux" and session.linux is None:
        return False
    return always or host_lacks(item, session) is not None


def why_not_in_the_lab(item: pytest.Item) -> str:
    """How the reason of a skip goes on: what keeps a test from running in the lab, if it is one for the lab."""
    stash = item.config.stash
    if not goes_to_lab(item, stash[SESSION]):
        return ""
    suite = stash.get(SUITE, None)
    return ", or give --lab auto" if suite is None else f"; and there is no lab: {suite.lost.splitlines()[0]}"
