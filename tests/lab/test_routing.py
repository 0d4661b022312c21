"""Which tests go to the lab."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from harness.guest.linux.image import LinuxImage
from harness.lab.routing import goes_to_lab
from harness.run.capability import Answer, Capabilities
from harness.run.session import Session
from harness.vmm.abilities import Ability

YES, NO = Answer(True, ""), Answer(False, "a reason")
IMAGE = LinuxImage(Path("kernel"), Path("initramfs"))


class Mark(NamedTuple):
    """As much of pytest's as routing looks at: the real ones must be declared."""

    name: str
    args: tuple[Ability, ...]


def make_item(*marks: Mark, **crossed: str | None) -> Any:
    """A test that is crossed with this, as far as routing looks at it."""
    return SimpleNamespace(
        callspec=SimpleNamespace(params=crossed),
        iter_markers=lambda name: (mark for mark in marks if mark.name == name),
        get_closest_marker=lambda name: next((mark for mark in marks if mark.name == name), None),
    )


def make_session(able: Capabilities, *, needs_kvm: bool = True, image: LinuxImage | None = IMAGE) -> Session:
    can = frozenset({Ability.SNAPSHOT, Ability.FIRMWARE})
    vmm: Any = SimpleNamespace(name="alpha", needs_kvm=needs_kvm, abilities=can)
    return Session(vmms=(vmm,), capabilities={"alpha": able}, seed=1, linux=image)


NO_LINUX = Capabilities(probe_guest=YES, linux_guest=NO, snapshot=NO)
ALL = Capabilities(probe_guest=YES, linux_guest=YES, snapshot=YES)
SNAPSHOT = Mark("needs", (Ability.SNAPSHOT,))


@pytest.mark.parametrize(
    ("driver", "marks", "goes"),
    [
        ("probe", [], False),
        ("probe", [SNAPSHOT], True),
        ("linux", [], True),
        ("firmware", [], True),
        ("linux", [Mark("needs", (Ability.HOT_PLUG,))], False),
        ("linux", [Mark("needs", (Ability.FIRMWARE,))], True),
    ],
)
def test_what_the_host_lacks_goes_to_the_lab(driver: str, marks: list[Mark], goes: bool) -> None:
    item = make_item(*marks, vmm="alpha", driver=driver)
    assert goes_to_lab(item, make_session(NO_LINUX)) is goes
    assert not goes_to_lab(item, make_session(ALL))


def test_always_takes_what_the_host_could_run() -> None:
    item = make_item(vmm="alpha", driver="probe")
    assert goes_to_lab(item, make_session(ALL), always=True)
    assert not goes_to_lab(item, make_session(ALL, needs_kvm=False), always=True)


@pytest.mark.parametrize(
    "crossed",
    [{"vmm": "alpha"}, {"vmm": "alpha", "driver": "linux", "writer": None}],
    ids=["no-driver", "no-writer"],
)
def test_what_would_be_skipped_anyway_stays_here(crossed: dict[str, str | None]) -> None:
    assert not goes_to_lab(make_item(**crossed), make_session(NO_LINUX))


def test_linux_guests_without_an_image_stay_here_and_are_skipped() -> None:
    item = make_item(vmm="alpha", driver="linux")
    assert not goes_to_lab(item, make_session(NO_LINUX, image=None))


def test_vmm_whose_own_fault_it_is_is_judged_here() -> None:
    broken = Capabilities(*[Answer(False, "it panicked", vmm_fails=True)] * 3)
    assert not goes_to_lab(make_item(vmm="alpha", driver="linux"), make_session(broken))
