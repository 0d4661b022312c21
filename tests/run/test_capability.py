"""What a host can run: found out once, kept while it lasts, tried again where it may have changed."""

from __future__ import annotations

import json
import pickle
import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import DeadlineExceeded, GuestError, HarnessError, Owner, Unavailable, VmmDied, VmmError
from harness.host import kvm
from harness.run import capability
from harness.run.capability import FULL_KVM, Answer, Capabilities, capabilities
from harness.vmm.base import Vmm
from harness.vmm.cloud_hypervisor import CloudHypervisor
from harness.vmm.kvmtool import Kvmtool
from harness.vmm.qemu import Qemu


class Host:
    """A host on which nothing is booted: what each attempt ends with is laid down here, and attempts counted."""

    def __init__(self) -> None:
        self.tries: list[str] = []
        self.ends: dict[str, Exception] = {}
        self.kvm: str | None = None

    def attempt(self, name: str) -> Callable[..., None]:
        def attempt(*_: object) -> None:
            self.tries.append(name)
            if name in self.ends:
                raise self.ends[name]

        return attempt


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    host = Host()
    monkeypatch.setattr(capability, "_answers", host.attempt("probe"))
    monkeypatch.setattr(capability, "_boots_linux", host.attempt("linux"))
    monkeypatch.setattr(capability, "_saves", host.attempt("snapshot"))
    monkeypatch.setattr(kvm, "lacking", lambda: host.kvm)
    monkeypatch.setattr(capability, "build_image", lambda _: tmp_path / "probe-0123")
    monkeypatch.setattr(capability, "stock_kernel", lambda: host.attempt("kernel")() or tmp_path)
    return host


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "vmm"
    path.write_text("a build")
    return path


@pytest.fixture
def vmm(binary: Path) -> CloudHypervisor:
    return CloudHypervisor("base", binary, "v1")


@pytest.fixture
def ask(vmm: Vmm, tmp_path: Path) -> Callable[[], Capabilities]:
    return lambda: capabilities(vmm, lambda: tmp_path, tmp_path / "cache")


Ask = Callable[[], Capabilities]


def test_each_ability_is_tried_and_timed(host: Host, ask: Ask) -> None:
    found = ask()
    assert [answer.works for answer in vars(found).values()] == [True, True, True]
    assert host.tries == ["probe", "kernel", "linux", "snapshot"]
    assert re.fullmatch(r"\d+\.\d\d s", found.probe_guest.detail)
    assert found.lacking("snapshot") is None


def test_answers_are_kept(host: Host, ask: Ask) -> None:
    first = ask()
    host.tries.clear()
    assert ask() == first
    assert host.tries == []


def test_negative_answers_are_kept_with_their_reason(host: Host, ask: Ask) -> None:
    host.ends["snapshot"] = VmmError("base refused vm.snapshot (HTTP 500): no nested state\nmore")
    host.ends["linux"] = GuestError("the VMM closed the serial port while the suite awaited its first line")
    ask()
    host.ends.clear()
    found = ask()
    assert found.snapshot == Answer(False, "base refused vm.snapshot (HTTP 500): no nested state")
    assert (found.linux_guest.works, found.probe_guest.works) == (False, True)
    assert found.lacking("snapshot") == (
        f"this host cannot run it (snapshot: {found.snapshot.detail}); {FULL_KVM}"
    )


def test_what_came_too_late_is_not_kept(host: Host, ask: Ask) -> None:
    host.ends["linux"] = DeadlineExceeded("waited 5 s for a stock kernel's first line", Owner.GUEST)
    assert not ask().linux_guest.works
    host.ends.clear()
    assert ask().linux_guest.works, "the load of one moment hid all Linux tests"


