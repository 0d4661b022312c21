"""What each rule makes the back end believe, and what it tells the VMM. The back end's own log is the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.endpoints import Connect, Listen
from harness.host.vhost_user.log import EnableChange, Sender
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import MemoryTable, SingleRegion
from harness.host.vhost_user.proxy import Proxy
from harness.host.vhost_user.rules import (
    Add,
    Claim,
    Deny,
    Drop,
    DropLast,
    DropLaterMemory,
    Flip,
    Late,
    OnePairTooMany,
    Rule,
    Swap,
)

from .driver import Memory
from .frontend import FrontEnd

ENABLE = Kind.SET_VRING_ENABLE
Mutate = Callable[[Rule], tuple[Backend, FrontEnd, Proxy]]


@pytest.fixture
def mutate(folder: Path) -> Iterator[Mutate]:
    """Puts a proxy with one rule between a front end with started rings and a back end."""
    with ExitStack() as stack:

        def make(rule: Rule) -> tuple[Backend, FrontEnd, Proxy]:
            backend = stack.enter_context(Backend(Listen(folder / "inner.sock")))
            proxy = stack.enter_context(
                Proxy(Listen(folder / "vu.sock"), Connect(folder / "inner.sock"), [rule])
            )
            front = FrontEnd.connect(folder / "vu.sock")
            stack.callback(front.close)
            front.set_up()
            return backend, front, proxy

        yield make


def rings(*indexes: int) -> set[int]:
    return set(indexes)


def test_drop(mutate: Mutate) -> None:
    rule = Drop(ENABLE, value=1)
    backend, front, proxy = mutate(rule)
    assert [front.enable(ring) for ring in range(4)] == [0, 0, 0, 0]
    assert front.enable(4, False) == 0
    assert backend.enables() == [EnableChange(4, False)]
    assert (rule.struck, len(proxy.log.enables())) == (4, 5)


def test_drop_the_nth(mutate: Mutate) -> None:
    backend, front, _ = mutate(Drop(ENABLE, nth=3))
    front.set_pairs(4)
    assert backend.enabled_rings() == rings(0, 1, 3, 4, 5, 6, 7)


def test_drop_later_memory(mutate: Mutate) -> None:
    rule = DropLaterMemory()
    backend, front, _ = mutate(rule)
    extra = Memory(0x10_0000, guest=0x8000_0000, user=0x7E00_0000_0000)
    table = MemoryTable((front.memory.description, extra.description))
    assert front.tell(Kind.SET_MEM_TABLE, table, [front.memory.fd, extra.fd]) == 0
    assert front.tell(Kind.ADD_MEM_REG, SingleRegion(extra.description), [extra.fd]) == 0
    extra.close()
    assert (backend.memory_regions, rule.struck) == ((front.memory.description,), 2)


def test_drop_without_replies(mutate: Mutate) -> None:
    backend, front, _ = mutate(Drop(ENABLE, ring=1))
    front.need_reply = False
    front.set_pairs(2)
    backend.wait("the last message", lambda b: b.log.entries(ENABLE, ring=7), within=2)
    assert backend.enabled_rings() == rings(0, 2, 3)


def test_deny(mutate: Mutate) -> None:
    backend, front, proxy = mutate(Deny(ENABLE, ring=2))
    assert [front.enable(ring) for ring in range(4)] == [0, 0, 1, 0]
    assert backend.enabled_rings() == rings(0, 1, 3)
    denied = proxy.log.entries(ENABLE, ring=2)[0]
    assert (denied.reply, denied.fault) == (1, "deny SET_VRING_ENABLE of vring 2")


def test_claim(mutate: Mutate) -> None:
    rule = Claim(Kind.GET_QUEUE_NUM, answer=99)
    backend, front, _ = mutate(rule)
    assert front.ask(Kind.GET_QUEUE_NUM) == 99
    assert rule.struck
    assert backend.log.entries(Kind.GET_QUEUE_NUM) == []


def test_add(mutate: Mutate) -> None:
    backend, _, _ = mutate(Add(Kind.SET_FEATURES, bits=1 << 57))
    assert backend.acked_features >> 57 & 1
    assert backend.take_findings()


def test_what_has_no_reply_cannot_be_claimed() -> None:
    with pytest.raises(BadInput, match="SET_FEATURES has no reply of its own"):
        Claim(Kind.SET_FEATURES)


def test_flip(mutate: Mutate) -> None:
    backend, front, proxy = mutate(Flip())
    front.set_pairs(1)
    assert backend.enabled_rings() == rings(2, 3, 4, 5, 6, 7)
    assert (len(proxy.log.enables()), len(proxy.log.entries(ENABLE))) == (8, 8 * 3)
    assert [e.value for e in proxy.log.entries(ENABLE, ring=0) if e.sender is Sender.PROXY] == [0]


def test_late_is_overtaken(mutate: Mutate) -> None:
    backend, front, _ = mutate(Late(ENABLE, ring=3, delay=60))
    front.set_pairs(4)
    assert backend.enabled_rings() == rings(0, 1, 2, 4, 5, 6, 7)


def test_late_arrives(mutate: Mutate) -> None:
    backend, front, _ = mutate(Late(ENABLE, ring=3, delay=0.05))
    assert front.enable(3) == 0
    backend.wait("ring 3", lambda b: b.enabled_rings() == rings(3), within=2)
    assert backend.log.entries(ENABLE)[0].need_reply is False


def test_swap(mutate: Mutate) -> None:
    backend, front, _ = mutate(Swap(ENABLE))
    front.set_pairs(4)
    backend.wait("all", lambda b: len(b.enables()) == 8, within=2)
    assert [ring for ring, _ in backend.enables()] == [1, 0, 3, 2, 5, 4, 7, 6]


@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
def test_drop_the_last(mutate: Mutate, pairs: int) -> None:
    backend, front, _ = mutate(DropLast(4))
    front.set_pairs(pairs)
    assert front.enable(7, pairs == 4) == 0
    assert backend.enabled_rings() == set(range(2 * pairs - 1))


@pytest.mark.parametrize(("pairs", "enabled"), [(1, 2), (2, 3), (3, 4), (4, 4)])
def test_enable_one_pair_too_many(mutate: Mutate, pairs: int, enabled: int) -> None:
    backend, front, _ = mutate(OnePairTooMany(4))
    front.set_pairs(pairs)
    backend.wait_pairs(enabled, within=2)


@pytest.mark.parametrize(
    ("rule", "enabled"), [(DropLast(4), set(range(5))), (OnePairTooMany(4), set(range(8)))]
)
def test_a_vmm_that_sends_only_what_changes_is_altered_alike(
    mutate: Mutate, rule: Rule, enabled: set[int]
) -> None:
    backend, front, _ = mutate(rule)
    front.set_pairs(1)
    for ring in range(2, 6):
        front.enable(ring)
    backend.wait("the last", lambda b: b.enabled_rings() == enabled, within=2)


def test_a_rule_forgets_the_last_connection(mutate: Mutate, folder: Path) -> None:
    backend, front, _ = mutate(OnePairTooMany(4))
    front.set_pairs(3)
    front.close()
    again = FrontEnd.connect(folder / "vu.sock")
    again.set_up()
    again.enable(0)
    again.enable(1)
    backend.wait("two pairs on the second connection", lambda b: b.enabled_pairs() == 2, within=2)
    again.close()


def test_other_messages_are_left_alone(mutate: Mutate) -> None:
    _, front, proxy = mutate(OnePairTooMany(4))
    assert not [each for each in proxy.log if each.fault]
    front.set_pairs(1)
    assert len([each for each in proxy.log if each.fault]) > 0


@pytest.mark.parametrize("rule", [Drop, Deny, Late, Swap])
def test_a_message_with_a_reply_of_its_own_cannot_be_swallowed(rule: Callable[[Kind], Rule]) -> None:
    with pytest.raises(BadInput, match="GET_FEATURES has a reply of its own"):
        rule(Kind.GET_FEATURES)


def test_only_enables_can_be_flipped() -> None:
    with pytest.raises(BadInput, match="SET_VRING_NUM has none"):
        Flip(Kind.SET_VRING_NUM)
