"""A macvtap and its one witness, with this process in the VMM's place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deadline import wait_until
from harness.errors import Owner, Unavailable
from harness.host import macvtap as module
from harness.host import namespace, tap, tun
from harness.host.backend import HostView, Place
from harness.host.flows import flows
from harness.host.macvtap import Macvtap
from harness.host.real_backends.find import lacking

US = os.getpid()


def interfaces() -> set[Path]:
    return set(Path("/sys/class/net").iterdir())


FRAMES = [flow.frame(b"\2\0\0\0\1\0", number) for number, flow in enumerate(flows(64))]


@pytest.fixture
def macvtap(name: str, tmp_path: Path) -> Iterator[Macvtap]:
    if (why := Macvtap.lacking()) is not None:
        pytest.skip(why)
    made = Macvtap(Place(name, tmp_path), 4)
    yield made
    made.close()


def received(macvtap: Macvtap) -> list[int]:
    """Frames that come out of each queue, until all have."""
    counts = [0] * macvtap.pairs

    def all_in() -> bool:
        for pair, fd in enumerate(macvtap.descriptors):
            try:
                while os.read(fd, 4096):
                    counts[pair] += 1
            except BlockingIOError:
                continue
        return sum(counts) == len(FRAMES)

    wait_until("frames in the queues", all_in, owed_by=Owner.HOST, within=5.0, last=lambda: counts)
    return counts


@pytest.mark.parametrize("detached", [[], [3], [2, 1], [0]], ids=str)
def test_queues_that_are_attached_are_seen_and_left_as_they_are(
    macvtap: Macvtap, detached: list[int]
) -> None:
    for pair in detached:
        tun.set_queue(macvtap.descriptors[pair], attach=False)
    attached = {0, 1, 2, 3} - set(detached)
    for _ in range(2):
        assert macvtap.view(US) == HostView(len(attached), frozenset(attached), 4)
    macvtap.inject(FRAMES)
    assert {pair for pair, count in enumerate(received(macvtap)) if count} == attached


def test_what_the_guest_sends_comes_out_of_the_wire(macvtap: Macvtap) -> None:
    os.write(macvtap.descriptors[2], bytes(10) + FRAMES[0])
    found = wait_until("the frame", macvtap.capture, owed_by=Owner.HOST, within=5.0)
    assert found == [FRAMES[0]]


def test_nothing_is_left(name: str, tmp_path: Path) -> None:
    before = interfaces()
    Macvtap(Place(name, tmp_path), 2).close()
    assert interfaces() == before


def test_host_without_it_says_so_with_the_way_out(monkeypatch: pytest.MonkeyPatch, own_network: None) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("this kernel has no macvtap: load it with modprobe macvtap")

    monkeypatch.setattr(module, "Macvtap", refuse)
    module._lacking.cache_clear()
    assert lacking("macvtap", {}) == "this kernel has no macvtap: load it with modprobe macvtap"
    module._lacking.cache_clear()


def test_network_without_a_sysfs_of_its_own_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespace, "has_own_sysfs", lambda: False)
    with pytest.raises(Unavailable, match="which shows another network here"):
        Macvtap(Place(name, tmp_path), 1)


def test_vhost_net_is_there_or_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tap, "VHOST_NET", tmp_path / "vhost-net")
    assert "modprobe vhost_net" in (lacking("vhost-net", {}) or "")
    (tmp_path / "vhost-net").touch()
    assert lacking("vhost-net", {}) is None
