from __future__ import annotations

import pytest

from harness.lifecycle import guest, transitions
from tests.lifecycle import simulated
from tests.lifecycle.simulated import Bus


@pytest.fixture
def simulated_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for a guest after a reset, a restore or a migration finds the simulated one."""
    monkeypatch.setattr(guest, "connect", lambda vm: ((bus := Bus(vm)), bus.memory))
    monkeypatch.setattr(transitions, "eject", simulated.eject)
