"""Files of expectations are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import tomlkit

from harness.errors import Unavailable
from harness.record.store import write_atomically


def write_toml(file: Path, document: tomlkit.TOMLDocument) -> None:
    """Replace the file, or leave the earlier one as it is and raise Unavailable."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, tomlkit.dumps(document).encode())
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}; the earlier file is untouched") from None
