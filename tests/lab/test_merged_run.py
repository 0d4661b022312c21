"""One run, two places: what this host cannot run is run in the lab, and reported as if it had run here."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.lab.client import Lab
from harness.lab.state import State
from harness.run.capability import Answer
from harness.vmm.find import identify
from tests.lab.conftest import AGENT, KEEPER
from tests.run.suite import Suite
from tests.vmm.fakes import make_fake

# What runs in the lab is told apart by the processes: the agent's children have no pytest above them
TESTS = """
import os
import signal
import pytest
from harness.register.mark import requirement
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

def above():
    return open(f"/proc/{os.getppid()}/cmdline").read().replace("\\0", " ")

def test_here(vmm, driver, backend):
    assert "harness.lab.agent" not in above()

@requirement("X-1")
@needs(Ability.SNAPSHOT)
def test_there(testbed, driver, backend):
    assert "harness.lab.agent" in above()

@needs(Ability.SNAPSHOT)
def test_red_there(testbed, driver, backend):
    assert "harness.lab.agent" not in above(), "it ran in the lab"

@needs(Ability.SNAPSHOT)
def test_lethal(testbed, driver, backend):
    if "lethal" in os.environ:
        os._exit(9)
    if "fells" in os.environ:
        os.kill(os.getppid(), signal.SIGKILL)
    if "leaves" in os.environ:
        open(os.environ["leaves"], "w").write(str(os.getppid()))
    if "hangs" in os.environ:
        print("it has begun", flush=True)
        signal.pause()

@needs(Ability.SNAPSHOT)
def test_thereafter(testbed, driver, backend):
    assert "harness.lab.agent" in above()
"""
NO_IMAGE = """
from harness.run import session
from harness.errors import Owner, Unavailable

def no_image(*_):
    raise Unavailable("no image in this test")

session.linux_image = no_image
"""


@pytest.fixture
def suite(tmp_path: Path, image: Path) -> Suite:
    """A suite whose build runs the probe guest on this host, and saves no state."""
    suite = Suite(tmp_path, image)
    suite.build = make_fake(tmp_path, "api-healthy")
    suite.write(TESTS)
    conftest = tmp_path / "conftest.py"
    conftest.write_text(NO_IMAGE + 'pytest_plugins = ("harness.run.plugin", "harness.lab.plugin")\n')
    suite.know(identify("alpha", suite.build), snapshot=Answer(False, "GetNestedState"))
    return suite


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """The lab of that suite's user: the agent, on this host."""
    place = State(tmp_path / "cache" / "virtio-net-mq" / "lab")
    lab = Lab(place, (KEEPER, str(place.folder), "beat=0.1", "--", *AGENT))
    with ExitStack() as undo:
        undo.callback(lab.down)
        yield lab


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("the agent of a real lab is root")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two-workers"])
def test_verdicts_of_both_places_are_in_one_matrix(suite: Suite, lab: Lab, workers: tuple[str, ...]) -> None:
    lab.start()
    lab.await_ready()
    ran = suite.run("--lab", "auto", *workers)
    assert suite.verdicts == {
        "test_here[probe-tap]": "pass",
        "test_there[probe-tap]": "pass",
        "test_red_there[probe-tap]": "fail",
        "test_lethal[probe-tap]": "pass",
        "test_thereafter[probe-tap]": "pass",
    }
    assert "it ran in the lab" in ran.out
    said = " ".join(ran.out.split())  # lines are as wide as the terminal
    assert "4 ran in the lab (Linux" in said
    assert "which stays up: ci/lab down ends it" in said
    status = lab.status()
    assert status is not None
    assert (status.phase, status.runs) == ("ready", 0)


