"""What a NIC makes of its three witnesses, and what it remembers after a change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import VmmDied, VmmError
from harness.guest.answer import Ack, Answer
from harness.host.backend import HostView
from harness.host.changes import ConnectionChanged, QueueCounts, VringsSwitched
from harness.host.flows import flows
from harness.host.vhost_user.log import Event
from harness.lifecycle import (
    check,
    check_all_active,
    check_frames,
    check_receives,
    check_refusal,
    check_safe,
)
from harness.record.journal import Journal
from harness.record.landed import Landed
from harness.record.pairs import Pairs
from harness.testbed import nic as nic_module
from harness.testbed.nic import KEPT_BATCHES, Nic, Witnesses
from harness.vmm.base import NicConfig, TapByName

ONE, TWO, FOUR = frozenset({0}), frozenset({0, 1}), frozenset({0, 1, 2, 3})


@pytest.mark.parametrize(
    ("guest", "host", "count", "frames", "agree", "name_two"),
    [
        (TWO, TWO, 2, TWO, True, True),
        (TWO, TWO, 2, ONE, True, False),
        (TWO, TWO, 2, None, True, False),
        (TWO, TWO, 2, FOUR, False, False),
        (TWO, TWO, 2, frozenset({2}), False, False),
        (TWO, TWO, 3, TWO, False, False),
        (TWO, FOUR, 4, TWO, False, False),
        (TWO, ONE, 1, ONE, False, False),
        (ONE, TWO, 2, TWO, False, False),
        (FOUR, TWO, 2, TWO, False, False),
        (ONE, ONE, 1, ONE, True, False),
        (frozenset(), frozenset(), 0, frozenset(), True, False),
    ],
)
def test_witnesses_agree_or_name_the_same(
    guest: frozenset[int],
    host: frozenset[int],
    count: int,
    frames: frozenset[int] | None,
    agree: bool,
    name_two: bool,
) -> None:
    found = Witnesses(guest, HostView(count, host, 4), frames)
    assert found.agree is agree
    assert found.name(TWO) is name_two


class Stub:
    """A driver, a backend and a VM in one, of which each says what the test lays down."""

    name, kind, running, pid = "probe", "tap", True, 1
    swallows = keeps = 0
    """Frames of a transmission that do not come out, and whose buffers do not come back."""

    def __init__(self) -> None:
        self.believes, self.holds, self.lands = 1, 1, {0: 64}
        self.answer = Ack.OK
        self.injected: list[list[bytes]] = []
        self.out: list[bytes] = []
        """What the guest has sent, and nobody has taken off the wire."""

    @property
    def believed_pairs(self) -> frozenset[int]:
        return Pairs(range(self.believes), "the guest was told")

    def set_pairs(self, pairs: int) -> Answer:
        if self.answer is Ack.OK:
            self.believes = self.holds = pairs
        return Answer(f"VQ_PAIRS_SET {pairs}", self.answer, waited=5.0)

    def reset(self) -> None:
        self.believes = self.holds = 1

    def start(self) -> None:
        self.believes = self.holds = 1

    def receive(self, inject: Any, frames: list[bytes], ledger: Any) -> Landed:
        assert ledger.missing == len(frames)
        for at in range(0, len(frames), 100):
            inject(frames[at : at + 100])
        return Landed(len(frames), self.lands, lost=len(frames) - sum(self.lands.values()))

    def view(self, pid: int) -> HostView:
        return HostView(self.holds, frozenset(range(self.holds)), 4)

    def changes(self) -> list[Any]:
        return []

    def inject(self, frames: list[bytes]) -> None:
        self.injected.append(frames)

    def transmit(self, pair: int, frames: list[bytes]) -> int:
        self.out += frames[: len(frames) - self.swallows]
        return len(frames) - self.keeps

    def capture(self) -> list[bytes]:
        taken, self.out = self.out, []
        return taken

    def exit_status(self) -> None: ...


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def nic(stub: Stub) -> Any:
    both: Any = stub
    config = NicConfig("net0", "02:00:00:00:00:01", 4, TapByName("t"))
    return Nic(both, config, both, both, Journal())


def test_frames_are_a_witness_while_the_count_is_the_same(nic: Any, stub: Stub) -> None:
    assert nic.witnesses().frames is None
    nic.receive(flows(64))
    assert nic.witnesses().frames == {0}
    nic.set_pairs(2)
    assert nic.witnesses().frames is None, "they landed under another count"
    assert [row.frames for row in nic.rows()] == [None] * 4
    stub.lands = {0: 32, 1: 32}
    nic.receive(flows(64))
    assert nic.witnesses().frames == {0, 1}
    assert [(row.guest, row.host, row.frames) for row in nic.rows()] == [
        (True, True, 32),
        (True, True, 32),
        (False, False, 0),
        (False, False, 0),
    ]
    nic.reset()
    assert nic.witnesses().frames is None


@pytest.mark.parametrize(
    ("ack", "line"),
    [
        (Ack.OK, "is told OK: 3 active"),
        (Ack.ERR, "is told ERR: 1 active"),
        (Ack.SILENCE, "is told nothing within 5.0 s: 1 active"),
        (Ack.NONE, "is told nothing: the command came back without an ack: 1 active"),
    ],
)
def test_timeline_says_what_the_guest_was_told(nic: Any, stub: Stub, ack: Ack, line: str) -> None:
    stub.answer = ack
    nic.set_pairs(3)
    asked, told = [event for event in nic._journal.events if event.source == "guest"]
    assert (asked.text, told.text) == ("asks for 3 pairs", line)
    assert told.pairs == (3 if ack is Ack.OK else None), "only an acknowledged count is in force"


TOLD_TWO = "the guest was told pairs 0-1"


@pytest.mark.parametrize(
    ("believes", "holds", "lands", "sentence"),
    [
        (2, 2, {0: 32, 1: 32}, ""),
        (2, 4, {0: 32, 1: 32}, f"{TOLD_TWO}, the host holds pairs 0-3, frames landed on pairs 0-1"),
        (2, 2, {0: 64}, f"{TOLD_TWO}, the host holds pairs 0-1, frames landed on pair 0"),
        (2, 2, {0: 32, 2: 32}, f"{TOLD_TWO}, the host holds pairs 0-1, frames landed on pairs 0, 2"),
        (
            1,
            2,
            {0: 32, 1: 32},
            "the guest was told pair 0, the host holds pairs 0-1, frames landed on pairs 0-1",
        ),
        (
            2,
            2,
            {0: 32, 1: 30},
            f"{TOLD_TWO}, the host holds pairs 0-1, frames landed on pairs 0-1; of 64 frames 2 lost",
        ),
    ],
)
def test_check_says_what_was_owed_and_what_each_witness_found(
    nic: Any, stub: Stub, believes: int, holds: int, lands: dict[int, int], sentence: str
) -> None:
    stub.believes, stub.holds, stub.lands = believes, holds, lands
    if not sentence:
        check(nic, 2)
        return
    with pytest.raises(AssertionError) as failed:
        check(nic, 2)
    assert str(failed.value).splitlines()[0] == f"pairs 0-1 should be active: {sentence}"


@pytest.mark.parametrize(
    ("holds", "lands"), [(3, {0: 16, 1: 16, 2: 16, 3: 16}), (4, {0: 64}), (4, dict.fromkeys(range(4), 15))]
)
def test_all_active_is_not_had_by_less(nic: Any, stub: Stub, holds: int, lands: dict[int, int]) -> None:
    stub.holds, stub.lands = 4, dict.fromkeys(range(4), 16)
    check_all_active(nic)
    stub.holds, stub.lands = holds, lands
    with pytest.raises(AssertionError, match="pairs 0-3 should be active, whatever the guest was told: "):
        check_all_active(nic)


@pytest.mark.parametrize("lands", [{0: 64, 1: 0}, {0: 30, 1: 30}, {0: 32, 2: 32}])
def test_frames_are_where_they_should_be(nic: Any, stub: Stub, lands: dict[int, int]) -> None:
    stub.lands = {0: 32, 1: 32}
    check_frames(nic, 2)
    stub.lands = lands
    with pytest.raises(AssertionError, match="frames should land on pairs 0-1: frames landed on "):
        check_frames(nic, 2)


def test_every_frame_is_to_arrive(nic: Any, stub: Stub) -> None:
    stub.lands = {3: 64}
    check_receives(nic)
    stub.lands = {3: 63}
    with pytest.raises(AssertionError, match=r"every frame should arrive once: .*of 64 frames 1 lost"):
        check_receives(nic)


IN_WORDS = "what cannot work should be refused in words"


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (VmmError("base refused vm.restore"), None),
        (VmmDied("base died", 1, "Error: no such file"), None),
        (VmmDied("base died", 127, "Error: no such file"), None),
        (VmmDied("base died", 0, "done"), f"{IN_WORDS}, and with an exit status: base died"),
        (VmmDied("base died", 128, "Error: x"), f"{IN_WORDS}, and with an exit status: base died"),
        (VmmDied("base died", 1, " \n"), f"{IN_WORDS}: base died"),
        (VmmDied("base died", 1, "thread 'vmm' panicked"), f"{IN_WORDS}, and without a panic: base died"),
    ],
)
def test_vmm_that_refuses_says_why_and_neither_panics_nor_is_killed(
    nic: Any, refused: VmmError, why: str | None
) -> None:
    for look in (check_refusal, lambda refused: check_safe(nic, refused)):
        if why is None:
            look(refused)
        else:
            with pytest.raises(AssertionError) as failed:
                look(refused)
            assert str(failed.value).splitlines()[0] == why
    assert not nic.sent, "a NIC whose VM was refused gets no frames"


@pytest.mark.parametrize(
    ("lands", "ack", "why"),
    [
        ({0: 32, 1: 32}, Ack.OK, None),
        ({0: 32, 1: 31}, Ack.OK, "every frame should arrive once: "),
        ({0: 32, 1: 32}, Ack.ERR, "assert VQ_PAIRS_SET 2 was refused"),
        ({0: 64}, Ack.OK, "pairs 0-1 should be active: "),
        ({0: 32, 2: 32}, Ack.OK, "pairs 0-1 should be active: "),
    ],
)
def test_vmm_that_went_on_has_a_nic_that_receives_and_obeys(
    nic: Any, stub: Stub, lands: dict[int, int], ack: Ack, why: str | None
) -> None:
    stub.lands, stub.answer = lands, ack
    if why is None:
        check_safe(nic, None)
        assert stub.believes == 2
    else:
        with pytest.raises(AssertionError, match=why):
            check_safe(nic, None)


def test_dead_vm_leaves_the_hosts_column_open(nic: Any, stub: Stub) -> None:
    stub.exit_status = lambda: SimpleNamespace(code=1)  # type: ignore[method-assign,assignment]
    assert [row.host for row in nic.rows()] == [None] * 4


def told(nic: Any, source: str) -> list[tuple[str, int | None]]:
    """The lines of the timeline that one source has."""
    return [(event.text, event.pairs) for event in nic._journal.events if event.source == source]


def test_each_step_is_a_line_of_the_timeline(nic: Any, stub: Stub) -> None:
    nic.start()
    stub.believes = stub.holds = 3
    nic.set_pairs(2)
    nic.reset()
    assert told(nic, "guest") == [
        ("the driver started the device", 1),
        ("asks for 2 pairs", None),
        ("is told OK: 2 active", 2),
        ("reset the device and started it anew", 1),
    ]
    assert told(nic, "host") == [
        ("active pairs: [0] of 4", 1),
        ("active pairs: [0, 1] of 4", 2),
        ("active pairs: [0] of 4", 1),
    ]


def test_one_pair_is_asked_for_in_the_singular(nic: Any) -> None:
    nic.set_pairs(1)
    assert told(nic, "guest")[0] == ("asks for 1 pair", None)


def test_frames_that_are_sent_are_kept_for_a_capture(nic: Any, stub: Stub) -> None:
    nic.send(flows(3))
    assert told(nic, "frames") == [("3 frames sent, not accounted for", None)]
    nic.receive(flows(2), copies=2)
    assert [frames for _, frames in nic.sent] == stub.injected
    assert [len(frames) for frames in stub.injected] == [3, 4]
    assert len({frame for frames in stub.injected for frame in frames}) == 7, (
        "each has an identity of its own"
    )
    assert {frame[:6] for frames in stub.injected for frame in frames} == {bytes.fromhex("020000000001")}
    for _ in range(KEPT_BATCHES):
        nic.send(flows(1))
    assert len(nic.sent) == KEPT_BATCHES


def test_something_can_happen_while_each_batch_waits(nic: Any, stub: Stub) -> None:
    seen: list[int] = []
    nic.receive(flows(250), meanwhile=lambda: seen.append(len(stub.injected)))
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(("swallows", "keeps", "lost"), [(0, 0, 0), (2, 0, 2), (0, 3, 0)])
def test_what_the_guest_sends_is_accounted_for(
    nic: Any, stub: Stub, monkeypatch: pytest.MonkeyPatch, swallows: int, keeps: int, lost: int
) -> None:
    monkeypatch.setattr(nic_module, "OUT_PATIENCE", 0.05)
    stub.swallows, stub.keeps, stub.out = swallows, keeps, [bytes(60)]
    landed = nic.transmit(3, flows(8))
    assert (landed.sent, landed.by_pair, landed.lost) == (8, {3: 8 - lost}, lost)
    assert landed.returned == 8 - keeps
    assert told(nic, "guest") == [(f"sent 8 frames on pair 3: {8 - keeps} buffers came back", None)]


def test_what_was_on_the_wire_before_is_not_the_guests(nic: Any, stub: Stub) -> None:
    stub.transmit = lambda pair, frames: stub.out.extend([*frames, *frames]) or 8  # type: ignore[method-assign,func-returns-value]
    assert nic.transmit(0, flows(8)).twice == 8


def test_witness_that_was_not_asked_is_not_named() -> None:
    view = HostView(1, ONE, 4)
    assert str(Witnesses(Pairs(ONE, "told"), view)) == "told pair 0, the host holds pair 0"
    assert str(Witnesses(Pairs(ONE, "told"), view, Pairs(ONE, "seen"))).endswith(", seen pair 0")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (QueueCounts(2, 1), "tap: 2 attached, 1 detached"),
        (VringsSwitched((2, 3), True), "tap: vrings 2 3 enabled"),
        (VringsSwitched((2,), False), "tap: vrings 2 disabled"),
        (ConnectionChanged(Event.LOST, "by the VMM"), "tap: lost: by the VMM"),
        (ConnectionChanged(Event.LOST, ""), "tap: lost"),
    ],
)
def test_what_changed_on_the_host_is_a_line_of_the_timeline(
    nic: Any, stub: Stub, monkeypatch: pytest.MonkeyPatch, change: Any, line: str
) -> None:
    monkeypatch.setattr(stub, "changes", lambda: [change])
    nic.set_pairs(2)
    assert told(nic, "netlink") == [(line, None)]
