"""Every network backend makes another of its kind, in the surroundings that the testbed was given."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import BadInput
from harness.host import farewell
from harness.host.backend import FramePort, HostView, NetworkBackend, VhostUserPeer
from harness.host.changes import ConnectionChanged, QueueCounts, VringsSwitched
from harness.host.flows import flows
from harness.host.real_backends.ovs import OpenVSwitch
from harness.host.real_backends.testpmd import Testpmd
from harness.host.real_backends.vhost_user_net import VhostUserNet
from harness.host.vhost_user.log import Event
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.rules import Drop, Rule
from harness.host.vhost_user_backend import VhostUser
from harness.testbed.backends import BACKENDS
from harness.testbed.nic import Nic
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Attachment, NicConfig, TapByFds, TapByName, VhostUserSocket

NO_VMM: Any = SimpleNamespace(name="none", pid=1, queue_for_each_pair=True)
NO_DRIVER: Any = SimpleNamespace(believed_pairs=frozenset({0}), reset=lambda: None)

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
    farewell.settle()
    assert not names & {name for _, name in socket.if_nameindex()}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_carries_frames_or_has_no_way_for_them(bed: Testbed, name: str) -> None:
    """No back end has a method that can but refuse: the NIC says that there is no way."""
    backend = bed.backend(name, 2)
    nic = Nic(NO_VMM, bed.nic_config(NicPlan(2), 0, backend), NO_DRIVER, backend, bed.journal)
    if name in {Testpmd.name, OpenVSwitch.name}:
        with pytest.raises(BadInput, match=r"carries no frames .*: use another network backend"):
            nic.send(flows(1))
    else:
        assert isinstance(backend, FramePort)
        assert nic.wire is backend


@pytest.mark.parametrize("name", BACKENDS)
def test_messages_are_those_of_the_vhost_user_protocol(bed: Testbed, name: str) -> None:
    backend = bed.backend(name, 2)
    assert isinstance(backend, VhostUserPeer) is (backend.kind == "vhost-user")


def test_changes_are_put_in_words_where_they_are_shown(bed: Testbed) -> None:
    """The journal has a line for each."""
    told = [
        ConnectionChanged(Event.LOST, "by the VMM"),
        VringsSwitched((2, 3), on=False),
        QueueCounts(1, 3),
    ]
    view = HostView(1, frozenset({0}), 4)
    backend: Any = SimpleNamespace(kind="any", changes=lambda: told, view=lambda pid: view)
    config = NicConfig("net0", "02:00:00:00:01:00", 4, TapByName("any"))
    Nic(NO_VMM, config, NO_DRIVER, backend, bed.journal).reset()
    lines = [event.text for event in bed.journal.events if event.source == "netlink"]
    assert lines == ["any: lost: by the VMM", "any: vrings 2 3 disabled", "any: 1 attached, 3 detached"]
