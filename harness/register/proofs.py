"""Which rows of the register each test proves, read from the tests' source: `@requirement("NET-MQ-04")`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from harness.checkout import SUITE

MARK = "requirement"


@cache
def proofs(suite: Path = SUITE) -> Mapping[str, tuple[str, ...]]:
    """Rows by test, named as `conformance/mq/test_a.py::test_b`."""
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted(suite.rglob("test_*.py")):
        tree = ast.parse(file.read_text())
        of_all = [row for node in tree.body if _is_pytestmark(node) for row in _rows(node)]
        for name, decorators in _tests(tree.body, str(file.relative_to(suite.parent)), []):
            own = [row for decorator in decorators for row in _rows(decorator)]
            found[name] = tuple(dict.fromkeys([*own, *of_all]))
    return found


def _tests(
    body: Sequence[ast.stmt], where: str, above: Sequence[ast.expr]
) -> Iterator[tuple[str, Sequence[ast.expr]]]:
    """Tests by name, each with its decorators and those of the classes that it is in."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, f"{where}::{node.name}", [*node.decorator_list, *above])
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield f"{where}::{node.name}", [*node.decorator_list, *above]


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def _rows(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == MARK:
            yield from (str(word.value) for word in node.args if isinstance(word, ast.Constant))
