"""Kernel modules: which ones a module needs before it, and their contents uncompressed."""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import Unavailable
from harness.guest.linux import zstd

_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zst": zstd.decompress,
}
"""How distributions compress modules: Debian 12 not at all, 13 by xz, Ubuntu by zstd."""


def load_order(modules_folder: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """`wanted` and all that they depend on, by name, in an order in which insmod can load them.

    `modules_folder` is a kernel package's lib/modules/VERSION. What the kernel has built in is left out.
    Raises Unavailable for a module that the package does not have.
    """
    files = {_name(path.name): path for path in modules_folder.rglob("*.ko*")}
    builtin = {_name(Path(line).name) for line in (modules_folder / "modules.builtin").read_text().split()}
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in order or name in builtin:
            return
        if name not in files:
            raise Unavailable(
                f"the kernel package {modules_folder.name} has no module {name}: choose another kernel"
            )
        contents = _contents(files[name])
        for needed in _dependencies(contents):
            add(needed)
        order[name] = contents

    for name in wanted:
        add(_name(name))
    return order


def _name(file_name: str) -> str:
    """A module's name: the kernel takes "-" and "_" for the same."""
    return file_name.partition(".ko")[0].replace("-", "_")


def _contents(path: Path) -> bytes:
    if path.suffix not in _UNPACK:
        raise Unavailable(
            f"the kernel module {path.name} is compressed in an unknown way: choose another kernel"
        )
    return _UNPACK[path.suffix](path.read_bytes())


def _dependencies(module: bytes) -> list[str]:
    """The names in the field "depends" of the section .modinfo: strings that end with NUL bytes."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [_name(name) for name in found[1].decode().split(",") if name] if found else []
