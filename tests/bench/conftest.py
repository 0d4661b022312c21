"""Suites of a test's own, as in tests/run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.suite import Suite


@pytest.fixture
def suite(tmp_path: Path, image: Path, runnable: None) -> Suite:
    return Suite(tmp_path, image)
