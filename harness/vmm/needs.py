"""The mark by which a test says what it needs of a VMM."""

from __future__ import annotations

import pytest

from harness.vmm.abilities import Need


def needs(*what: Need) -> pytest.MarkDecorator:
    """Skip the test on a VMM that lacks any of this, with the sentence that says so."""
    return pytest.mark.needs(*what)
