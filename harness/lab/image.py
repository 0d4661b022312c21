"""What the lab boots: the distribution's kernel and a small initramfs, made once and then taken from the cache."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_root, cached
from harness.checkout import IMAGES
from harness.errors import DeadlineExceeded, Unavailable
from harness.guest.linux import cpio, kernel_packages, modules, packages

FOLDER = IMAGES / "lab"
ROOM_MIB = 700
"""Of disk that unpacking the kernel package takes for a moment."""


@dataclass(frozen=True)
class Recipe:
    """What the image is made of. `digest_input` is every byte that it depends on, but for the packages."""

    kernel: tuple[str, ...]
    modules: tuple[str, ...]
    busybox: str
    busybox_file: str
    init: bytes
    digest_input: bytes


@dataclass(frozen=True)
class LabImage:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path


def load(folder: Path = FOLDER) -> Recipe:
    """Read the recipe in `folder`."""
    source, init = ((folder / name).read_bytes() for name in ("recipe.toml", "init"))
    table = tomllib.loads(source.decode())
    return Recipe(
        kernel=tuple(table["kernel"]["packages"]),
        modules=tuple(table["kernel"]["modules"]),
        busybox=table["busybox"]["package"],
        busybox_file=table["busybox"]["file"],
        init=init,
        digest_input=source + b"\0" + init,
    )


def lab_image() -> LabImage:
    """The image, fetched and made at first need: 70 MB, and half a minute.

    Raises Unavailable or DeadlineExceeded, in one sentence, where that cannot be done.
    """
    recipe = load()
    try:
        folder = cached("lab", recipe.digest_input + packages.lists_state(), lambda to: _build(recipe, to))
    except (Unavailable, DeadlineExceeded) as error:
        said = (
            str(error).partition(packages.OWN_IMAGE.removeprefix("or "))[0].removesuffix("or ").rstrip(", :")
        )
        raise Unavailable(f"the lab's kernel cannot be had: {said}") from None
    except OSError as error:
        raise Unavailable(f"the lab's kernel cannot be kept in {cache_root()} ({error.strerror})") from None
    return LabImage(folder / "vmlinuz", folder / "initramfs")


def _build(recipe: Recipe, target: Path) -> None:
    _check_room()
    *found, busybox = everything = packages.resolve([*kernel_packages.names(recipe.kernel), recipe.busybox])
    fetched = packages.fetch("lab-packages", everything)
    kernel = kernel_packages.unpack(found, fetched, target.parent)
    program = packages.find(
        packages.unpack(busybox, fetched, target.with_name("busybox")), recipe.busybox_file
    )
    target.mkdir()
    kernel.image.rename(target / "vmlinuz")
    (target / "initramfs").write_bytes(_assemble(recipe, kernel.modules, program))


def _check_room() -> None:
    free = shutil.disk_usage(cache_root()).free >> 20
    if free < ROOM_MIB:
        raise Unavailable(
            f"{cache_root()} has {free} MiB left, and unpacking takes {ROOM_MIB}: "
            "make room, or set XDG_CACHE_HOME to a folder that has it"
        )


def _assemble(recipe: Recipe, tree: Path, busybox: Path) -> bytes:
    entries = {name: cpio.folder() for name in ("cached", "dev", "proc", "root", "sys")}
    entries["init"] = cpio.file(recipe.init, 0o755)
    entries["bin/busybox"] = cpio.file(busybox.read_bytes(), 0o755)
    wanted = modules.load_order(tree, recipe.modules)
    entries |= {f"lib/modules/{name}.ko": cpio.file(content) for name, content in wanted.items()}
    entries["lib/modules/order"] = cpio.file("\n".join([*wanted, ""]).encode())
    return cpio.archive(entries)
