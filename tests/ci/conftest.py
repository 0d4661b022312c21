"""Synthetic runs, as tests of the evidence make them."""

from __future__ import annotations

from tests.evidence.conftest import make_result, make_run

__all__ = ["make_result", "make_run"]  # fixtures of another part
