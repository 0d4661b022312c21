"""Nothing outside harness/vmm/ knows a VMM's name: what differs between VMMs is asked of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.vmm.find import KINDS

PROGRAMS = {"qemu-system-x86_64", "lkvm"}
NAMES = (
    {kind.kind for kind in KINDS} | PROGRAMS | {"alioth", "crosvm", "firecracker", "kvmtool", "stratovirt"}
)
IDENTIFIER = re.compile("|".join(sorted(name.replace("-", "_") for name in NAMES)), re.IGNORECASE)
ADAPTER = re.compile(rf"harness\.vmm\.({IDENTIFIER.pattern})", re.IGNORECASE)
OF_ITS_OWN = {
    "harness/lab": "the lab is itself a machine of QEMU",
    "harness/history": "its bugs are those that one program's users reported, and its builds are of that program",
}
"""Where a program's name has another meaning."""

FILES = [
    path
    for room in ("harness", "conformance")
    for path in sorted((ROOT / room).rglob("*.py"))
    if not path.is_relative_to(ROOT / "harness" / "vmm")
    and not any(path.is_relative_to(ROOT / folder) for folder in OF_ITS_OWN)
]


def knowledge(tree: ast.AST) -> Iterator[str]:
    """What code says of a VMM by name: in a word to compare with, an identifier, or an import. Prose may name it."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(word)) if word in NAMES:
                yield f"line {node.lineno}: {word!r}"
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name) if (
                IDENTIFIER.search(name)
            ):
                yield f"line {node.lineno}: {name}"
            case ast.ImportFrom(module=str(module)) if ADAPTER.match(module):
                yield f"line {node.lineno}: {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_knows_no_vmm_by_name(path: Path) -> None:
    assert list(knowledge(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('if vmm.kind == "qemu": pass', ["line 1: 'qemu'"]),
        ("ONLY_CLOUD_HYPERVISOR = 1", ["line 1: ONLY_CLOUD_HYPERVISOR"]),
        (
            "from harness.vmm.cloud_hypervisor_state import CONFIG",
            ["line 1: harness.vmm.cloud_hypervisor_state"],
        ),
        ('"""QEMU aborts."""\nwords = "QEMU aborts instead"', []),
    ],
)
def test_knowledge_is_found(code: str, found: list[str]) -> None:
    assert list(knowledge(ast.parse(code))) == found
