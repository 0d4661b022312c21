"""The instrumented back end as a NIC's network backend, driven by a front end in the test process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.deadline import wait_until
from harness.errors import BadInput, Owner, VmmError
from harness.host.changes import ConnectionChanged, VringsSwitched
from harness.host.flows import flows
from harness.host.real_backends.find import given_programs, lacking
from harness.host.vhost_user.faults import CloseOn
from harness.host.vhost_user.log import Event
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.mutants import MUTANTS
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.rules import Drop, Rule
from harness.host.vhost_user_backend import VhostUser

from .frontend import FrontEnd

NO_PID = 0
FRAMES = [flow.frame(bytes(6), number) for number, flow in enumerate(flows(64))]

OF_OTHERS = {"vhost-forgets-memory", "vhost-takes-all-for-granted", "vhost-accepts-more"}
OF_COUNTS = [m for m in MUTANTS if m.name not in OF_OTHERS]


@pytest.fixture
def port(folder: Path) -> Iterator[VhostUser]:
    made = VhostUser(folder, 4, Offer(4))
    yield made
    made.close()


@pytest.fixture
def front(port: VhostUser) -> Iterator[FrontEnd]:
    """All rings started, two pairs enabled, 64 buffers on each receive ring."""
    made = FrontEnd.connect(port.attachment.path)
    made.set_up()
    for ring in made.rings[::2]:
        ring.post(64)
    made.set_pairs(2)
    yield made
    made.close()


def arrived(front: FrontEnd) -> list[int]:
    """Buffers used on each receive ring since it was made."""
    return [ring.used for ring in front.rings[::2]]


def test_view_is_of_started_and_enabled_rings(port: VhostUser, front: FrontEnd) -> None:
    view = port.view(NO_PID)
    assert (view.count, view.pairs, view.total) == (2, frozenset({0, 1}), 4)
    assert view.consistent
    front.stop_ring(3)
    assert port.view(NO_PID).pairs == {0}


def test_half_a_pair_shows(port: VhostUser, front: FrontEnd) -> None:
    front.enable(4)
    view = port.view(NO_PID)
    assert view.pairs == {0, 1}
    assert view.count == 3
    assert not view.consistent


def test_view_has_what_was_sent_and_not_yet_handled(port: VhostUser, front: FrontEnd) -> None:
    front.need_reply = False
    for pairs in range(200):
        front.set_pairs(pairs % 4 + 1)
        assert port.view(NO_PID).count == pairs % 4 + 1


def test_changes_in_words_leave_repetitions_out(port: VhostUser, front: FrontEnd) -> None:
    assert port.changes() == [ConnectionChanged(Event.CONNECTED), VringsSwitched((0, 1, 2, 3), on=True)]
    front.set_pairs(2)
    assert port.changes() == []
    front.set_pairs(1)
    front.set_pairs(3)
    assert port.changes() == [VringsSwitched((2, 3), on=False), VringsSwitched((2, 3, 4, 5), on=True)]


def test_frames_are_spread_by_flow_over_enabled_rings(port: VhostUser, front: FrontEnd) -> None:
    port.inject(FRAMES)
    first = arrived(front)
    assert sum(first) == 64
    assert all(first[:2])
    assert first[2:] == [0, 0]
    port.inject(FRAMES[:1] * 10)
    assert sorted(after - before for before, after in zip(first, arrived(front), strict=True)) == [
        0,
        0,
        0,
        10,
    ]


def test_frames_wait_for_buffers_and_go_when_the_ring_is_disabled(port: VhostUser, front: FrontEnd) -> None:
    front.set_pairs(1)
    port.inject(FRAMES + FRAMES)
    assert arrived(front)[0] == 64
    front.rings[0].post(32)
    front.rings[0].kick()
    wait_until("the frames that waited", lambda: arrived(front)[0] == 96, owed_by=Owner.HOST, within=2)
    front.set_pairs(0)
    front.set_pairs(1)
    front.rings[0].post(32)
    front.rings[0].kick()
    front.set_pairs(1)
    assert arrived(front)[0] == 96


def test_sent_frames_are_captured_once_in_order(port: VhostUser, front: FrontEnd) -> None:
    for ring, frame in ((1, b"a" * 60), (3, b"b" * 60), (1, b"c" * 60), (5, b"d" * 60)):
        front.rings[ring].send(frame)
        wait_until("the buffer to come back", front.rings[ring].returned, owed_by=Owner.HOST, within=2)
    assert [frame[:1] for frame in port.capture()] == [b"a", b"b", b"c"]
    assert port.capture() == []


def test_without_a_back_end_nothing_is_active_and_frames_are_lost(port: VhostUser, front: FrontEnd) -> None:
    port.stop()
    assert port.view(NO_PID).total == 0
    port.inject(FRAMES)
    assert port.capture() == []
    port.start(CloseOn(Kind.SET_OWNER))
    assert port.changes() == []


def test_findings_are_raised_at_the_end(folder: Path) -> None:
    port = VhostUser(folder, 1, Offer(1))
    front = FrontEnd.connect(port.attachment.path, pairs=1)
    front.negotiate()
    front.tell(Kind.SET_VRING_ENABLE, None)
    front.close()
    with pytest.raises(VmmError, match="SET_VRING_ENABLE"):
        port.close()


def test_rules_alter_what_arrives(folder: Path) -> None:
    port = VhostUser(folder, 4, Offer(4), rules=lambda pairs: [Drop(Kind.SET_VRING_ENABLE, ring=2)])
    front = FrontEnd.connect(port.attachment.path)
    front.set_up()
    front.set_pairs(2)
    view = port.view(NO_PID)
    front.close()
    port.close()
    assert (view.count, view.pairs) == (2, frozenset({0}))


@pytest.mark.parametrize("rules", [m.rules for m in OF_COUNTS], ids=[m.name for m in OF_COUNTS])
def test_every_mutant_shows_at_some_count(folder: Path, rules: Callable[[int], list[Rule]]) -> None:
    port = VhostUser(folder, 4, Offer(4), rules=rules)
    front = FrontEnd.connect(port.attachment.path)
    front.set_up()
    wrong = []
    for pairs in (1, 4, 2, 3, 1):
        front.set_pairs(pairs)
        view = port.view(NO_PID)
        wrong += [pairs] if (view.count, view.pairs) != (pairs, frozenset(range(pairs))) else []
    front.close()
    port.close()
    assert wrong


def test_given_programs_are_checked(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("")
    for bad in ("vhost_user_net", "other=/bin/true", f"vhost_user_net={program}", "vhost_user_net=/nowhere"):
        with pytest.raises(BadInput, match="--backend-binary"):
            given_programs([bad])
    assert given_programs(["vhost_user_net=/bin/true"]) == {"vhost_user_net": Path("/bin/true")}


def test_what_is_lacking_says_the_way_out() -> None:
    assert lacking("tap", {}) is None
    assert lacking("vhost_user_net", {"vhost_user_net": Path("/bin/true")}) is None
    assert "--backend-binary vhost_user_net=PATH" in str(lacking("vhost_user_net", {}))
