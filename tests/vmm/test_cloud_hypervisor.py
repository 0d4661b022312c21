"""cloud-hypervisor's driver against a fake that starts wrong, answers wrong, or dies."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, HarnessError, Owner, VmmDied, VmmError
from harness.vmm import cloud_hypervisor
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VhostUserSocket, Vm, VmConfig
from harness.vmm.cloud_hypervisor import CloudHypervisorVm, net_option
from harness.vmm.cloud_hypervisor_files import timed_lines
from tests.vmm.conftest import Start
from tests.vmm.fakes import processes_naming, said

NIC = NicConfig("net0", "02:00:00:00:01:00", 4, TapByName("tap0"))


@pytest.fixture
def healthy(start: Start) -> CloudHypervisorVm:
    vm = start("api-healthy")
    assert isinstance(vm, CloudHypervisorVm)
    return vm


# Start


@pytest.mark.parametrize("behaviour", ["dies-at-start", "dies-after-its-api-socket"])
def test_death_at_start_gives_status_and_words(start: Start, behaviour: str) -> None:
    with pytest.raises(
        VmmDied,
        match=r"^fake died \(exit status 1\) at start; it said: the fake VMM was told to fail: it obeyed$",
    ):
        start(behaviour)


def test_start_that_hangs_is_ended_with_its_last_words(
    start: Start, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(reason: str, probe: Callable[[], object], **options: Any) -> object:
        wait_until("the fake's words", (workdir / "vmm.log").read_text, owed_by=Owner.HOST, within=10)
        return wait_until(reason, probe, **{**options, "within": 0.05})

    monkeypatch.setattr(cloud_hypervisor, "wait_until", impatient)
    with pytest.raises(DeadlineExceeded, match=r"for fake to open its serial .*seen: still opening things$"):
        start("hangs-at-start")


def test_start_that_the_user_interrupts_leaves_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cloud_hypervisor, "wait_until", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start("hangs-at-start")


def test_program_that_cannot_be_executed_is_named(start: Start, tmp_path: Path, workdir: Path) -> None:
    vmm = start("api-healthy").vmm
    vmm.path = tmp_path / "gone"
    with pytest.raises(VmmDied, match=r"died \(exit status 127\) at start; .*gone: not found"):
        vmm.launch(VmConfig(kernel=None), Launch(workdir))


# Calls


def test_healthy_api_is_understood(healthy: CloudHypervisorVm) -> None:
    assert healthy.info()["memory_actual_size"] == 1
    assert healthy.state() == "running"
    healthy.pause()
    healthy.resume()
    healthy.remove_nic("net0")
    assert "request: PUT /api/v1/vm.remove-device" in healthy.log()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("api-rubbish", "fake answered rubbish to vm.info"),
        ("api-hangs-up", "fake answered rubbish to vm.info"),
        ("api-bad-json", 'fake answered vm.info with what is not JSON .*: \'{"state"'),
        ("api-not-utf-8", "fake answered vm.info with what is not JSON"),
        ("api-deep", "fake answered vm.info with what is n"),
        ("api-has-no-end", "fake answered rubbish to vm.info: it is longer than 4 MiB"),
        ("api-has-no-end-of-headers", "fake answered rubbish to vm.info: got more than 100 headers"),
        ("api-continues", "fake answered rubbish to vm.info: it is longer than 4 MiB"),
        ("api-refuses-with-escapes", "\ufffd.31mred: \ufffd]0;title\ufffd$"),
        ("api-not-an-object", r"fake answered vm.info with \[1, 2\]"),
        ("api-refuses", r"refused vm.info \(HTTP 500\): Error from API: The VM could not boot$"),
        ("api-refuses-in-plain-text", r"refused vm.info \(HTTP 500\): no, and no list of causes either$"),
        ("api-refuses-oddly", r"refused vm.info \(HTTP 400\): .*other things"),
    ],
)
def test_wrong_answers_are_one_sentence(start: Start, behaviour: str, words: str) -> None:
    vm = start(behaviour)
    with pytest.raises(VmmError, match=words) as caught:
        vm.info()
    assert not isinstance(caught.value, VmmDied)
    assert "\n" not in str(caught.value)
    assert vm.exit_status() is None


def test_call_that_hangs_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_hypervisor, "CALL_PATIENCE", 0.1)
    vm = start("api-hangs")
    with pytest.raises(DeadlineExceeded, match=r"waited .* s for fake to answer vm\.info; its last words: "):
        vm.info()


def test_question_is_put_once_however_late_the_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_hypervisor, "GLANCE", 0.05 / PACE)
    vm = start("api-is-late")
    assert vm.state() == "running"
    assert vm.log().count("request: GET") == 1


@pytest.mark.parametrize("behaviour", ["api-drips", "api-drips-headers"])
def test_answer_that_drips_is_given_up_in_time(
    start: Start, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    monkeypatch.setattr(cloud_hypervisor, "CALL_PATIENCE", 0.3)
    vm = start(behaviour)
    assert isinstance(vm, CloudHypervisorVm)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"waited .* s for fake to answer vm\.info"):
        vm.call("GET", "vm.info", within=0.3)
    assert time.monotonic() - began < 5 * PACE


def test_answer_without_what_belongs_there_is_no_raw_exception(start: Start) -> None:
    vm = start("api-has-no-state")
    assert vm.state() == "in no state"
    with pytest.raises(VmmError, match=r"fake answered vm\.info without a list of NICs: KeyError"):
        vm.await_removal("net0")


def test_panic_that_leaves_a_call_unanswered_is_told_early(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_hypervisor, "GLANCE", 0.1)
    vm = start("api-panics")
    with pytest.raises(
        DeadlineExceeded,
        match=r"waited 0 s .*: thread 'vmm' panicked at src/vm\.rs:1:1: index out of bounds$",
    ):
        vm.info()


def test_death_in_a_call_gives_signal_and_words(start: Start) -> None:
    vm = start("api-dies")
    with pytest.raises(
        VmmDied, match=r"died \(killed by SIGABRT\) while answering vm\.info; (.|\n)*panicked"
    ):
        vm.info()


def test_call_to_a_dead_vmm_says_that_it_died(healthy: CloudHypervisorVm) -> None:
    os.kill(healthy.pid, signal.SIGKILL)
    healthy.process.wait(5)
    with pytest.raises(VmmDied, match=r"died \(killed by SIGKILL\) while answering vm\.pause"):
        healthy.pause()


def test_every_error_of_a_call_is_one_that_users_are_shown(start: Start) -> None:
    vm = start("api-rubbish")
    for call in (vm.state, vm.pause):
        with pytest.raises(HarnessError):
            call()


# Stop


def test_stopping_twice_or_dead_is_no_error(healthy: CloudHypervisorVm) -> None:
    healthy.stop()
    healthy.stop()
    assert str(healthy.exit_status()) == "killed by SIGKILL"


def test_vm_is_stopped_when_its_block_is_left(start: Start, tmp_path: Path) -> None:
    with start("api-healthy") as vm:
        assert vm.exit_status() is None
        assert len(processes_naming(str(tmp_path))) == 1
    assert vm.exit_status() is not None
    assert processes_naming(str(tmp_path)) == []


# Words on the command line


def test_seccomp_is_always_on_and_the_log_is_kept(healthy: CloudHypervisorVm) -> None:
    arguments = said(healthy.log(), "arguments")
    assert arguments[arguments.index("--seccomp") + 1] == "true"
    assert "-v" in arguments


def test_environment_holds_nothing_that_changes_rusts_behaviour(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUST_BACKTRACE", "1")
    monkeypatch.setenv("RUST_LOG", "trace")
    monkeypatch.setenv("KEPT", "yes")
    environment = said(start("api-healthy").log(), "environment")
    assert environment["KEPT"] == "yes"
    assert [name for name in environment if name.startswith("RUST_")] == []


@pytest.mark.parametrize(
    ("nic", "place"),
    [
        (TapByName("tap0"), "tap=tap0"),
        (TapByFds((7, 8)), "fd=[7,8]"),
        (VhostUserSocket(Path("/s")), "vhost_user=true,socket=/s,vhost_mode=client"),
        (VhostUserSocket(Path("/s"), server=True), "vhost_user=true,socket=/s,vhost_mode=server"),
    ],
    ids=["tap", "descriptors", "client", "server"],
)
def test_net_option_counts_virtqueues(nic: TapByName, place: str) -> None:
    option = net_option(NicConfig("net0", "02:00:00:00:01:00", 2, nic, queue_size=128))
    assert option == f"id=net0,mac=02:00:00:00:01:00,num_queues=4,queue_size=128,{place}"


def test_nic_reaches_the_command_line(start: Start) -> None:
    arguments = said(start("api-healthy", NIC).log(), "arguments")
    assert arguments[arguments.index("--net") + 1] == net_option(NIC)


# The event monitor


def test_events_are_read_as_far_as_they_are_written(healthy: CloudHypervisorVm, workdir: Path) -> None:
    assert healthy.events() == []
    entry = {"timestamp": {"secs": 1, "nanos": 500_000_000}, "source": "vm", "event": "booted"}
    text = json.dumps(entry, indent=2) + "\n\n" + json.dumps({**entry, "event": "paused"})
    (workdir / "events").write_text(text + '\n{"timestamp": {"se')
    assert [(event.seconds, event.event) for event in healthy.events()] == [(1.5, "booted"), (1.5, "paused")]


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[1]",
        b"7",
        b'{"timestamp": {"secs": "x", "nanos": 0}, "source": "vm", "event": "x"}',
        b'{"timestamp": {"secs": ' + b"9" * 5000 + b', "nanos": 0}}',
        b'{"timestamp": {"secs": ' + b"9" * 400 + b', "nanos": 0}, "source": "a", "event": "b"}',
        b"[" * 200_000,
    ],
    ids=["empty", "list", "number", "text", "digits", "large", "deep"],
)
def test_events_that_are_none_are_one_sentence(
    healthy: CloudHypervisorVm, workdir: Path, content: bytes
) -> None:
    (workdir / "events").write_bytes(content)
    with pytest.raises(VmmError, match="the VMM's event monitor wrote what is no event"):
        healthy.events()


def test_a_time_of_many_digits_is_none() -> None:
    log = b"cloud-hypervisor: " + b"9" * 400 + b".5s: <vmm> INFO:x\ncloud-hypervisor: 0.5s: <vmm> INFO:y\n"
    assert [line.seconds for line in timed_lines(log, 100)] == [0.5]
    assert [line.end for line in timed_lines(log, 100)] == [100 + len(log) - 1]


def test_vm_of_the_base_class_is_what_tests_hold(healthy: CloudHypervisorVm) -> None:
    vm: Vm = healthy
    vm.check_alive("looking")
    assert vm.pid == healthy.process.pid


def test_memory_of_a_dead_vmm_is_not_waited_for(healthy: CloudHypervisorVm) -> None:
    os.kill(healthy.pid, signal.SIGKILL)
    with pytest.raises(VmmDied, match="killed by SIGKILL"):
        healthy.guest_memory()
