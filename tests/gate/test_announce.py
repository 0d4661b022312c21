from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.gate.announce import BODY_LIMIT, Action, Issue, body, decide, main, state

RED = "NEW FAILURE head t.py::test_a: 3 frames lost\n    pytest X\ngate: REGRESSION: head against released\n"
WORSE = "NEW FAILURE head t.py::test_b: no answer\n" + RED
CLEAN = "gate: as expected: head against released\n"


def test_the_same_regression_with_other_numbers_is_the_same_state() -> None:
    assert state(1, RED) == state(1, RED.replace("3 frames", "17 frames"))
    assert len({state(1, RED), state(1, WORSE), state(0, CLEAN), state(2, RED)}) == 4
    assert state(2, RED) == state(2, WORSE)


@pytest.mark.parametrize(
    ("issue", "now", "wanted"),
    [
        (None, "0", Action.NOTHING),
        (None, "1-a", Action.OPEN),
        (None, "2", Action.OPEN),
        (Issue(1, True, "1-a"), "1-a", Action.NOTHING),
        (Issue(1, True, "1-a"), "1-b", Action.UPDATE),
        (Issue(1, True, "1-a"), "2", Action.UPDATE),
        (Issue(1, True, "1-a"), "0", Action.CLOSE),
        (Issue(1, False, "0"), "0", Action.NOTHING),
        (Issue(1, False, "0"), "1-a", Action.OPEN),
        (Issue(1, False, "1-a"), "1-a", Action.NOTHING),
        (Issue(1, False, "1-a"), "1-b", Action.OPEN),
        (Issue(1, False, "1-a"), "0", Action.CLOSE),
        (Issue(1, True, ""), "1-a", Action.UPDATE),
    ],
)
def test_only_a_change_is_told(issue: Issue | None, now: str, wanted: Action) -> None:
    assert decide(issue, now) is wanted


def test_a_long_summary_is_cut_and_a_fence_inside_does_not_end_the_findings() -> None:
    text = body(1, RED + "````", "x" * 2 * BODY_LIMIT, "https://example.org/run")
    assert BODY_LIMIT < len(text) < BODY_LIMIT + 100
    assert text.count("````") == 2


class Nights:
    """Announces one verdict after the other, with a program in the place of gh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def night(self, verdict: int, findings: str) -> int:
        (self.folder / "gate.txt").write_text(findings)
        (self.folder / "summary.md").write_text("the summary\n")
        files = ["--gate", str(self.folder / "gate.txt"), "--summary", str(self.folder / "summary.md")]
        return main(["--verdict", str(verdict), *files, "--url", "https://example.org/run"])

    @property
    def issues(self) -> list[dict[str, Any]]:
        file = self.folder / "issues.json"
        found: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        return found

    def close_by_hand(self) -> None:
        issues = self.issues
        issues[-1]["state"] = "CLOSED"
        (self.folder / "issues.json").write_text(json.dumps(issues))


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").symlink_to(Path(__file__).with_name("fake_gh.py"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_GH", str(tmp_path))
    return Nights(tmp_path)


def test_a_week_of_nights(nights: Nights) -> None:
    for verdict, findings in ((0, CLEAN), (1, RED), (1, RED), (1, WORSE), (0, CLEAN), (0, CLEAN), (2, "")):
        assert nights.night(verdict, findings) == 0
    first, second = nights.issues
    assert first["state"] == "CLOSED"
    assert [comment.split(",")[0] for comment in first["comments"]] == [
        "Now: a regression",
        "Now: as expected",
    ]
    assert "**as expected**" in first["body"]
    assert second["state"] == "OPEN"
    assert second["comments"] == []
    assert "**could not judge**, see https://example.org/run" in second["body"]
    assert "the summary" in second["body"]


def test_an_issue_closed_by_hand_stays_closed_until_something_else_breaks(nights: Nights) -> None:
    nights.night(1, RED)
    nights.close_by_hand()
    nights.night(1, RED)
    assert [issue["state"] for issue in nights.issues] == ["CLOSED"]
    nights.night(1, WORSE)
    assert [issue["state"] for issue in nights.issues] == ["CLOSED", "OPEN"]


def test_what_fails_is_one_sentence(
    nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").touch()
    assert nights.night(1, RED) == 2
    assert "gh issue list failed: gh: HTTP 401: Bad credentials" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert nights.night(1, RED) == 2
    assert "gh is missing" in capsys.readouterr().err
