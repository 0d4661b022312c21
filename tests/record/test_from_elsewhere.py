"""Results from elsewhere are data: whatever stands in them, nothing outside is read, and nothing is executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checkout import ROOT
from harness.deadline import PACE
from harness.errors import BadInput
from harness.gate import command as gate
from harness.gate import merge
from harness.record.results import bundle_folder, dumps, load, loads
from harness.report import html

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

LATE, HEAVY = 5.0, 200 << 20
"""Seconds, with the start of Python, and bytes that a refusal takes at most."""


@pytest.fixture
def plain(make_result: MakeResult, make_run: MakeRun) -> dict[str, Any]:
    """A results file with one failure, to be spoilt."""
    found: dict[str, Any] = json.loads(dumps(make_run(make_result(verdict="fail", reason="oops"))))
    return found


def spoilt(plain: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({**plain, "results": [{**plain["results"][0], **more}]}).encode()


EVENT = {"at": 0.5, "source": "frames", "text": "x"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "pair": ({"timeline": [{**EVENT, "pair": 1 << 31, "frames": 1}]}, "<= 32767"),
    "negative-pair": ({"witnesses": [{"pair": -1}]}, ">= 0"),
    "pairs": ({"timeline": [{**EVENT, "pairs": 1 << 16}]}, "<= 65535"),
    "frames": ({"witnesses": [{"pair": 0, "frames": 1 << 60}]}, "<= 9007199254740991"),
    "time": ({"timeline": [{**EVENT, "at": 1e308}]}, "<= 1000000000"),
    "seconds": ({"seconds": -1e308}, ">= -1000000000"),
    "bundle": ({"bundle": "/etc"}, "names a folder outside of its own, '/etc'"),
    "bundle-above": ({"bundle": "failures/../../.."}, "names a folder outside of its own"),
}


@pytest.mark.parametrize(("more", "words"), WRONG.values(), ids=WRONG)
def test_what_no_run_says_is_refused(plain: dict[str, Any], more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        loads(spoilt(plain, **more), "results.json")


def test_folder_of_a_run_lies_below_its_report(plain: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"names a folder outside of its own, '\.\./x'"):
        loads(json.dumps({**plain, "folder": "../x"}).encode(), "results.json")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b'{"schema": "\xff"}', b"[" * 500_000], ids=["utf", "in", "deep"]
)
def test_gate_cannot_judge_what_is_no_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(content)
    assert gate.main([str(tmp_path)]) == 2
    assert html.main([str(tmp_path)]) == 2
    assert merge.main([str(tmp_path), "--report", str(tmp_path / "whole")]) == 2


def test_fifo_is_refused_within_a_second_and_little_memory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.json")
    began = time.monotonic()
    done = subprocess.Popen(
        [sys.executable, "-m", "harness.report.html", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stderr is not None
    said = done.stderr.read()
    done.stderr.close()
    _, status, usage = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    assert (done.returncode, said) == (
        2,
        f"{tmp_path}/results.json cannot be read (it is no file); a run writes it into its --report folder\n",
    )
    assert time.monotonic() - began < LATE * PACE
    assert usage.ru_maxrss << 10 < HEAVY


def test_escape_sequences_are_gone_once_results_are_read(plain: dict[str, Any]) -> None:
    evil = "\x1b[2J\x1b]0;title\x07\x9b31m\u202etxt"
    (result,) = loads(spoilt(plain, reason=evil, details=evil), "results.json").results
    assert result.reason == "\ufffd[2J\ufffd]0;title\ufffd\ufffd31m\ufffdtxt"
    assert result.details.replace("\n", "").isprintable()


@pytest.fixture
def linked(plain: dict[str, Any], tmp_path: Path) -> Path:
    """A report folder whose bundle holds links out of it, a FIFO, and one file."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("SECRET")
    report = tmp_path / "report"
    bundle = report / "failures" / "a"
    bundle.mkdir(parents=True)
    (bundle / "vmm.log").write_text("a log\n")
    (bundle / "passwd.txt").symlink_to(tmp_path / "secret" / "key.txt")
    (bundle / "folder").symlink_to(tmp_path / "secret")
    os.mkfifo(bundle / "fifo.log")
    (bundle.with_name("a.tar.gz")).symlink_to(tmp_path / "secret" / "key.txt")
    (report / "results.json").write_bytes(spoilt(plain, bundle="failures/a"))
    return report


def test_report_follows_no_link(linked: Path) -> None:
    assert html.main([str(linked)]) == 0
    page = (linked / "report.html").read_text()
    assert "a log" in page
    assert "SECRET" not in page


def test_bundle_that_is_a_link_is_refused(linked: Path) -> None:
    (linked / "failures" / "b").symlink_to(linked.parent / "secret")
    run = load(linked)
    away = type(run.results[0])(**{**_fields(run.results[0]), "bundle": "failures/b"})
    with pytest.raises(BadInput, match=r"is a link to .*secret: nothing is read from there"):
        bundle_folder(linked, run, away)


def test_merge_takes_files_and_folders_only(linked: Path, tmp_path: Path) -> None:
    merge.copy_bundles({str(linked): load(linked)}, tmp_path / "whole")
    copied = sorted(str(path.relative_to(tmp_path / "whole")) for path in (tmp_path / "whole").rglob("*"))
    assert copied == ["failures", "failures/a", "failures/a/vmm.log"]


def _fields(result: Any) -> dict[str, Any]:
    return {name: getattr(result, name) for name in result.__struct_fields__}
