"""Patiences of the tests themselves follow MQ_PACE, as those of the suite do: a loaded machine makes none of them red.

What `harness.deadline` and a `VmmProcess` wait for is multiplied there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SHORTEST = 1.0
"""Seconds: what is shorter is a pause between two looks, or a silence that is wanted."""


def numbers(call: ast.Call) -> Iterator[ast.expr]:
    """What a call is told to wait at most, where nobody multiplies it."""
    yield from (word.value for word in call.keywords if word.arg == "timeout")
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("join", "settimeout"):
        yield from call.args
    if isinstance(call.func, ast.Attribute) and call.func.attr == "wait":
        whose = ast.unparse(call.func.value)
        yield from call.args if whose.endswith(("popen", "_popen", "released")) else ()


def bare(root: Path) -> list[str]:
    """Patiences that are a number and nothing else."""
    return [
        f"{file.relative_to(root)}:{call.lineno}: {ast.unparse(call)[:80]}"
        for file in sorted(root.rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        for number in numbers(call)
        if isinstance(number, ast.Constant)
        and isinstance(number.value, int | float)
        and number.value >= SHORTEST
    ]


def test_patiences_follow_the_pace() -> None:
    assert bare(TESTS) == []


def test_bare_patience_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "run([], timeout=5)\nthread.join(2)\nchild.popen.wait(3)\nsock.settimeout(0.1)\nrun([], timeout=5 * PACE)\n"
    )
    assert [line.split(":")[1] for line in bare(tmp_path)] == ["1", "2", "3"]