def test_options_of_the_test_arrive_in_the_lab(suite: Suite, lab: Lab) -> None:
    lab.start()
    lab.await_ready()
    firmware = suite.folder / "firmware"
    firmware.touch()
    given = ["--firmware", str(firmware), "--trace-syscalls", "--steps", "7", "--boots", "3"]
    suite.run("--lab", "auto", "-k", "test_red_there", *given)
    (record,) = suite.results["results"]
    assert record["lab"]
    assert shlex.split(record["rerun"])[-len(given) :] == given, "the session there says how to repeat it"


def test_lab_is_left_alone_where_it_is_not_wanted(suite: Suite) -> None:
    ran = suite.run("--lab", "never")
    skipped = [r for r in suite.results["results"] if r["verdict"] == "skip"]
    assert len(skipped) == 4
    assert all("or give --lab auto" in r["reason"] for r in skipped)
    assert ran.code == 0


def test_lab_that_does_not_come_up_is_a_skip_with_its_reason(suite: Suite, tmp_path: Path) -> None:
    place = State(tmp_path / "cache" / "virtio-net-mq" / "lab")
    lab = Lab(place, (KEEPER, str(place.folder), "beat=0.1,boot=6", "--", "sleep", "1000"))
    lab.start()
    suite.run("--lab", "auto")
    lab.down()
    reasons = {r["reason"] for r in suite.results["results"] if r["verdict"] == "skip"}
    assert len(reasons) == 1
    assert "there is no lab: the lab has not answered for" in reasons.pop()


def test_session_that_dies_in_the_lab_costs_its_test_alone(suite: Suite, lab: Lab) -> None:
    assert reason_of_the_error(suite, lab, "lethal").startswith(
        "the session in the lab ended (exit status 9)"
    )


def test_session_that_hangs_in_the_lab_costs_its_test_alone(suite: Suite, lab: Lab) -> None:
    with (suite.folder / "conftest.py").open("a") as conftest:
        conftest.write("from harness.lab import suite\nsuite.TEST_SECONDS = 5\n")
    reason = reason_of_the_error(suite, lab, "hangs")
    assert reason.startswith("waited 5 s for a test in the lab to end")


def test_machine_that_ends_in_a_test_costs_that_test_alone(suite: Suite, lab: Lab) -> None:
    reason = reason_of_the_error(suite, lab, "fells")
    assert reason.startswith("the lab's machine ended (exit status -9); its console's last lines:")


END_OF_THE_MACHINE = """
import os
import signal
from harness.deadline import wait_until
from harness.lab.client import Lab

def pytest_runtest_logfinish(nodeid, location):
    agent = int(open(os.environ["leaves"]).read())
    if "test_lethal" in nodeid and os.getppid() != agent:
        os.kill(agent, signal.SIGKILL)
        wait_until("the keeper to see it", lambda: Lab().status().phase != "ready", owed_by=Owner.HOST, within=5)
"""


def test_machine_that_ends_between_two_tests_costs_neither(suite: Suite, lab: Lab, tmp_path: Path) -> None:
    lab.start()
    lab.await_ready()
    before = lab.status()
    with (suite.folder / "conftest.py").open("a") as conftest:
        conftest.write(END_OF_THE_MACHINE)
    command = suite.command("--lab", "auto", "-k", "test_lethal or test_thereafter")
    suite.execute(command, leaves=str(tmp_path / "pid"))
    assert suite.verdicts == {"test_lethal[probe-tap]": "pass", "test_thereafter[probe-tap]": "pass"}
    after = lab.status()
    assert before is not None
    assert after is not None
    assert after.seconds < before.seconds + 30


def reason_of_the_error(suite: Suite, lab: Lab, fault: str) -> str:
    """Why the lethal test ended in an error. The one after it has a session of its own there."""
    lab.start()
    lab.await_ready()
    command = suite.command("--lab", "auto", "-k", "test_lethal or test_thereafter")
    suite.execute(command, **{fault: "1"})
    assert suite.verdicts == {"test_lethal[probe-tap]": "error", "test_thereafter[probe-tap]": "pass"}
    (record,) = [r for r in suite.results["results"] if r["verdict"] == "error"]
    return str(record["reason"])
