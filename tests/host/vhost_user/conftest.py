from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.host import farewell
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.endpoints import Listen
from harness.host.vhost_user.offer import Offer

from .frontend import FrontEnd, open_descriptors


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test must give back what it opened: descriptors, threads."""
    farewell.settle()  # its thread stays for the process
    before, threads = open_descriptors(), set(threading.enumerate())
    yield
    after = open_descriptors()
    assert {fd: after[fd] for fd in after.keys() - before.keys()} == {}
    assert set(threading.enumerate()) <= threads


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, since socket paths are limited; the test must leave it empty."""
    with tempfile.TemporaryDirectory(prefix="vu-") as name:
        yield Path(name)
        assert list(Path(name).iterdir()) == []


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "vu.sock"


@pytest.fixture
def backend(path: Path) -> Iterator[Backend]:
    """A listening back end of four pairs; findings that the test does not take fail it."""
    with Backend(Listen(path)) as running:
        yield running


@pytest.fixture
def offering(path: Path) -> Iterator[Callable[[Offer], Backend]]:
    """Starts a listening back end with another offer."""
    with ExitStack() as stack:
        yield lambda offer: stack.enter_context(Backend(Listen(path), offer))


@pytest.fixture
def connect(path: Path) -> Iterator[Callable[[], FrontEnd]]:
    """Connects a further front end."""
    with ExitStack() as stack:

        def make() -> FrontEnd:
            front = FrontEnd.connect(path)
            stack.callback(front.close)
            return front

        yield make


@pytest.fixture
def front(backend: Backend, connect: Callable[[], FrontEnd]) -> FrontEnd:
    """A front end connected to `backend`, nothing said yet."""
    return connect()


@pytest.fixture
def running(front: FrontEnd) -> FrontEnd:
    """A front end whose rings are all started and all disabled."""
    front.set_up()
    return front
