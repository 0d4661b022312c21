"""One table of options: what it declares arrives on the command line, in the line that repeats a test, in the lab."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadInput
from harness.run import options
from harness.run.options import OPTIONS, Option
from tests.run.suite import Suite

BAD = [("--steps", "0"), ("--steps", "-1"), ("--boots", "0"), ("--seed", "-1")]


class Parser:
    """As much of pytest's as declaring needs."""

    def __init__(self) -> None:
        self._parser = ArgumentParser()

    def getgroup(self, _: str) -> Parser:
        return self

    def addoption(self, name: str, **how: Any) -> None:
        self._parser.add_argument(name, **how)

    def read(self, words: Sequence[str]) -> Namespace:
        return self._parser.parse_args(list(words))


@pytest.fixture
def parser() -> Parser:
    made = Parser()
    options.pytest_addoption(made)  # type: ignore[arg-type]
    return made


def sample(option: Option) -> list[str]:
    """A command line on which it has a value other than its default."""
    if option.default is False:
        return [option.name]
    value = option.choices[-1] if option.choices else "7"
    return [option.name, value] * (2 if option.default == [] else 1)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_words_give_the_value_back(parser: Parser, option: Option) -> None:
    values = parser.read(sample(option))
    assert getattr(values, option.key) != option.default
    assert parser.read(option.words(values)) == values
    assert option.words(parser.read([])) == []
    assert re.fullmatch(r"--[a-z-]+", option.name)


def test_what_is_declared_for_the_test_is_repeated_with_it_and_told_to_the_lab(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = (
        Option("--of-the-test", "", of_the_test=True),
        Option("--of-the-lab", "", of_the_lab=True),
        Option("--of-the-run", ""),
    )
    monkeypatch.setattr(options, "OPTIONS", declared)
    values = Namespace(of_the_test="a b", of_the_lab="c", of_the_run="d")
    assert options.words_of_the_test(values) == ("--of-the-test", "a b")
    assert options.words_for_the_lab(values) == ("--of-the-test", "a b", "--of-the-lab", "c")


def test_files_that_are_named_are_known(parser: Parser) -> None:
    values = parser.read(["--firmware", "/f", "--guest-image", "i"])
    assert options.files(values) == [Path("i").absolute(), Path("/f")]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_number_that_makes_no_sense_is_one_sentence(parser: Parser, name: str, value: str) -> None:
    with pytest.raises(BadInput, match=rf"^{name} {value}: give a number from \d on$"):
        options.check(parser.read([f"{name}={value}"]))


def test_file_that_is_not_there_is_one_sentence(parser: Parser) -> None:
    with pytest.raises(BadInput, match=r"^--firmware /none: there is no such file$"):
        options.check(parser.read(["--firmware", "/none"]))


@pytest.mark.parametrize("text", ["", "3", "0,5", "3,-1", "a,b", "1,2,3"])
def test_what_is_kept_is_told_by_two_numbers(text: str) -> None:
    assert options.kept("3,5") == (3, 5 << 20)
    with pytest.raises(BadInput, match=rf"^--keep {text}: give how many runs"):
        options.kept(text)


def test_defaults_make_sense(parser: Parser) -> None:
    options.check(parser.read([]))


def test_refused_before_anything_runs(suite: Suite) -> None:
    suite.write("def test_a(vmm): pass\n")
    ran = suite.run("--steps", "0")
    assert ran.code == pytest.ExitCode.USAGE_ERROR
    assert [line for line in ran.err.splitlines() if line] == ["ERROR: --steps 0: give a number from 1 on"]


def test_failed_test_is_repeated_with_its_options(suite: Suite) -> None:
    suite.write("def test_a(vmm): assert False\n")
    firmware = suite.folder / "a firmware"
    firmware.touch()
    given = ["--firmware", str(firmware), "--trace-syscalls", "--steps", "3", "--boots", "2"]
    suite.run(*given, "--bundle", "full")
    assert shlex.split(suite.results["results"][0]["rerun"])[-len(given) :] == given


@pytest.mark.parametrize("words", [["--report", "{folder}"], ["--firmware", "{folder}/conftest.py"]])
def test_values_that_are_paths_are_not_taken_for_tests(
    suite: Suite, tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "conftest.py").write_text("a file")
    inner = suite.folder / "inner"
    inner.mkdir()
    (suite.folder / "conftest.py").rename(inner / "conftest.py")
    (suite.folder / "pytest.ini").write_text("[pytest]\ntestpaths = inner\n")
    (inner / "test_it.py").write_text("def test_x(vmm): pass\ndef test_y(vmm): pass\n")
    given = [word.format(folder=elsewhere, build=suite.build) for word in words]
    ran = suite.run("-k", "x", "--collect-only", "-q", *given)
    assert "inner/test_it.py::test_x[alpha]" in ran.out, ran
    assert ran.code == 0


def test_only_values_that_exist_are_joined_to_their_options(tmp_path: Path) -> None:
    given = [
        "-k",
        str(tmp_path),
        "--report",
        str(tmp_path),
        "--vmm",
        "a=/x",
        "--trace-syscalls",
        str(tmp_path),
    ]
    assert options.unmistakable(given) == [*given[:2], f"--report={tmp_path}", *given[4:]]
