"""Synthetic runs: VMMs called alpha and beta that never existed, and verdicts made up for a test."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from harness.record.results import NotRun, Result, Run, Verdict, VmmInfo


def names(test: str) -> dict[str, Any]:
    """What a synthetic test is called, taken from its id, as the suite never does."""
    file, _, function = test.partition("[")[0].partition("::")
    return {"test": test, "file": file, "function": function}


def not_run(test: str, vmm: str) -> NotRun:
    return NotRun(**names(test), parameters={}, vmm=vmm)


class MakeResult(Protocol):
    def __call__(self, test: str = ..., vmm: str = ..., verdict: str = ..., **more: Any) -> Result: ...


class MakeRun(Protocol):
    def __call__(self, *results: Result, **more: Any) -> Run: ...


@pytest.fixture
def make_result() -> MakeResult:
    def make(test: str = "t.py::test_a", vmm: str = "alpha", verdict: str = "pass", **more: Any) -> Result:
        known: dict[str, Any] = {
            "version": "synthetic 1.0",
            "parameters": {"driver": "probe", "backend": "tap"},
            "requirements": ("NET-MQ-04",),
            "seconds": 0.25,
            "reason": "" if verdict == "pass" else f"synthetic {verdict}",
        }
        return Result(vmm=vmm, verdict=Verdict(verdict), **{**known, **names(test), **more})

    return make


@pytest.fixture
def make_run() -> MakeRun:
    def make(*results: Result, **more: Any) -> Run:
        names = dict.fromkeys(result.vmm for result in results)
        known: dict[str, Any] = {
            "vmms": tuple(VmmInfo(name, "synthetic", "synthetic 1.0") for name in names),
            "results": results,
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:01:00+00:00",
            "command": ("pytest", "conformance/"),
            "complete": True,
            "selected": len(results),
        }
        return Run(**{**known, **more})

    return make
