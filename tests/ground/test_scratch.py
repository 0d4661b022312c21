"""Scratch folders: private while their process lives, gone afterwards, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import scratch as scratch_module
from harness.deadline import wait_until
from harness.errors import Owner, Unavailable
from harness.scratch import PREFIX, STALE_AFTER, Scratch


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, for this test alone; its path is short."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@contextmanager
def scratch() -> Iterator[Scratch]:
    made = Scratch()
    yield made
    made.close()


def make_old(folder: Path) -> None:
    long_ago = folder.stat().st_mtime - STALE_AFTER - 1
    os.utime(folder, (long_ago, long_ago))


def test_folders_are_fresh_each_time_and_all_removed(base: Path) -> None:
    with scratch() as one:
        first, second = one.folder(), one.folder()
        assert first != second
        (first / "log").write_text("x")
        assert base in first.parents
    assert list(base.iterdir()) == []


def test_two_processes_do_not_share(base: Path) -> None:
    with scratch() as one, scratch() as other:
        assert one.path != other.path


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_folder_goes_with_a_process_that_is_ended_in_any_way(base: Path, number: int) -> None:
    code = f"from harness.scratch import Scratch; import os; Scratch().folder(); os.killpg(0, {int(number)})"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(base)},
        check=False,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(
        "the folder to go",
        lambda: not list(base.iterdir()),
        owed_by=Owner.HOST,
        within=5,
        last=lambda: list(base.iterdir()),
    )


def test_folder_of_a_worker_stays_until_its_main_process_ends(base: Path) -> None:
    with scratch() as main:
        code = "import os, sys; from pathlib import Path; from harness.scratch import Scratch"
        code += "; Scratch(Path(sys.argv[1])).folder(); os.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", code, str(main.path)], check=False)
        assert len(list(main.path.glob("w*/1"))) == 1
    assert list(base.iterdir()) == []


def test_worker_on_another_machine_has_a_folder_of_its_own(base: Path) -> None:
    worker = Scratch(base / "not-here")
    assert worker.path.parent == base
    worker.close()
    assert list(base.iterdir()) == []


def test_folder_of_a_dead_process_is_removed(base: Path) -> None:
    left = base / f"{PREFIX}left"
    left.mkdir()
    make_old(left)
    with scratch() as mine:
        assert list(base.iterdir()) == [mine.path]


def test_folder_of_a_living_process_is_kept_however_old(base: Path) -> None:
    with scratch() as old:
        make_old(old.path)
        with scratch() as new:
            assert set(base.iterdir()) == {old.path, new.path}


def test_young_folder_may_be_one_that_is_not_locked_yet(base: Path) -> None:
    young = base / f"{PREFIX}young"
    young.mkdir()
    with scratch():
        assert young.exists()


def test_what_is_not_ours_is_left_alone(base: Path) -> None:
    other, file = base / "other", base / f"{PREFIX}file"
    other.mkdir()
    file.write_text("")
    for path in (other, file):
        make_old(path)
    with scratch():
        assert other.exists()
        assert file.exists()


def test_long_folder_for_temporary_files_is_not_used(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = base / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with scratch() as made:
        longest = made.folder() / "vm99" / "a-socket-with-a-long-name-0123456789"
        assert len(str(longest)) < scratch_module._SOCKET_PATH_LIMIT
        assert made.path.parent == Path("/tmp")


def test_folder_that_cannot_be_made_is_one_sentence(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(base / "none"))
    with pytest.raises(Unavailable, match=r"cannot make a scratch folder in .*none \(No such file .*TMPDIR"):
        Scratch()


def test_closing_does_not_mind_that_it_is_gone(base: Path) -> None:
    made = Scratch()
    made.path.rmdir()
    made.close()
