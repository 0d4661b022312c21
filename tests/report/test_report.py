from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from harness.record.results import Event, PairRow, Result, Run, dumps
from harness.register.register import load_register
from harness.report import view
from harness.report.html import html_report, main
from harness.report.logs import TAIL, bundle_logs
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

VOID = {"meta", "input", "br", "link", "img", "hr", "path", "use"}


class _Page(HTMLParser):
    """Collects ids and links, and checks that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        assert not any(name.startswith("on") for name in values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def _page(run: Run, **more: Any) -> tuple[str, _Page]:
    html = html_report(run, load_register(), **more)
    page = _Page(html)
    assert page.open == []
    return html, page


def _bad(make_result: MakeResult, **more: object) -> Result:
    known = {
        "verdict": "fail",
        "reason": "pairs {0, 1} got frames, {0} is active",
        "details": "assert landed.pairs == {0}",
        "disagreement": True,
        "witnesses": (PairRow(0, True, True, 13), PairRow(1, False, True, 7)),
        "timeline": (
            Event(0.5, "frames", "7 frames on pair 1", pair=1, frames=7),
            Event(0.1, "guest", "VQ_PAIRS_SET 1: OK", pairs=1),
        ),
        "rerun": "pytest 't.py::test_a' --seed 7",
        "seed": 7,
    }
    return make_result(**{**known, **more})  # type: ignore[arg-type]


def test_it_needs_nothing_from_elsewhere(make_result: MakeResult, make_run: MakeRun) -> None:
    html, page = _page(make_run(_bad(make_result), make_result(vmm="beta")))
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "default-src 'none'" in html
    outside = [link for link in page.links if not link.startswith("#")]
    assert all(link.startswith("https://github.com/cloud-hypervisor/") for link in outside)


def test_every_inner_link_leads_somewhere(make_result: MakeResult, make_run: MakeRun) -> None:
    _, page = _page(make_run(_bad(make_result), make_result("t.py::test_b", "beta", "error")))
    inner = [link[1:] for link in page.links if link.startswith("#")]
    assert "f1" in inner
    assert set(inner) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_a_failure_has_all_its_evidence(make_result: MakeResult, make_run: MakeRun) -> None:
    html, _ = _page(make_run(_bad(make_result)))
    section = html[html.index('id="f1"') :]
    assert "pairs {0, 1} got frames" in section
    assert "assert landed.pairs == {0}" in section
    assert "pytest &#39;t.py::test_a&#39; --seed 7" in section
    assert "<svg" in section
    assert section.count('class="wrong"') == 1
    assert '<b data-at="0.1000">   0.1000  guest       VQ_PAIRS_SET 1: OK  n=1</b>' in section
    assert "7 frames on pair 1" not in section, "the line before says it of all pairs"


def test_coverage_is_a_number_and_an_uncovered_must_is_red(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    register = load_register()
    html, _ = _page(make_run(make_result(requirements=("NET-MQ-05",))))
    assert f"1 of {len(register.musts())} MUST rows judged" in html
    assert '<tr id="NET-MQ-02" class="uncovered">' in html
    assert '<tr id="NET-MQ-05" class="">' in html


def test_what_was_not_run_is_on_top(make_result: MakeResult, make_run: MakeRun) -> None:
    html, _ = _page(make_run(make_result(), selected=2, not_run=(not_run("t.py::test_b", "alpha"),)))
    assert html.index("Not everything ran") < html.index('class="cards"')
    assert "t.py::test_b" in html
    html, _ = _page(make_run(make_result()))
    assert "Not everything ran" not in html


def test_text_from_outside_is_never_markup(make_result: MakeResult, make_run: MakeRun) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=y>\x00\x1b[31m"
    bad = _bad(make_result, test=f"t.py::test_a[{evil}]", reason=evil, details=evil, rerun=evil, vmm=evil)
    bad = msgspec.structs.replace(bad, timeline=(Event(0.1, "guest", evil, pairs=1), Event(0.2, "vmm", evil)))
    html, page = _page(make_run(bad, host={evil: evil}, command=(evil,)))
    assert "<script>alert" not in html
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert "\x00" not in html
    assert "\x1b" not in html


def test_logs_of_the_bundle_are_inside_cut_to_their_end(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "stamp" / "failures" / "a"
    folder.mkdir(parents=True)
    (folder / "vmm.log").write_bytes(b"x" * TAIL + b"\x00<panicked>\n")
    (folder / "frames.pcap").write_bytes(b"\xd4\xc3")
    run = make_run(_bad(make_result, bundle="failures/a"), folder="runs/stamp")
    (log,) = bundle_logs(folder)
    assert log.name == "vmm.log"
    assert log.before == 12
    html, page = _page(run, results_file=tmp_path / "results.json", output=tmp_path / "report.html")
    assert "�&lt;panicked&gt;" in html
    assert "runs/stamp/failures/a/" in page.links
    assert "data:application/vnd.tcpdump.pcap;base64,1MM=" in page.links


def test_an_empty_run_has_a_page_too(make_run: MakeRun) -> None:
    html, _ = _page(make_run(complete=False))
    assert "Not everything ran" in html


def test_five_thousand_failures_stay_below_ten_megabytes(
    make_result: MakeResult, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "PLOTS", 2)
    timeline = tuple(Event(n / 10, "guest", "VQ_PAIRS_SET 1: OK", pairs=1) for n in range(40))
    timeline += (Event(9.0, "frames", "7 frames on pair 1", pair=1, frames=7),)
    results = [
        _bad(
            make_result,
            test=f"conformance/mq/test_group.py::test_behaviour_{n // 50}[probe-tap-pairs{n}]",
            vmm=vmm,
            timeline=timeline,
            details="assert {0, 1} == {0}\n" * 50,
        )
        for n in range(1250)
        for vmm in ("alpha", "beta", "gamma", "delta")
    ]
    html, page = _page(make_run(*results))
    assert len(html) < 10_000_000
    assert sum(re.fullmatch(r"f\d+", id_) is not None for id_ in page.ids) == 5000
    assert html.count("<svg") == 2
    assert "Left out so that this report stays small: " in html


def test_evidence_goes_to_one_failure_of_each_kind_first(
    make_result: MakeResult, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "PLOTS", 2)
    tests = ["t.py::test_a[1]", "t.py::test_a[2]", "t.py::test_b[1]"]
    html, _ = _page(make_run(*(_bad(make_result, test=test) for test in tests)))
    sections = html.split('<details class="failure"')[1:]
    assert ["<svg" in section for section in sections] == [True, False, True]


def test_the_command_writes_both_reports(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_bytes(dumps(make_run(_bad(make_result))))
    html, text = tmp_path / "out" / "report.html", tmp_path / "summary.md"
    assert main([str(tmp_path), "-o", str(html), "--markdown", str(text)]) == 0
    assert html.read_text().startswith("<!doctype html>")
    assert capsys.readouterr().out == f"{html}\n"
    assert text.read_text().startswith("## ")
    assert main([str(tmp_path), "--markdown", "-"]) == 0
    assert capsys.readouterr().out == text.read_text()
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text() == html.read_text()


def test_the_command_refuses_what_is_no_results_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text('{"schema": 1, "res')
    assert main([str(tmp_path), "-o", str(tmp_path / "report.html")]) == 2
    assert "is not JSON" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_the_first_screen_names_what_fails_where_since_when_and_how_to_repeat_it(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    stamps = ("20250101T000000Z", "20250102T000000Z")
    for stamp, verdict in zip(stamps, ("pass", "fail"), strict=True):
        folder = tmp_path / "runs" / stamp
        folder.mkdir(parents=True)
        started = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T00:00:00+00:00"
        (folder / "results.json").write_bytes(dumps(make_run(make_result(verdict=verdict), started=started)))
    (tmp_path / "results.json").write_bytes(dumps(make_run(_bad(make_result), make_result(vmm="beta"))))
    output = tmp_path / "report.html"
    assert main([str(tmp_path), "-o", str(output)]) == 0
    html = output.read_text()
    first = html[html.index('id="summary"') : html.index('id="tests"')]
    assert "1 cause of failures</h2>" in first
    assert '<a href="#f1">test_a</a>' in first
    assert "NET-MQ-04" in first
    assert (
        "red since 2025-01-02 00:00 (synthetic 1.0), 1 earlier run; "
        "last passed 2025-01-01 00:00 (synthetic 1.0)" in first
    )
    assert "pytest &#39;t.py::test_a&#39; --seed 7</code>" in first


def test_a_green_run_says_so_and_has_no_empty_tables(make_result: MakeResult, make_run: MakeRun) -> None:
    html, _ = _page(make_run(make_result(), make_result(vmm="beta")))
    first = html[html.index('id="summary"') : html.index('id="tests"')]
    assert "Nothing to look at" in first
    assert "<table" not in first
    assert "Every test that was judged passed" in first


def test_a_test_of_one_variant_has_its_name(make_result: MakeResult, make_run: MakeRun) -> None:
    html, _ = _page(make_run(make_result("t.py::test_only[probe-tap]")))
    matrix = html[html.index('id="tests"') : html.index('id="requirements"')]
    assert '<th scope="row">test_only</th>' in matrix


def test_a_pass_with_disagreeing_witnesses_looks_like_neither(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    html, _ = _page(make_run(make_result(disagreement=True)))
    assert '<span class="v disagreeing">pass <abbr title="witnesses disagree">≠</abbr></span>' in html


def test_a_part_that_is_green_is_not_called_the_whole(make_result: MakeResult, make_run: MakeRun) -> None:
    html, _ = _page(make_run(make_result(), deselected=3))
    assert "Nothing to look at in what was run</h2>" in html
