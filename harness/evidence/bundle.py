"""The failure bundle: everything about one failed test in a folder, and the same as one archive beside it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from harness.errors import BadInput, Unavailable
from harness.record.results import Case

LIMIT = 4 * 1024 * 1024
"""Bytes kept of each file, unless everything is asked for."""

_HEAD_MATTERS = {".pcap", ".pcapng"}
"""Formats that stay readable when their end is missing, and not when their beginning is."""

Content = str | bytes | Path
"""A file of a bundle: its text, its bytes, or the file that it is copied from."""


def bundle_name(case: Case) -> str:
    """A folder name that tells people which test it is, fits every file system, and is never shared by two."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{case.vmm} {case.function}{case.variant}").strip("-")
    return f"{words[:80]}-{hashlib.sha256(f'{case.vmm} {case.test}'.encode()).hexdigest()[:8]}"


def write_bundle(parent: Path, case: Case, files: Mapping[str, Content], *, full: bool = False) -> Path:
    """Write `parent`/NAME/ with the files and a manifest.json, and `parent`/NAME.tar.gz with the same.

    `files` maps names, which may have folders, to contents. Files above LIMIT are cut unless `full`: of a packet
    capture the beginning is kept, of everything else the end. A file that is gone is named in the manifest.
    An earlier bundle of that test in `parent` is replaced at once. Returns the folder.

    Raises BadInput for a name that leads outside, Unavailable if it cannot be written; nothing is left then.
    """
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not name:
            raise BadInput(f"{name!r} is no name for a file in a failure bundle")
    folder = parent / bundle_name(case)
    scratch: Path | None = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".bundle-", dir=parent))
        inner = scratch / folder.name
        inner.mkdir()
        manifest = {name: _place(inner / name, content, full) for name, content in files.items()}
        text = json.dumps({"test": case.test, "vmm": case.vmm, "files": manifest}, indent=1)
        (inner / "manifest.json").write_text(text + "\n")
        archive = scratch / f"{folder.name}.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
            tar.add(inner, folder.name)
        if folder.exists():
            shutil.rmtree(folder)
        inner.replace(folder)
        archive.replace(parent / archive.name)
    except OSError as error:
        raise Unavailable(f"cannot write the failure bundle {folder}: {error.strerror}; make room") from None
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _place(target: Path, content: Content, full: bool) -> str:
    """Write one file. Returns what the manifest says about it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        if not content.is_file():
            return "missing: it was not there any more"
        size = content.stat().st_size
        if full or size <= LIMIT:
            shutil.copyfile(content, target)
            return f"{size} bytes"
        with content.open("rb") as file:
            if target.suffix not in _HEAD_MATTERS:
                file.seek(size - LIMIT)
            target.write_bytes(file.read(LIMIT))
        return _cut(size, target)
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    if full or len(data) <= LIMIT:
        target.write_bytes(data)
        return f"{len(data)} bytes"
    target.write_bytes(data[:LIMIT] if target.suffix in _HEAD_MATTERS else data[-LIMIT:])
    return _cut(len(data), target)


def _cut(size: int, target: Path) -> str:
    return f"{'first' if target.suffix in _HEAD_MATTERS else 'last'} {LIMIT} of {size} bytes"
