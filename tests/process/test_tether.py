"""What a command is tied to: whoever started it, from the first moment on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.process.tether import tethered, tied


@pytest.mark.parametrize("bound", [tied, tethered])
def test_command_does_not_begin_when_its_parent_has_ended(
    bound: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    mark = tmp_path / "begun"
    command = bound(["touch", str(mark)])
    somebody_else = ["sh", "-c", '"$@"; exit 7', "sh", *command]
    assert subprocess.run(somebody_else).returncode == 7
    assert not mark.exists()
    subprocess.run(command, check=True)
    assert mark.exists()


@pytest.mark.parametrize(
    ("program", "why"), [("/no/such", "not found"), ("/", "Permission denied")], ids=["none", "folder"]
)
def test_program_that_cannot_be_executed_is_named(program: str, why: str) -> None:
    ended = subprocess.run(tied([program]), capture_output=True, text=True)
    assert ended.returncode in (126, 127)
    assert ended.stderr.startswith("cannot start: ")
    assert program in ended.stderr
    assert why in ended.stderr
