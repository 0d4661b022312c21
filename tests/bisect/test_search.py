from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bisect.command import main
from harness.bisect.shell import Git
from harness.deadline import PACE, wait_until
from harness.errors import Owner
from tests.bisect.conftest import BUILD, Repo, git

pytestmark = pytest.mark.usefixtures("quick")

Out = pytest.CaptureFixture[str]


@pytest.fixture
def options(folder: Path, tmp_path: Path) -> list[str]:
    report = str(tmp_path / "report")
    return ["--repo", str(folder), "--binary", "out/vmm", "--repro", "8306", "--report", report]


def whole_state(folder: Path) -> dict[str, bytes]:
    """Every file of the repository and of its git folder; objects may only be added to by git itself.

    A list of packed references that names none, which newer versions of git leave, is nothing.
    """
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    packed = files.get(".git/packed-refs", b"")
    if all(line.startswith(b"#") for line in packed.splitlines()):
        files.pop(".git/packed-refs", None)
    return files


@pytest.mark.parametrize(("states", "first"), [(["good"] * 7 + ["bad"] * 6, 7), (["good", "bad"], 1)])
def test_the_first_bad_commit_is_found_and_the_repository_is_as_it_was(
    commits: Repo, folder: Path, options: list[str], capfd: Out, states: list[str], first: int
) -> None:
    hashes = commits(states)
    (folder / "state").write_text("work in progress\n")
    (folder / ".git/hooks/post-checkout").write_text("#!/bin/sh\ntouch was-run\n")
    (folder / ".git/hooks/post-checkout").chmod(0o755)
    before = whole_state(folder)
    assert main([*options, "--good", hashes[0], "--bad", "main", "--build", BUILD]) == 0
    out, progress = capfd.readouterr()
    assert f"first bad commit: {hashes[first]}" in out
    assert f"step {first}: bad" in out
    assert f"--- before: {hashes[first - 1][:9]}" in out
    assert "this build is good" in out.split("--- after")[0]
    assert "this build is bad" in out.split("--- after")[1]
    assert f"{hashes[0][:9]} good" in progress
    assert whole_state(folder) == before


def test_the_first_fixed_commit_is_found(commits: Repo, options: list[str], capfd: Out) -> None:
    hashes = commits(["bad"] * 5 + ["good"] * 3)
    ends = ["--bad", hashes[0], "--good", hashes[-1]]
    assert main([*options, *ends, "--build", BUILD, "--find", "fixed"]) == 0
    assert f"first fixed commit: {hashes[5]}" in capfd.readouterr().out


def test_what_does_not_build_or_cannot_be_judged_is_skipped(
    commits: Repo, options: list[str], capfd: Out
) -> None:
    hashes = commits(
        ["good", "good", "nonsense", "good", "dubious", "good", "bad", "dubious", "nonsense", "bad"]
    )
    assert main([*options, "--good", hashes[0], "--bad", hashes[-1], "--build", BUILD]) == 0
    out, progress = capfd.readouterr()
    assert f"first bad commit: {hashes[6]}" in out
    assert "cannot tell" in progress


def test_skipped_commits_at_the_border_leave_candidates(
    commits: Repo, options: list[str], capfd: Out
) -> None:
    hashes = commits(["good", "good", "nonsense", "dubious", "bad", "bad"])
    assert main([*options, "--good", hashes[0], "--bad", hashes[-1], "--build", BUILD]) == 1
    out = capfd.readouterr().out
    assert "is one of these" in out
    assert [f"step {number}:" in out for number in range(6)] == [False, False, True, True, True, False]


def test_builds_are_kept_by_commit_and_may_change_tracked_files(
    commits: Repo, options: list[str], tmp_path: Path
) -> None:
    hashes = commits(["good"] * 5 + ["bad"] * 4)
    build = f"{BUILD} && echo dirt > number && echo built >> {tmp_path}/builds"
    search = [*options, "--good", hashes[0], "--bad", hashes[-1], "--build", build]
    assert main(search) == 0
    count = len((tmp_path / "builds").read_text().splitlines())
    assert count < len(hashes)
    assert main(search) == 0
    assert len((tmp_path / "builds").read_text().splitlines()) == count
    assert main([*search[:-1], f"{build} && true"]) == 0
    assert len((tmp_path / "builds").read_text().splitlines()) == 2 * count


def test_a_binary_that_was_not_made_anew_is_no_build(commits: Repo, options: list[str], capfd: Out) -> None:
    hashes = commits(["good", "good", "bad"])
    build = f"grep -q bad state || {{ {BUILD}; }}"  # succeeds on the bad one, and leaves what was there
    assert main([*options, "--good", hashes[0], "--bad", hashes[-1], "--build", build]) == 2
    assert "left no out/vmm" in capfd.readouterr().err