def test_what_came_too_late_twice_is_kept_for_some_hours(
    host: Host, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.ends["linux"] = DeadlineExceeded("waited 5 s for a stock kernel's first line", Owner.GUEST)
    for _ in range(2):
        assert not ask().linux_guest.works
    host.ends.clear()
    assert ask().linux_guest.late, "each run waits once more"
    monkeypatch.setattr(capability, "LATE_IS_KEPT", -1.0)
    assert ask().linux_guest.works, "a slow moment hides all Linux tests for ever"


@pytest.mark.parametrize("why", ["no permission for /dev/kvm: join the group kvm", "/dev/kvm is missing"])
def test_kvm_is_asked_anew_each_time(host: Host, ask: Ask, why: str) -> None:
    assert ask().probe_guest.works
    host.kvm = why
    assert ask().lacking("probe_guest") == f"this host cannot run it (probe guest: {why})"
    host.kvm = None
    assert ask().probe_guest.works


@pytest.mark.parametrize("change", ["another build", "another image", "another kernel"])
def test_changes_are_tried_anew(
    host: Host, ask: Ask, binary: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    ask()
    host.tries.clear()
    match change:
        case "another build":
            binary.write_text(change)
        case "another image":
            monkeypatch.setattr(capability, "build_image", lambda _: Path("probe-4567"))
        case "another kernel":
            monkeypatch.setattr(platform, "release", lambda: change)
    ask()
    assert "probe" in host.tries


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'{"probe_guest": 1}', b'{"probe_guest": {"works": true}}', b"\xff"],
)
def test_broken_file_is_replaced(host: Host, ask: Ask, tmp_path: Path, content: bytes) -> None:
    first = ask()
    (file,) = (tmp_path / "cache").rglob("*.json")
    file.write_bytes(content)
    host.tries.clear()
    assert ask().probe_guest.works is first.probe_guest.works
    assert "probe" in host.tries
    assert json.loads(file.read_text())["probe_guest"]["works"] is True


def test_missing_kernel_is_no_fact_about_the_host(host: Host, ask: Ask, tmp_path: Path) -> None:
    host.ends["kernel"] = Unavailable("apt-get cannot give linux-image-cloud-amd64: run apt-get update")
    found = ask()
    assert found.linux_guest == Answer(False, f"not tried: {host.ends['kernel']}")
    assert found.probe_guest.works
    assert found.snapshot.works
    host.ends.clear()
    assert ask().linux_guest.works


@pytest.mark.parametrize("what", ["kernel", "linux", "snapshot"])
def test_whatever_goes_wrong_in_an_attempt_is_a_reason_and_tried_again(
    host: Host, ask: Ask, what: str
) -> None:
    host.ends[what] = FileNotFoundError(2, "No such file or directory", "lib/modules")
    found = ask()
    lacking = found.snapshot if what == "snapshot" else found.linux_guest
    assert not lacking.works
    assert "lib/modules" in lacking.detail
    assert lacking.detail.endswith("this is a fault of the suite, please report it")
    host.ends.clear()
    assert [answer.works for answer in vars(ask()).values()] == [True, True, True]


@pytest.mark.parametrize("why", ["/dev/kvm is missing", "no permission for /dev/kvm"])
def test_missing_kvm_is_said_and_tried_again(host: Host, ask: Ask, why: str) -> None:
    host.kvm = why
    found = ask()
    assert host.tries == []
    assert why in (found.lacking("probe_guest") or "")
    host.kvm = None
    assert ask().probe_guest.works


def test_qemu_needs_no_kvm(host: Host, binary: Path, tmp_path: Path) -> None:
    host.kvm = "/dev/kvm is missing"
    found = capabilities(Qemu("qemu", binary, "7.2"), lambda: tmp_path, tmp_path / "cache")
    assert [answer.works for answer in vars(found).values()] == [True, True, True]


def test_build_that_cannot_run_even_the_probe_guest_is_not_skipped(host: Host, ask: Ask) -> None:
    host.ends["probe"] = VmmDied("base died (exit status 1) at start; its last words: oh no", 1, "oh no")
    found = ask()
    assert not found.probe_guest.works
    assert [found.lacking(need) for need in vars(found)] == [None] * 3
    assert host.tries == ["probe"]
    host.ends.clear()
    assert ask().probe_guest.works


