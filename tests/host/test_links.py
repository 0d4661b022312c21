"""What our few words of rtnetlink say is what a library's many say."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute

from harness.host import farewell, links, tun
from harness.host.links import Links


@pytest.fixture
def ours(own_network: None) -> Iterator[Links]:
    made = Links()
    yield made
    made.close()


@pytest.fixture
def queues() -> Iterator[list[int]]:
    """Two attached queues of the tap `reference`."""
    held = [tun.open_queue("reference", multi_queue=True) for _ in range(3)]
    tun.set_queue(held[2], attach=False)
    yield held
    for queue in held:
        os.close(queue)


def index() -> int:
    found = links.index_of("reference")
    assert found is not None
    return found


def test_counts_are_those_of_the_library(ours: Links, queues: list[int]) -> None:
    with IPRoute() as theirs:
        (link,) = theirs.get_links(index())
    data = link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    counts = (data.get_attr("IFLA_TUN_NUM_QUEUES"), data.get_attr("IFLA_TUN_NUM_DISABLED_QUEUES"))
    assert ours.get(index()).queue_counts == counts == (2, 1)


def test_state_is_changed_as_the_library_sees_it(ours: Links, queues: list[int]) -> None:
    with IPRoute() as theirs:
        for up in (True, False):
            ours.set_up(index(), up)
            assert theirs.get_links(index())[0]["state"] == ("up" if up else "down")
        ours.set_up(index(), True)
        for on in (False, True):
            ours.set_carrier(index(), on)
            (link,) = theirs.get_links(index())
            assert bool(link.get_attr("IFLA_CARRIER")) is on is ours.get(index()).carrier
        assert ours.get(index()).qdisc == theirs.get_links(index())[0].get_attr("IFLA_QDISC")


def test_interface_that_is_not_there_is_an_error(ours: Links) -> None:
    for ask in (ours.get, ours.delete):
        with pytest.raises(OSError, match="No such device"):
            ask(99999)
    assert links.index_of("not-there") is None


@pytest.mark.parametrize("data", [b"", b"\0" * 15, b"\0" * 16, b"\xff" * 40, bytes([4, 0, 0, 0]) * 9])
def test_rubbish_is_no_event(data: bytes) -> None:
    assert list(links.events(data)) == []


def test_what_is_given_up_goes_many_at_a_time(own_network: None) -> None:
    names = [f"given-up-{number}" for number in range(farewell.TOGETHER)]
    for name in names:
        tun.create_persistent(name, multi_queue=False)
        found = links.index_of(name)
        assert found is not None
        farewell.dismiss(Links(), found)
    farewell.settle()
    assert not {name for _, name in socket.if_nameindex()} & set(names)


def test_what_is_gone_already_is_no_error(own_network: None) -> None:
    farewell.dismiss(Links(), 99999)
    farewell.settle()
