"""What a run is about, on its way to the workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import BadInput, Unavailable
from harness.guest.linux.image import LinuxImage
from harness.host import trouble, tun
from harness.run import session as session_module
from harness.run.capability import Answer, Capabilities
from harness.run.session import Session, _check_rights, prepare
from harness.scratch import Scratch
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
    assert (copy.capabilities, copy.seed, copy.evidence) == (session.capabilities, 42, Path("/evidence"))
    assert copy.vmm("qemu").path == Path("/q")


def test_random_choices_are_the_same_on_every_worker(session: Session) -> None:
    copy = Session.unpack(session.pack())
    assert [session.random("t").random() for _ in range(3)] == [copy.random("t").random() for _ in range(3)]


def test_random_choices_differ_by_test_and_by_seed(session: Session) -> None:
    other = Session(session.vmms, session.capabilities, 43)
    assert len({session.random("a").random(), session.random("b").random(), other.random("a").random()}) == 3


def test_too_few_files_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "_most_files", lambda: 255)
    with pytest.raises(Unavailable, match=r"ulimit -n is 255, 256 are needed\): raise it, ulimit -n 1024$"):
        _check_rights()
    monkeypatch.setattr(trouble, "_most_files", lambda: 256)
    _check_rights()


def test_missing_tun_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tun, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(
        Unavailable,
        match=r"tun is missing: load the module with modprobe tun, or give the container --device",
    ):
        _check_rights()


def test_forbidden_tun_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(Unavailable, match=r"^no permission for /dev/net/tun: run again with sudo$"):
        _check_rights()


@pytest.fixture
def qemu_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    """A session can be prepared for one build that runs Linux guests."""
    monkeypatch.setattr(session_module, "_check_rights", lambda: None)
    monkeypatch.setattr(session_module, "find_vmms", lambda _: [Qemu("qemu", Path("/q"), "7.2")])
    monkeypatch.setattr(session_module, "capabilities", lambda *_: Capabilities(YES, YES, YES))
    scratch = Scratch()
    yield scratch
    scratch.close()


def test_whatever_goes_wrong_while_the_image_is_made_is_why_linux_tests_are_skipped(
    qemu_build: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> LinuxImage:
        raise FileNotFoundError(2, "No such file or directory", "lib/modules")

    monkeypatch.setattr(session_module, "linux_image", fail)
    found = prepare([], 1, qemu_build)
    assert found.linux is None
    assert "the Linux guest's image cannot be made (FileNotFoundError" in found.no_linux


def test_a_kernel_of_ones_own_that_is_none_ends_the_run(qemu_build: Scratch, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no kernel")
    with pytest.raises(BadInput, match="is not a Linux kernel"):
        prepare([], 1, qemu_build, tmp_path / "text", tmp_path / "text")
