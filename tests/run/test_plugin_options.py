"""The plugin as a whole: builds, choices, seeds, and pytest's own options."""

from __future__ import annotations

import pytest

from harness.record.results import load
from harness.record.runs import folders
from harness.run.capability import FULL_KVM, Answer
from harness.vmm.find import identify
from tests.run.suite import Suite

TWO = "import pytest\n@pytest.mark.issue_8306\ndef test_a(vmm): assert vmm.name == 'omega'\ndef test_b(vmm): pass\n"


def test_each_build_is_a_column_and_markers_choose_the_rows(suite: Suite) -> None:
    suite.write(TWO)
    builds = [f"alpha={suite.build}", f"omega={suite.build}"]
    ran = suite.run("-m", "issue_8306", "--strict-markers", builds=builds)
    found = {(r["test"].partition("::")[2], r["vmm"]): r["verdict"] for r in suite.results["results"]}
    assert found == {("test_a", "alpha"): "fail", ("test_a", "omega"): "pass"}
    shown = [line.split() for line in ran.out.splitlines()]
    assert ["test", "alpha", "omega"] in shown
    assert ["test_a", "FAIL", "pass"] in shown


def test_last_failed_runs_only_what_failed_and_leaves_the_whole_run_on_top(suite: Suite) -> None:
    suite.write(TWO)
    suite.run()
    said = " ".join(suite.run("--lf").out.split())
    assert suite.verdicts == {"test_a": "fail", "test_b": "pass"}
    part = load(folders(suite.folder / "report")[0])
    assert ([result.function for result in part.results], part.narrowed) == (["test_a"], True)
    assert f"results: report/{part.folder}/results.json, of a part of the suite; report/results.json" in said
    assert f"is still that of the whole run of {suite.results['started']}" in said


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), False),
        ((".",), False),
        (("test_it.py",), True),
        (("test_it.py::test_a",), True),
        (("-ktest_a",), True),
    ],
)
def test_run_knows_whether_it_is_about_all(suite: Suite, words: tuple[str, ...], part: bool) -> None:
    suite.write(TWO)
    suite.run(*words)
    assert load(suite.folder / "report").is_part is part


def test_run_that_was_broken_off_is_said_by_the_next(suite: Suite) -> None:
    suite.write(TWO + "import os, signal\ndef test_c(vmm): os.kill(os.getpid(), signal.SIGKILL)\n")
    suite.run()
    (folder,) = folders(suite.folder / "report")
    assert not (folder / "results.json").exists()
    suite.write(TWO)
    assert "was broken off, 2 of 3 judged: " in " ".join(suite.run().out.split())
    assert len(load(folder).results) == 2


def test_looking_writes_nothing(suite: Suite) -> None:
    suite.write(TWO)
    assert "test_it.py::test_a[alpha]" in suite.run("--collect-only", "-q").out
    assert not (suite.folder / "report").exists()


def test_random_choices_are_the_same_on_every_build(suite: Suite) -> None:
    code = "def test_{0}(vmm, rng):\n    open(f'{0}-{{vmm.name}}', 'w').write(str(rng.random()))\n"
    suite.write(code.format("p") + code.format("q"))
    suite.run(builds=[f"a={suite.build}", f"b={suite.build}"])
    p, q = ([(suite.folder / f"{test}-{name}").read_text() for name in "ab"] for test in "pq")
    assert p[0] == p[1] != q[0] == q[1]


def test_crossing_with_drivers_skips_what_this_host_cannot_run_with_the_way_out(suite: Suite) -> None:
    suite.know(identify("alpha", suite.build), linux_guest=Answer(False, "not one line of a stock kernel"))
    suite.write(
        "import pytest\n@pytest.mark.drivers('linux', 'probe')\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_a(vmm, driver, backend, n): pass\n"
    )
    assert suite.run().code == 0
    verdicts = {"linux": "skip", "probe": "pass"}
    assert suite.verdicts == {f"test_a[{d}-tap-{n}]": v for d, v in verdicts.items() for n in (1, 2)}
    assert suite.results["results"][0]["reason"] == (
        f"this host cannot run it (linux guest: not one line of a stock kernel); {FULL_KVM}"
    )


def test_build_that_cannot_be_used_is_one_sentence(suite: Suite) -> None:
    suite.write(TWO)
    ran = suite.run(builds=["x=/none/there"])
    assert ran.code == pytest.ExitCode.USAGE_ERROR
    (sentence,) = [line for line in ran.err.splitlines() if line]
    assert sentence.startswith("ERROR: --vmm /none/there: there is no such file; give the path of a VMM")
    assert "Traceback" not in ran.out + ran.err
    assert not (suite.folder / "report").exists()
    assert list((suite.folder / "tmp").iterdir()) == []


def test_pace_that_is_no_number_is_said(suite: Suite) -> None:
    suite.write(TWO)
    ran = suite.execute(suite.command(), MQ_PACE="fast")
    assert ran.code == pytest.ExitCode.USAGE_ERROR
    (sentence,) = [line for line in ran.err.splitlines() if line]
    assert (
        sentence
        == "ERROR: MQ_PACE='fast' is not a positive number: it multiplies every deadline, 1 is the default"
    )


def test_run_on_another_machine_ends_before_it_begins(suite: Suite) -> None:
    suite.write("def test_a(vmm): pass\n")
    (suite.folder / "elsewhere.py").write_text("import platform\nplatform.machine = lambda: 'riscv64'\n")
    ran = suite.run("-p", "elsewhere")
    assert ran.code == pytest.ExitCode.USAGE_ERROR
    (sentence,) = [line for line in ran.err.splitlines() if line]
    assert sentence.startswith("ERROR: this machine is riscv64, ")


def test_terminal_without_a_sign_is_written_another(suite: Suite) -> None:
    suite.write(TWO)
    ran = suite.execute(
        suite.command("--brief", "-v"), LC_ALL="C", PYTHONIOENCODING="latin-1", PYTHONUTF8="0"
    )
    assert ran.code == 1
    assert "\ntest_it.py\n" in ran.out
    assert r"\n" not in ran.out
    assert ran.out.isascii()


def test_full_disk_costs_the_file_and_not_what_was_found(suite: Suite) -> None:
    suite.write(TWO)
    (suite.folder / "full.py").write_text(
        "from harness.errors import Unavailable\nfrom harness.record.store import RunStore\n"
        "def save(self, run): raise Unavailable('cannot write x (the disk is full): they are in y instead')\n"
        "RunStore.save = save\n"
    )
    ran = suite.run("-p", "full")
    assert ran.code == pytest.ExitCode.INTERNAL_ERROR
    lines = ran.out.splitlines()
    assert ["test_a", "FAIL"] in [line.split() for line in lines]
    assert "cannot write x (the disk is full): they are in y instead" in lines
    assert "exit status 3: something went wrong inside pytest or the suite" in lines


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_last_screen_of_a_run_names_its_files_and_they_are_there(
    suite: Suite, workers: tuple[str, ...]
) -> None:
    suite.write(TWO)
    ran = suite.run("--brief", *workers)
    lines = ran.out.splitlines()
    assert "results: report/results.json" in lines
    assert "report: report/report.html" in lines
    assert (suite.folder / "report/report.html").exists()
    assert "short test summary info" not in ran.out, "failures are in the report"
