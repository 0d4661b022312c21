"""A pytest plugin: the tests in an order that a number chooses, the same in every process of the run."""

from __future__ import annotations

import os
import random

import pytest

SEED = "MQ_SOAK_ORDER"
"""The environment variable that holds the number."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle them."""
    random.Random(os.environ[SEED]).shuffle(items)