def test_a_bisection_of_the_users_own_goes_on(commits: Repo, folder: Path, options: list[str]) -> None:
    hashes = commits(["good"] * 4 + ["bad"] * 4)
    git(folder, "bisect", "start", hashes[-1], hashes[0])
    before = git(folder, "bisect", "log"), git(folder, "rev-parse", "HEAD"), git(folder, "for-each-ref")
    assert main([*options, "--good", hashes[0], "--bad", hashes[-1], "--build", BUILD]) == 0
    assert before == (
        git(folder, "bisect", "log"),
        git(folder, "rev-parse", "HEAD"),
        git(folder, "for-each-ref"),
    )


@pytest.mark.parametrize(
    ("states", "more", "said"),
    [
        (["good", "good", "good"], ["--good", "main~2", "--bad", "main"], "both ends are good"),
        (["bad", "good", "good"], ["--good", "main~2", "--bad", "main"], "exchange them"),
        (
            ["good", "bad", "dubious"],
            ["--good", "main~2", "--bad", "main"],
            "cannot be judged (this build is dub",
        ),
        (["nonsense", "bad", "bad"], ["--good", "main~2", "--bad", "main"], "build command ended with 1"),
        (["good", "bad", "bad"], ["--good", "main", "--bad", "main~2"], "--find fixed"),
        (["good", "bad", "bad"], ["--good", "main", "--bad", "main"], "are the same commit"),
        (["good", "bad", "bad"], ["--good", "nowhere", "--bad", "main"], "--good nowhere: "),
        (["good", "bad", "bad"], ["--good", "main~2", "--bad", "main", "--repo", "/none"], "no such folder"),
        (
            ["good", "bad", "bad"],
            ["--good", "main~2", "--bad", "main", "--repo", "/"],
            "not a git repository",
        ),
    ],
)
def test_ends_that_make_no_sense_are_one_sentence(
    commits: Repo,
    folder: Path,
    options: list[str],
    capfd: Out,
    states: list[str],
    more: list[str],
    said: str,
) -> None:
    commits(states)
    before = whole_state(folder)
    assert main([*options, "--build", BUILD, *more]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert whole_state(folder) == before


def test_a_build_that_hangs_is_ended_and_skipped(commits: Repo, options: list[str], capfd: Out) -> None:
    hashes = commits(["good", "good", "bad"])
    build = f"{BUILD}; [ $(cat number) = 2 ] && echo waiting && sleep 1000; true"
    ends = ["--good", hashes[0], "--bad", hashes[-1], "--build-minutes", "0.01"]
    assert main([*options, *ends, "--build", build]) == 2
    assert "for the build command; it last said: waiting" in capfd.readouterr().err


@pytest.fixture
def stuck(commits: Repo, options: list[str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """ci/bisect inside `git bisect run`, in a build that does not end and has written its process id to `pid`."""
    commits(["good"] * 5 + ["bad"])
    pid = tmp_path / "pid"
    build = f"{BUILD}; case $(cat number) in 0|5) ;; *) echo $$ > {pid}; sleep 1000;; esac"
    command = [
        sys.executable,
        "-m",
        "tests.bisect.quick_command",
        *options,
        "--good",
        "main~5",
        "--bad",
        "main",
    ]
    with subprocess.Popen([*command, "--build", build], stderr=subprocess.PIPE) as process:
        wait_until(
            "the build to hang",
            lambda: pid.exists() and pid.read_text().strip(),
            owed_by=Owner.HOST,
            within=30,
        )
        yield process
        process.kill()


def test_told_to_end_it_leaves_nothing(stuck: subprocess.Popen[bytes], folder: Path, tmp_path: Path) -> None:
    stuck.send_signal(signal.SIGTERM)
    assert stuck.wait(60 * PACE) == 2
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert len(git(folder, "worktree", "list").splitlines()) == 1
    assert not list((tmp_path / "cache/virtio-net-mq/bisect/worktrees").glob("repo-????????"))


def test_one_bisection_of_a_repository_at_a_time_and_a_killed_one_is_cleared_away(
    stuck: subprocess.Popen[bytes], folder: Path, tmp_path: Path, options: list[str], capfd: Out
) -> None:
    again = [*options, "--good", "main~5", "--bad", "main", "--build", BUILD]
    assert main(again) == 2
    assert "is being bisected by another process" in capfd.readouterr().err
    stuck.kill()
    stuck.wait(60 * PACE)
    assert len(git(folder, "worktree", "list").splitlines()) == 2
    assert main(again) == 0
    assert len(git(folder, "worktree", "list").splitlines()) == 1


def test_git_is_not_misled_by_the_environment(
    commits: Repo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (last,) = commits(["good"])
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert Git(folder)("rev-parse", "HEAD") == last
