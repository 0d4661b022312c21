"""Every network backend makes another of its kind, in the surroundings that the testbed was given."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.host.backend import NetworkBackend
from harness.host.real_backends.ovs import OpenVSwitch
from harness.host.real_backends.testpmd import Testpmd
from harness.host.real_backends.vhost_user_net import VhostUserNet
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.rules import Drop, Rule
from harness.host.vhost_user_backend import VhostUser
from harness.testbed.backends import BACKENDS
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import Testbed
from harness.vmm.base import Attachment, TapByFds, VhostUserSocket

NO_VMM: Any = SimpleNamespace(name="none")

pytestmark = pytest.mark.usefixtures("own_network")


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    """A testbed where the programs of real back ends do nothing, for they need not be installed."""
    for kind in (Testpmd, OpenVSwitch, VhostUserNet):
        monkeypatch.setattr(kind, "_words", lambda self, folder: ["sleep", "60"])
        monkeypatch.setattr(kind, "_await_ready", lambda self, undo: None)
    monkeypatch.setattr(OpenVSwitch, "_prepare", lambda self, undo: None)
    with Testbed(NO_VMM, tmp_path, Surroundings(programs={VhostUserNet.name: Path("given")})) as bed:
        yield bed


def form(backend: NetworkBackend) -> tuple[type, str, int, bool]:
    """What two of one kind have in common: how the VMM is told of it, with how many descriptors, who listens."""
    told: Attachment = backend.attachment
    descriptors = len(told.fds) if isinstance(told, TapByFds) else 0
    return type(backend), type(told).__name__, descriptors, isinstance(told, VhostUserSocket) and told.server


@pytest.mark.parametrize("name", BACKENDS)
def test_a_sibling_is_of_the_same_kind(bed: Testbed, name: str) -> None:
    first = bed.backend(name, 2)
    second = bed.sibling(first, 2)
    assert form(second) == form(first)
    assert second.attachment != first.attachment


@pytest.mark.parametrize("name", BACKENDS)
def test_a_sibling_may_have_more_pairs(bed: Testbed, name: str) -> None:
    second: Any = bed.sibling(bed.backend(name, 2), 4)
    assert second.pairs == 4


def test_a_sibling_offers_what_the_first_one_does(bed: Testbed) -> None:
    first = bed.vhost_user(4, Offer(2, features=1))
    same, larger = first.sibling(bed._place(), 4), first.sibling(bed._place(), 8)
    assert (same.offer, larger.offer) == (Offer(2, features=1), Offer(8, features=1))
    same.close()
    larger.close()


def test_messages_to_a_sibling_are_altered_by_rules_of_its_own(tmp_path: Path) -> None:
    asked: list[int] = []

    def rules(pairs: int) -> list[Rule]:
        asked.append(pairs)
        return [Drop(Kind.SET_VRING_ENABLE)]

    with Testbed(NO_VMM, tmp_path, Surroundings(rules=rules)) as bed:
        second = bed.sibling(bed.backend("vhost-user-server", 2), 3)
        assert isinstance(second, VhostUser)
        assert second.proxy is not None
    assert asked == [2, 3]


def test_siblings_are_gone_with_the_testbed(bed: Testbed) -> None:
    names = {bed.sibling(bed.tap(2), 2).name for _ in range(2)}
    assert names < {name for _, name in socket.if_nameindex()}
    bed.close()
    assert not names & {name for _, name in socket.if_nameindex()}
