"""A network namespace for the tests of this process, where the host allows it."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.errors import Unavailable
from harness.host import namespace, tun
from harness.host.tap import Tap

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def own_network() -> Iterator[None]:
    """This process sees no network but its own while a module lasts. Other modules may need the one outside."""
    if not os.access(tun.DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"no permission for {tun.DEVICE}: run with sudo")
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        namespace.enter()
    except Unavailable as error:
        os.close(outside)
        pytest.skip(str(error))
    yield
    # the mount namespace cannot be left where another thread shares it: /sys stays as it is until the next entry
    assert _libc.setns(outside, 0) == 0, os.strerror(ctypes.get_errno())
    os.close(outside)
    namespace._entered = False


@pytest.fixture
def name(own_network: None) -> str:
    """A name that no interface of this network has."""
    return f"test{next(_numbers)}"


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    """What a test adds here is undone at its end, in reverse order."""
    with ExitStack() as undo:
        yield undo


@pytest.fixture
def tap(name: str, undo: ExitStack) -> Tap:
    """A tap for four pairs."""
    tap = Tap(name, 4)
    undo.callback(tap.close)
    return tap


@pytest.fixture
def open_queues(undo: ExitStack) -> Callable[[Tap, int], list[int]]:
    """Opens queues of a tap as a VMM would, in this process: descriptors, in the order of the pairs."""

    def open_queues(tap: Tap, count: int) -> list[int]:
        queues = [tun.open_queue(tap.name, multi_queue=tap.pairs > 1) for _ in range(count)]
        for queue in queues:
            undo.callback(os.close, queue)
        return queues

    return open_queues
