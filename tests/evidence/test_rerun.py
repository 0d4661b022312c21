"""The line that repeats a test."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from harness.evidence import rerun
from harness.evidence.rerun import options_of
from harness.run import plugin


def config(**given: object) -> Any:
    known = {name.removeprefix("--").replace("-", "_"): value for name, value in rerun._OF_THE_TEST.items()}
    return SimpleNamespace(option=SimpleNamespace(**(known | given)))


def test_only_what_differs_from_the_default_is_repeated() -> None:
    assert options_of(config()) == ()
    given = config(steps=2000, trace_syscalls=True, backend_binary=["a=/x y", "b=/z"], mutant="swallow-all")
    assert options_of(given) == (
        *("--backend-binary", "a=/x y", "--backend-binary", "b=/z"),
        *("--mutant", "swallow-all", "--trace-syscalls", "--steps", "2000"),
    )


class Options:
    """Takes down the options that the plugin declares."""

    def __init__(self) -> None:
        self.defaults: dict[str, object] = {}

    def getgroup(self, _: str) -> Options:
        return self

    def addoption(self, name: str, **how: Any) -> None:
        self.defaults[name] = how.get("default", False if how.get("action") == "store_true" else None)


def test_defaults_are_those_of_the_options() -> None:
    declared = Options()
    plugin.pytest_addoption(declared)  # type: ignore[arg-type]
    assert {name: declared.defaults[name] for name in rerun._OF_THE_TEST} == rerun._OF_THE_TEST
    rest = set(declared.defaults) - set(rerun._OF_THE_TEST)
    about_the_run = {"--vmm", "--legacy-vmm", "--report", "--bundle", "--shard", "--seed"}
    assert rest == about_the_run, (
        "a new option is either part of the line that repeats a test, or about the run"
    )
    assert all(re.fullmatch(r"--[a-z-]+", name) for name in declared.defaults)
