"""A thread of the suite's own that ends by an error is told of, with its place."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.threads import failed_threads, forget_threads, watch_threads


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What whoever listened before was told."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    forget_threads()
    watch_threads()
    yield told
    forget_threads()


def run(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work, name="own")
    thread.start()
    thread.join()


def test_place_is_where_it_was_raised(before: list[Any]) -> None:
    def innermost() -> None:
        raise KeyError(6)

    run(innermost)
    line = innermost.__code__.co_firstlineno + 1
    assert failed_threads() == (
        f"the suite's own thread own failed: KeyError: 6 (innermost, {Path(__file__).name}:{line})",
    )
    assert [type(args.exc_value) for args in before] == [KeyError], "who listened before is told as well"


def test_thread_that_is_gone_and_an_error_without_a_traceback(before: list[Any]) -> None:
    threading.excepthook(threading.ExceptHookArgs([OSError, OSError("closed"), None, None]))
    assert failed_threads() == ("the suite's own thread unknown failed: OSError: closed",)


def test_thread_that_exits_has_not_failed(before: list[Any]) -> None:
    run(sys.exit)
    assert failed_threads() == ()
    assert len(before) == 1
