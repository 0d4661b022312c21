"""The lab's machine as it is, emulated by QEMU: it takes minutes, and packages from a mirror the first time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.deadline import wait_until
from harness.errors import HarnessError, Owner
from harness.lab.client import Lab, LabGone
from harness.lab.image import lab_image
from harness.lab.machine import PROCESSOR, cpus
from harness.lab.state import State
from harness.vmm.find import QEMU_PROGRAM
from tests.lab.test_lab import finished, is_gone

pytestmark = pytest.mark.slow

KEEPER = str(Path(__file__).with_name("real_keeper.py"))
MakeRealLab = Callable[..., Lab]


@pytest.fixture(scope="module")
def make_lab(qemu: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRealLab]:
    """A lab of its own, down after the tests. `words` are pairs: a word of its command line, and another for it."""
    try:
        lab_image()
    except HarnessError as error:
        pytest.skip(str(error))
    with ExitStack() as undo:

        def make(*words: str, limits: str = "") -> Lab:
            place = State(tmp_path_factory.mktemp("real") / "lab")
            lab = Lab(place, (KEEPER, str(place.folder), limits, "--", *words))
            undo.callback(lab.down)
            lab.start()
            return lab

        yield make


@pytest.fixture(scope="module")
def lab(make_lab: MakeRealLab) -> Lab:
    """One that is up."""
    lab = make_lab(limits="beat=1,silence=15")
    lab.await_ready()
    return lab


def machine_of(lab: Lab) -> int:
    """The process of a lab's QEMU."""
    status = lab.status()
    assert status is not None
    children = Path(f"/proc/{status.pid}/task/{status.pid}/children").read_text().split()
    named = [int(pid) for pid in children if QEMU_PROGRAM in Path(f"/proc/{pid}/cmdline").read_text()]
    return named[0]


def test_processor_without_svm_is_told_by_the_module_that_needs_it(make_lab: MakeRealLab) -> None:
    lab = make_lab(PROCESSOR, f"{PROCESSOR},svm=off")
    with pytest.raises(LabGone, match="the lab cannot start: the kernel does not load its module kvm_amd"):
        lab.await_ready()
    assert lab.status() is None


def test_files_of_the_host_are_there_and_read_only(lab: Lab) -> None:
    code, printed = finished(lab, "sh", "-c", f"cat {__file__}; touch {__file__}")
    assert printed.startswith(Path(__file__).read_bytes())
    assert printed.endswith(b"Read-only file system\n")
    assert code == 1


def test_kvm_is_kept_awake_and_every_cpu_runs(lab: Lab) -> None:
    code, printed = finished(lab, "sh", "-c", "nproc; ls -l /proc/1/fd")
    assert code == 0
    assert printed.startswith(b"%d\n" % cpus())
    assert b"anon_inode:kvm-vcpu:0" in printed


def test_machine_that_hangs_is_noticed_and_started_anew(lab: Lab) -> None:
    machine = machine_of(lab)
    connection = lab.run(["sleep", "1000"])
    os.kill(machine, signal.SIGSTOP)
    with pytest.raises(
        LabGone, match=r"the lab has not answered for \d+ s \(ready\); its console's last lines"
    ):
        list(connection.frames())
    wait_until("the machine to be gone", lambda: is_gone(machine), owed_by=Owner.HOST, within=10)
    lab.await_ready()
    assert machine_of(lab) != machine
