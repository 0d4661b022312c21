"""A distribution's kernel: the packages that hold it, whatever their number, and what is in them.

Debian 12 and 13 have all in one package, which their metapackage depends on. Later ones have an empty linux-image-*,
which depends on linux-binary-*, linux-modules-* and linux-base-*. Ubuntu has linux-image-* and linux-modules-*.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Unavailable
from harness.guest.linux import packages
from harness.guest.linux.packages import OWN_IMAGE, Package

_OF_ONE_KERNEL = re.compile(r"linux-\S+?-\d\S*")
"""Named with the kernel's version: metapackages, firmware and linux-base are not."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: a bzImage, and the folder of its modules, lib/modules/VERSION."""

    image: Path
    modules: Path


def names(metapackages: Sequence[str]) -> list[str]:
    """The packages of the kernel behind the first of these metapackages that apt knows.

    Raises Unavailable if it knows none, or one that leads to no kernel.
    """
    known = next((name for name in metapackages if packages.is_known(name)), None)
    if known is None:
        raise Unavailable(
            f"apt knows no kernel for virtual machines ({', '.join(metapackages)}): run apt-get update, {OWN_IMAGE}"
        )
    found: list[str] = []
    ahead = [known]
    while ahead:
        ahead = [
            name
            for name in packages.dependencies(ahead)
            if _OF_ONE_KERNEL.fullmatch(name) and name not in found
        ]
        found += ahead
    if not found:
        raise Unavailable(f"the package {known} depends on no kernel: {OWN_IMAGE[3:]}")
    return found


def unpack(found: Sequence[Package], fetched: Path, folder: Path) -> Kernel:
    """Unpack the kernel's packages below `folder`. Raises Unavailable if a kernel or its modules are not in them."""
    root = folder / "kernel"
    for package in found:
        packages.unpack(package, fetched, root)
    return Kernel(
        image=_one(root, found, "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"),
        modules=_one(
            root, found, "lib/modules/*/modules.builtin", "usr/lib/modules/*/modules.builtin"
        ).parent,
    )


def _one(root: Path, found: Sequence[Package], *patterns: str) -> Path:
    files = [path for pattern in patterns for path in root.glob(pattern)]
    if not files:
        held = ", ".join(package.name for package in found)
        raise Unavailable(f"the kernel's packages ({held}) hold no {' nor '.join(patterns)}: {OWN_IMAGE[3:]}")
    return files[0]
