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

    kernel_packages: tuple[str, ...]
    boot_modules: tuple[str, ...]
    on_demand_modules: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    busybox_links: tuple[str, ...]
    folders: tuple[str, ...]
    text: dict[str, str]
    scripts: dict[str, bytes]
    programs: dict[str, Path]
    digest_input: bytes


def load(folder: Path = FOLDER) -> Recipe:
    """Read the recipe in `folder`: recipe.toml, init, nics.sh and the sources of programs."""
    source = (folder / "recipe.toml").read_bytes()
    scripts = {"init": (folder / "init").read_bytes(), "lib/nics.sh": (folder / "nics.sh").read_bytes()}
    table = tomllib.loads(source.decode())
    programs = {name: folder / place for name, place in table.get("programs", {}).items()}
    return Recipe(
        kernel_packages=tuple(table["kernel"]["packages"]),
        boot_modules=tuple(table["kernel"]["boot"]),
        on_demand_modules=tuple(table["kernel"]["on_demand"]),
        files={package: tuple(patterns) for package, patterns in table["files"].items()},
        busybox_links=tuple(table["image"]["busybox"]),
        folders=tuple(table["image"]["folders"]),
        text=table["text"],
        scripts=scripts,
        programs=programs,
        digest_input=b"\0".join(
            [source, *scripts.values(), *(place.read_bytes() for place in programs.values())]
        ),
    )
