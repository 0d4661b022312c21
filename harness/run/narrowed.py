"""Whether a command line chose tests, so that the run is about a part of the suite."""

from __future__ import annotations

import pytest


def is_narrowed(config: pytest.Config) -> bool:
    """Whether pytest was given less than the whole suite, whatever it left out of that afterwards."""
    option = config.option
    chosen = (getattr(option, name, None) for name in ("lf", "stepwise", "ignore", "ignore_glob"))
    return any(chosen) or not all(_given(config, place) for place in _whole(config))


def _whole(config: pytest.Config) -> list[str]:
    """Where the suite's tests are: what pytest looks through if it is not told where."""
    return config.getini("testpaths") or [str(config.rootpath)]


def _given(config: pytest.Config, place: str) -> bool:
    whole = (config.rootpath / place).resolve()
    return any(whole.is_relative_to((config.invocation_params.dir / word).resolve()) for word in config.args)
