"""Labs without an emulated machine: the agent, or something that fails, runs on this host."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.lab.client import Lab
from harness.lab.state import State

KEEPER = str(Path(__file__).with_name("fake_keeper.py"))
AGENT = (sys.executable, "-m", "harness.lab.agent", "--descriptor", "@PORT@")

MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[MakeLab]:
    """A lab whose machine is this command; `limits` are those of the keeper. It is down after the test."""
    with ExitStack() as undo:

        def make(*machine: str, limits: str = "beat=0.05") -> Lab:
            place = State(tmp_path / "lab")
            lab = Lab(place, (KEEPER, str(place.folder), limits, "--", *machine))
            undo.callback(lab.down)
            return lab

        yield make


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that is ready: its agent runs on this host."""
    place = State(tmp_path_factory.mktemp("ready") / "lab")
    lab = Lab(place, (KEEPER, str(place.folder), "beat=0.05,mercy=0.2", "--", *AGENT))
    lab.start()
    lab.await_ready()
    yield lab
    lab.down()
