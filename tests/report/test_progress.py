"""Where a run stands, in words."""

from __future__ import annotations

from harness.report.progress import Progress


def test_a_run_from_its_start_to_its_end() -> None:
    progress = Progress(began=100.0)
    assert progress.line(100.0) == "0 tests, 0 red (0 new causes), 0 s"
    progress.total = 20
    for number in range(10):
        progress.start(f"t.py::test_{number}", 100.0 + number)
        progress.phase(f"t.py::test_{number}", "setup")
        progress.end(f"t.py::test_{number}", red=number == 3)
    assert progress.line(130.0) == "10 of 20 tests, 1 red (0 new causes), 30 s, about 30 s left"
    progress.done = 20
    assert progress.line(400.0) == "20 of 20 tests, 1 red (0 new causes), 5 min 00 s"


def test_what_is_under_way_is_told_with_its_phase_the_longest_first() -> None:
    progress = Progress(began=0.0)
    progress.start("a.py::test_short[alpha-1]", 9.0)
    progress.start("a.py::test_long[beta]", 1.0)
    progress.phase("a.py::test_long[beta]", "setup")
    assert list(progress.tests(10.0)) == [
        "   9 s  test_long[beta] runs",
        "   1 s  test_short[alpha-1] is set up",
    ]


def test_a_test_that_is_reported_twice_counts_once() -> None:
    progress = Progress(began=0.0)
    progress.start("t", 0.0)
    progress.end("t", red=True)
    progress.end("t", red=True)
    assert (progress.done, progress.red) == (1, 1)