@pytest.mark.parametrize(
    ("error", "hangs"),
    [(DeadlineExceeded("waited 10 s for nothing", Owner.VMM), True), (VmmDied("it died"), False)],
)
def test_build_that_hangs_is_told_from_one_that_dies(
    host: Host, ask: Ask, error: HarnessError, hangs: bool
) -> None:
    host.ends["probe"] = error
    assert (ask().starts_no_vm, ask().hangs) == (str(error), hangs)


def test_a_call_that_the_builds_own_filter_forbids_is_told_with_its_thread(
    host: Host, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "; thread serial-manager (tid 7) made the system call shutdown (48), which is forbidden to it"
    monkeypatch.setattr(capability, "_forbidden_call", lambda *_: call)
    host.ends["probe"] = VmmDied("base died (killed by SIGSYS) while its serial port was awaited")
    assert ask().probe_guest.detail == f"{host.ends['probe']}{call}"
    host.ends["probe"] = VmmDied("base died (exit status 1) at start")
    assert ask().probe_guest.detail == str(host.ends["probe"])


def test_a_build_whose_filter_forbids_its_serial_socket_is_reached_over_a_terminal(
    vmm: CloudHypervisor, tmp_path: Path, host: Host, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(*_: object) -> None:
        if not vmm.over_pty:
            raise VmmDied("base died (killed by SIGSYS) while its serial port was awaited")

    monkeypatch.setattr(capability, "_answers", answers)
    monkeypatch.setattr(capability, "_forbidden_call", lambda *_: "; thread x made the system call y")
    found = ask()
    assert [answer.works for answer in vars(found).values()] == [True, True, True]
    assert re.fullmatch(
        r"\d+\.\d\d s, over a pseudo-terminal: else base died .* thread x made the system call y",
        found.probe_guest.detail,
    )
    assert pickle.loads(pickle.dumps(vmm)).over_pty  # so it comes to the workers
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_full_disk_costs_only_the_memory_of_it(host: Host, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(capability, "write_atomically", full)
    assert ask().probe_guest.works


def test_header_says_what_works_and_why_not() -> None:
    found = Capabilities(Answer(True, "0.04 s"), Answer(False, "no KVM"), Answer(False, "refused"))
    assert found.lines() == [
        "probe guest: yes (0.04 s)",
        "linux guest: no (no KVM)",
        "snapshot: no (refused)",
    ]


def test_kvm_is_asked_for_a_vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    monkeypatch.setattr(kvm, "KVM", str(device))
    assert (kvm.lacking() or "").startswith(f"{device} is missing: ")
    device.write_text("")  # opens, and is no KVM
    assert kvm.lacking() == f"{device} makes no VM (Inappropriate ioctl for device)"


def test_real_guest_is_booted_on_the_reference(qemu: Vmm, image: Path, tmp_path: Path) -> None:
    capability._answers(qemu, tmp_path)


def test_what_the_host_lacks_is_no_fault_of_the_vmm_that_noticed(
    host: Host, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tests are skipped with its words and the way out, and the next run tries anew."""
    host.ends["probe"] = Unavailable("alpha says 'no vmx': run it elsewhere")
    found = ask()
    assert found.starts_no_vm is None
    assert found.lacking("probe_guest") == (
        "this host cannot run it (probe guest: alpha says 'no vmx': run it elsewhere)"
    )
    host.tries.clear()
    ask()
    assert "probe" in host.tries


def test_words_by_which_a_vmm_blames_the_host_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lkvm"
    path.write_text(
        "#!/bin/sh\necho '  Error: Your CPU does not support hardware virtualization' >&2\nexit 128\n"
    )
    path.chmod(0o755)
    monkeypatch.setattr(capability, "build_image", lambda _: tmp_path / "probe-0123")
    with pytest.raises(Unavailable, match=r"run it where /proc/cpuinfo has one of them$"):
        capability._answers(Kvmtool("lkvm", path, "3"), tmp_path)
