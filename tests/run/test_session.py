"""What a run is about, on its way to the workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.host import tun
from harness.run.capability import Answer, Capabilities
from harness.run.session import Session, _check_rights
from harness.vmm.cloud_hypervisor import CloudHypervisor
from harness.vmm.qemu import Qemu

YES, NO = Answer(True, "0.1 s"), Answer(False, "no KVM")


@pytest.fixture
def session() -> Session:
    vmms = (CloudHypervisor("base", Path("/b"), "v1"), Qemu("qemu", Path("/q"), "7.2"))
    return Session(vmms, dict.fromkeys(["base", "qemu"], Capabilities(YES, NO, NO)), 42, Path("/evidence"))


def test_worker_gets_what_the_main_process_has(session: Session) -> None:
    copy = Session.unpack(session.pack())
    assert [repr(vmm) for vmm in copy.vmms] == [repr(vmm) for vmm in session.vmms]
    assert (copy.abilities, copy.seed, copy.evidence) == (session.abilities, 42, Path("/evidence"))
    assert copy.vmm("qemu").path == Path("/q")


def test_random_choices_are_the_same_on_every_worker(session: Session) -> None:
    copy = Session.unpack(session.pack())
    assert [session.random("t").random() for _ in range(3)] == [copy.random("t").random() for _ in range(3)]


def test_random_choices_differ_by_test_and_by_seed(session: Session) -> None:
    other = Session(session.vmms, session.abilities, 43)
    assert len({session.random("a").random(), session.random("b").random(), other.random("a").random()}) == 3


def test_missing_tun_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tun, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(Unavailable, match=r"tun is missing: load the module with modprobe tun$"):
        _check_rights()


def test_forbidden_tun_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(Unavailable, match=r"^no permission for /dev/net/tun: run again with sudo$"):
        _check_rights()
