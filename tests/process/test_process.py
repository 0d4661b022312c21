"""A VMM's process: its output, its end, its ties to whoever started it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, Owner, Unavailable
from harness.process.child import VmmProcess
from harness.process.exit_status import ExitStatus
from harness.process.last_words import FORBIDDEN, own_words

Run = Callable[..., VmmProcess]
FOREVER = "import signal; print('up', flush=True); signal.pause()"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts Python code as if it were a VMM; it is stopped at the end of the test."""
    started: list[VmmProcess] = []

    def start(code: str, pass_fds: Sequence[int] = ()) -> VmmProcess:
        process = VmmProcess([sys.executable, "-SEc", code], tmp_path / "log", pass_fds=pass_fds)
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


def gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has reaped it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("pass", ExitStatus(0), "exit status 0"),
        ("raise SystemExit(3)", ExitStatus(3), "exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", ExitStatus(137, "SIGKILL"), "killed by SIGKILL"),
        ("import os; os.kill(os.getpid(), 31)", ExitStatus(159, "SIGSYS"), "killed by SIGSYS"),
        ("import os; os.kill(os.getpid(), 40)", ExitStatus(168, "signal 40"), "killed by signal 40"),
    ],
    ids=["well", "status", "killed", "seccomp", "unnamed"],
)
def test_end_is_told_as_the_shell_does(run: Run, code: str, status: ExitStatus, words: str) -> None:
    process = run(code)
    assert process.wait(10) == status
    assert process.exit_status() == status
    assert str(status) == words


@pytest.mark.parametrize(
    "said",
    [
        "cloud-hypervisor: 1.2s: <vcpu0> WARN: x\n==== Possible seccomp violation ====\nTry running with strace",
        "[1][2][a.rs:3]:ERROR: Can't set irq\nseccomp violation, Try running with `strace -ff` to identify the cause.",
    ],
    ids=["cloud-hypervisor", "stratovirt"],
)
def test_an_end_by_its_own_filter_is_told_before_what_it_calls_errors(said: str) -> None:
    assert own_words(said) == FORBIDDEN


def test_living_process_has_no_exit_status(run: Run) -> None:
    process = run(FOREVER)
    assert process.exit_status() is None
    with pytest.raises(
        DeadlineExceeded, match=rf"waited {0.1 * PACE:.1f} s for process {process.pid} .* still runs"
    ):
        process.wait(0.1)


def test_pid_is_the_programs_own(run: Run) -> None:
    process = run("import os; print(os.getpid())")
    process.wait(10)
    assert int(process.output()) == process.pid


def test_output_of_both_streams_is_kept_without_nul_bytes(run: Run) -> None:
    process = run(r"import sys; print('a\0b'); sys.stdout.flush(); sys.stderr.buffer.write(b'\xffc\n\0\0')")
    process.wait(10)
    assert process.output() == "ab\n\ufffdc\n"


def test_tail_is_the_last_lines(run: Run) -> None:
    process = run("print(*range(30), sep='\\n')")
    process.wait(10)
    assert process.tail(3) == "27\n28\n29"
    assert len(process.tail().splitlines()) == 12


def test_environment_is_ours_without_rusts_switches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_BACKTRACE", "full")
    monkeypatch.setenv("RUSTLESS", "kept")
    process = run("import os; print([name for name in os.environ if name.startswith('RUST')])")
    process.wait(10)
    assert "RUSTLESS" in process.output()
    assert "RUST_" not in process.output()


def test_descriptors_are_handed_over_by_number_and_no_others(run: Run) -> None:
    handed, ours = os.pipe()
    process = run(f"import os; os.fstat({handed}); print('has it'); os.fstat({ours})", pass_fds=(handed,))
    process.wait(10)
    os.close(handed)
    os.close(ours)
    assert "has it" in process.output()
    assert "Bad file descriptor" in process.output()


def test_stop_ends_it_whatever_it_does(run: Run) -> None:
    process = run("import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()")
    wait_until("the process to be up", process.output, owed_by=Owner.HOST, within=10)
    process.stop()
    assert process.exit_status() == ExitStatus(137, "SIGKILL")
    process.stop()


def test_process_dies_with_the_thread_that_started_it(run: Run) -> None:
    release = threading.Event()
    started: list[VmmProcess] = []

    def start_and_wait() -> None:
        started.append(run(FOREVER))
        release.wait(10)

    thread = threading.Thread(target=start_and_wait)
    thread.start()
    wait_until("the process to be up", lambda: started and started[0].output(), owed_by=Owner.HOST, within=10)
    assert not gone(started[0].pid)
    release.set()
    wait_until(
        "the process to die with its thread", lambda: gone(started[0].pid), owed_by=Owner.HOST, within=5
    )
    assert started[0].exit_status() == ExitStatus(137, "SIGKILL")


def test_process_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = os.fork()
    if not parent:  # only the kernel is left to clean up after this one
        VmmProcess([sys.executable, "-SEc", "import os; print(os.getpid(), flush=True)\n" + FOREVER], log)
        signal.pause()
    words = wait_until(
        "the process to be up", lambda: log.read_text() if log.exists() else "", owed_by=Owner.HOST, within=10
    )
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_until(
        "the process to die with its parent",
        lambda: gone(int(words.split()[0])),
        owed_by=Owner.HOST,
        within=5,
    )


def test_missing_setpriv_names_the_package(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"^the program setpriv is missing: apt-get install util-linux$"):
        run("pass")


def test_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot write .*no/log \(No such file or directory\)"):
        VmmProcess(["true"], tmp_path / "no" / "log")
