"""The recipe of the Linux guest's image: fixtures/images/linux/, read and checked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.checkout import IMAGES

FOLDER = IMAGES / "linux"


@dataclass(frozen=True)
class Recipe:
    """What the image is made of; recipe.toml says what each part means.

    `digest_input` is every byte of the recipe and its scripts: two recipes with the same make the same image.
    """

    kernel_package: str
    boot_modules: tuple[str, ...]
    on_demand_modules: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    busybox_links: tuple[str, ...]
    folders: tuple[str, ...]
    text: dict[str, str]
    scripts: dict[str, bytes]
    digest_input: bytes


def load(folder: Path = FOLDER) -> Recipe:
    """Read the recipe in `folder`: recipe.toml, init and nics.sh."""
    source = (folder / "recipe.toml").read_bytes()
    scripts = {"init": (folder / "init").read_bytes(), "lib/nics.sh": (folder / "nics.sh").read_bytes()}
    table = tomllib.loads(source.decode())
    return Recipe(
        kernel_package=table["kernel"]["package"],
        boot_modules=tuple(table["kernel"]["boot"]),
        on_demand_modules=tuple(table["kernel"]["on_demand"]),
        files={package: tuple(patterns) for package, patterns in table["files"].items()},
        busybox_links=tuple(table["image"]["busybox"]),
        folders=tuple(table["image"]["folders"]),
        text=table["text"],
        scripts=scripts,
        digest_input=b"\0".join([source, *scripts.values()]),
    )
