"""How a test names the requirements that it proves."""

from __future__ import annotations

import pytest


def requirement(*ids: str) -> pytest.MarkDecorator:
    """Mark a test with rows of conformance/requirements.toml."""
    return pytest.mark.requirement(*ids)
