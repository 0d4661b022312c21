"""Client, keeper and agent together; the machine between them is this host."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.deadline import PACE, wait_until
from harness.errors import Owner, Unavailable
from harness.lab.client import Lab, LabGone
from harness.lab.state import State
from harness.lab.wire import Kind
from tests.lab.conftest import AGENT, MakeLab


def finished(lab: Lab, *argv: str) -> tuple[int, bytes]:
    """Exit status of a command in the lab, and what it printed."""
    connection = lab.run(argv)
    printed = b""
    for message in connection.frames():
        if message.kind is Kind.EXIT:
            connection.close()
            return message.holds(int), printed
        if message.kind in (Kind.OUTPUT, Kind.ERRORS):
            printed += message.payload
    raise AssertionError("the frames ended")


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a child of ours may not have been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_status_of_a_ready_lab(lab: Lab) -> None:
    status = lab.status()
    assert status is not None
    assert (status.phase, status.runs) == ("ready", 0)
    assert status.facts is not None
    assert status.facts.cpus == os.cpu_count()


def test_command_runs_in_the_clients_folder(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr/bin")
    assert finished(lab, "sh", "-c", "pwd; exit 4") == (4, b"/usr/bin\n")


def test_large_output_arrives_whole(lab: Lab) -> None:
    code, printed = finished(lab, "sh", "-c", "head -c 3000000 /dev/zero")
    assert (code, len(printed)) == (0, 3000000)


def test_pytest_is_there_without_imports(lab: Lab) -> None:
    begin = time.monotonic()
    code, printed = finished(lab, "pytest", "--version")
    assert code == 0
    assert printed.startswith(b"pytest ")
    assert time.monotonic() - begin < 30 * PACE


def test_two_runs_at_a_time(lab: Lab) -> None:
    first = lab.run(["cat"])
    assert finished(lab, "echo", "second") == (0, b"second\n")
    first.send(Kind.INPUT, b"first")
    assert next(m.payload for m in first.frames() if m.kind is Kind.OUTPUT) == b"first"
    first.close()


def test_run_ends_when_its_client_goes(lab: Lab) -> None:
    connection = lab.run(["sh", "-c", "trap '' INT; echo $$; exec sleep 1000"])
    pid = int(next(m.payload for m in connection.frames() if m.kind is Kind.OUTPUT))
    connection.close()
    wait_until("an abandoned run to end", lambda: is_gone(pid), owed_by=Owner.HOST, within=5)
    status = lab.status()
    assert status is not None
    assert status.runs == 0


def test_lab_of_another_checkout_is_renewed_unless_it_is_in_use(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab(*AGENT)
    lab.start()
    lab.await_ready()
    before = lab.status()
    assert before is not None
    monkeypatch.setattr("harness.lab.client.ROOT", "/elsewhere")
    run = lab.run(["cat"])
    with pytest.raises(Unavailable, match=r"the lab was started from .*, and is in use: .* ci/lab down"):
        lab.start()
    run.close()
    wait_until(
        "the run to be forgotten",
        lambda: not (status := lab.status()) or not status.runs,
        owed_by=Owner.HOST,
        within=5,
    )
    lab.start()
    after = lab.status()
    assert after is not None
    assert after.pid != before.pid


# What goes wrong


def test_down_leaves_nothing(make_lab: MakeLab) -> None:
    lab = make_lab("sleep", "1000")
    lab.start()
    status = lab.status()
    assert status is not None
    assert lab.down()
    wait_until("the keeper to end", lambda: is_gone(status.pid), owed_by=Owner.HOST, within=5)
    assert not lab.place.folder.exists()
    assert not lab.down()


def test_machine_that_ends_is_told_with_its_console(make_lab: MakeLab) -> None:
    lab = make_lab("sh", "-c", "exit 7")

    def up() -> None:
        lab.start()
        lab.await_ready()

    with pytest.raises(LabGone, match=r"machine ended \(exit status 7\)(.|\n)*last lines:\nthe kernel is up"):
        up()
    assert "exit status 7" in lab.place.failure.read_text()


def test_machine_that_says_that_it_cannot_is_believed(make_lab: MakeLab) -> None:
    words = "lab failed: the kernel does not load its module kvm_amd"
    later = "random: crng init done"
    lab = make_lab("sh", "-c", f"printf '{words}\\n{later}\\n' >> @CONSOLE@; exec sleep 1000")
    lab.start()
    with pytest.raises(LabGone, match="the lab cannot start: the kernel does not load its module kvm_amd"):
        lab.await_ready()


def test_machine_that_never_answers_is_given_up(make_lab: MakeLab) -> None:
    lab = make_lab("sleep", "1000", limits="beat=0.05,boot=0.3")
    lab.start()
    with pytest.raises(LabGone, match=r"has not answered for \d+ s \(booting\)"):
        lab.await_ready()


def test_machine_that_hangs_in_a_run_is_noticed(make_lab: MakeLab) -> None:
    ready = "frame(0, Kind.READY, Facts('6.1', 2)).packed()"
    silent = f"from harness.lab.wire import *; import os, signal; os.write(@PORT@, {ready}); signal.pause()"
    lab = make_lab(sys.executable, "-c", silent, limits="beat=0.05,silence=0.3")
    lab.start()
    lab.await_ready()
    with pytest.raises(LabGone, match=r"has not answered for \d+ s \(ready\)(.|\n)*the kernel is up"):
        finished(lab, "true")


def test_machine_that_is_lost_over_runs_starts_anew_but_not_for_ever(make_lab: MakeLab) -> None:
    lab = make_lab(*AGENT, limits="beat=0.05,renewals=1")
    lab.start()
    for left in (True, False):
        lab.await_ready()
        assert finished(lab, "echo", "well") == (0, b"well\n")
        with pytest.raises(LabGone, match=r"machine ended \(exit status -9\)"):
            finished(lab, "sh", "-c", "kill -9 $PPID; exec sleep 10")
        assert (lab.status() is not None) == left


def test_keeper_that_is_killed_is_missed(make_lab: MakeLab) -> None:
    lab = make_lab("setpriv", "--pdeathsig", "KILL", "--", "sleep", "1000")
    lab.start()
    status = lab.status()
    assert status is not None
    connection = lab.run(["true"])
    os.kill(status.pid, signal.SIGKILL)
    with pytest.raises(LabGone, match="the lab's keeper has gone"):
        list(connection.frames())

    def is_down() -> bool:
        with suppress(LabGone):  # its socket is closed some time after its end has begun
            return lab.status() is None
        return False

    wait_until("the lab to be down", is_down, owed_by=Owner.HOST, within=5)


def test_lab_that_nobody_uses_ends(make_lab: MakeLab) -> None:
    lab = make_lab("sleep", "1000", limits="beat=0.05,idle=0.2")
    lab.start()
    wait_until(
        "an idle lab to end and leave nothing",
        lambda: not lab.place.folder.exists(),
        owed_by=Owner.HOST,
        within=5,
    )


def test_keeper_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    lab = Lab(State(tmp_path / "lab"), ("-c", "raise SystemExit('no such thing')"))
    with pytest.raises(Unavailable, match="the lab's keeper does not start: no such thing"):
        lab.start()


def test_renewed_lab_has_another_machine_and_ends_what_ran_in_the_first(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    lab = make_lab(*AGENT, limits="beat=0.05")
    lab.start()
    first = lab.await_ready()
    run = lab.run(["sleep", "1000"])
    second = lab.renew()
    assert second.phase == "ready"
    assert second.seconds < first.seconds + 60
    with pytest.raises(LabGone, match="a client asked for another machine"):
        list(run.frames())
    kinds = (frame.kind for frame in lab.run(["true"]).frames())
    assert next(kind for kind in kinds if kind in (Kind.EXIT, Kind.GONE)) is Kind.EXIT
