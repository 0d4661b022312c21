"""A network namespace for the tests of this process, where the host allows it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.host import farewell, tun
from harness.host.tap import Tap

_numbers = itertools.count()


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
        farewell.settle()  # what is closed meanwhile would mix the descriptors up, as a VMM's other threads do
        queues = [tun.open_queue(tap.name, multi_queue=tap.pairs > 1) for _ in range(count)]
        for queue in queues:
            undo.callback(os.close, queue)
        return queues

    return open_queues
