"""ci/patch on tiny repositories, whose build copies a file; the suite reads its verdicts from the builds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.patch import command
from harness.record.results import Run
from harness.record.store import RunStore
from harness.vmm.find import RELEASE
from tests.bisect.conftest import BUILD, Repo, commits, folder, git
from tests.synthetic_runs import MakeResult, MakeRun

__all__ = ["commits", "folder"]  # fixtures of another part

Out = pytest.CaptureFixture[str]
Patch = Callable[..., int]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report"


@pytest.fixture
def patch(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    report: Path,
    make_result: MakeResult,
    make_run: MakeRun,
) -> Patch:
    """The command, with a suite of one test whose verdict is what is written in the build."""

    def suite(vmms: Sequence[str], to: Path, arguments: Sequence[str], output: int) -> Run:
        results = []
        for name, _, path in (vmm.partition("=") for vmm in vmms):
            verdict = "pass" if path.startswith(RELEASE) else Path(path).read_text().strip()
            results.append(make_result(vmm=name, verdict=verdict))
        run = make_run(*results, deselected=3 if "-m" in arguments else 0)
        RunStore(to).save(run)
        return run

    monkeypatch.setattr(command, "run_suite", suite)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *words: command.main(
        [*words[: _mine(words)], "--report", str(report), *words[_mine(words) :]]
    )


def _mine(words: Sequence[str]) -> int:
    return words.index("--") if "--" in words else len(words)


@pytest.fixture
def recipe(folder: Path) -> list[str]:
    return ["--repo", str(folder), "--build", BUILD, "--binary", "out/vmm"]


@pytest.mark.parametrize(
    ("states", "code", "said"),
    [
        (("pass", "fail"), 1, "a regression"),
        (("fail", "pass"), 0, "1 repaired"),
        (("fail", "fail"), 0, "no difference"),
    ],
)
def test_two_commits_become_a_verdict(
    patch: Patch,
    commits: Repo,
    recipe: list[str],
    report: Path,
    capsys: Out,
    states: Sequence[str],
    code: int,
    said: str,
) -> None:
    base, head = commits(states)
    assert patch(*recipe, "--base", base, "--head", head) == code
    out, err = capsys.readouterr()
    assert out.startswith("## virtio-net multiqueue: ")
    assert said in out
    assert f"* head: `{head[:9]}` `step 1: {states[1]}`" in out
    assert (report / "summary.md").read_text() == out
    assert (report / "gate.txt").read_text().splitlines()[-1].startswith("gate: ")
    steps = [
        line.partition(" s: ")[2].partition(",")[0] for line in err.splitlines() if line.startswith("patch: ")
    ]
    assert steps[3:7] == ["building base", "base is built", "building head", "head is built"]
    assert steps[7].startswith("running the suite on base ")


def test_builds_are_kept_and_the_users_tree_is_left_alone(
    patch: Patch, commits: Repo, folder: Path, recipe: list[str], capsys: Out
) -> None:
    commits(("pass", "fail"))
    (folder / "state").write_text("being edited")
    for _ in range(2):
        assert patch(*recipe, "--base", "main~1", "--head", "main") == 1
    err = capsys.readouterr().err
    assert err.count("is built") == err.count("was built before") == 2
    assert (folder / "state").read_text() == "being edited"
    assert len(git(folder, "worktree", "list").splitlines()) == 1


def test_since_fork_does_not_blame_a_branch_for_what_it_lacks(
    patch: Patch, commits: Repo, folder: Path, recipe: list[str], capsys: Out
) -> None:
    broken, _ = commits(("fail", "pass"))
    git(folder, "checkout", "--quiet", "-b", "branch", broken)
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "on the branch")
    assert patch(*recipe, "--base", "main", "--head", "branch") == 1
    assert patch(*recipe, "--base", "main", "--head", "branch", "--since-fork") == 0
    assert f"* base: `{broken[:9]}`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("states", "revisions", "said"),
    [
        (("pass", "nonsense"), ("main~1", "main"), "cannot be judged: the build command"),
        (("pass",), ("main", "main"), "are the same commit"),
        (("pass",), ("main", "v9"), "--head v9: "),
    ],
)
def test_what_cannot_be_judged_is_2_and_stands_in_the_summary(
    patch: Patch,
    commits: Repo,
    recipe: list[str],
    report: Path,
    capsys: Out,
    states: Sequence[str],
    revisions: tuple[str, str],
    said: str,
) -> None:
    commits(states)
    assert patch(*recipe, "--base", revisions[0], "--head", revisions[1]) == 2
    assert said in capsys.readouterr().out
    assert "could not judge" in (report / "summary.md").read_text()
    assert said in (report / "gate.txt").read_text()


def test_builds_that_are_there(patch: Patch, tmp_path: Path, capsys: Out) -> None:
    build = tmp_path / "vmm"
    build.write_text("fail")
    assert patch("--base", "release:v1.0", "--head", f"mine={build}") == 1
    assert "NEW FAILURE mine t.py::test_a" in capsys.readouterr().out
    assert patch("--head", str(build), "--baselines", str(tmp_path)) == 2
    assert "no baseline is about " in capsys.readouterr().out
    assert patch("--head", str(tmp_path / "none")) == 2
    assert "there is no such file" in capsys.readouterr().out


def test_a_part_that_was_asked_for_is_judged_and_said(patch: Patch, tmp_path: Path, capsys: Out) -> None:
    build = tmp_path / "vmm"
    build.write_text("pass")
    both = ["--base", "release:v1.0", "--head", str(build)]
    assert patch(*both, "--", "-m", "not slow") == 0
    out = capsys.readouterr().out
    assert "NOTE: 3 tests were left out by the run's options" in out
    assert "NOTE: the suite was given -m 'not slow'" in out


def test_the_first_line_comes_within_two_seconds_however_long_the_build_takes(
    commits: Repo, recipe: list[str], report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits(("pass", "fail"))
    recipe[recipe.index("--build") + 1] = "read forever < /dev/zero"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = [*recipe, "--base", "main~1", "--head", "main", "--report", str(report)]
    with subprocess.Popen(
        [sys.executable, "-m", "harness.patch.command", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(4)]
        process.terminate()
        rest = process.stderr.read()
    seconds = [float(line.split()[1]) for line in lines]
    assert lines[3].partition(" s: ")[2].startswith("building base"), lines
    assert seconds[0] <= 2
    assert "stopped; what was built is kept" in rest
    assert process.returncode == 2
    assert not list((tmp_path / "cache").rglob("state"))


@pytest.mark.parametrize(
    "words",
    [
        ["--repo", ".", "--base", "a"],
        ["--build", "make"],
        ["--since-fork"],
        ["--results", "x"],
        ["--repo", ".", "--base", "a", "--build", "b", "--binary", "c", "--results", "x"],
    ],
)
def test_options_that_do_not_go_together_are_refused(patch: Patch, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        patch("--head", "h", *words)
    assert ended.value.code == 2
