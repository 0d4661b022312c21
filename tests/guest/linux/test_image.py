import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import BadInput, Unavailable
from harness.guest.linux import image, kernel_packages, packages, recipe
from harness.guest.linux.image import linux_image
from harness.guest.linux.packages import Package

KERNEL = Package("linux-image-9.9-test", "kernel.deb", "aa")
PROGRAM = Package("programs", "programs.deb", "bb")
ALL = (KERNEL, PROGRAM)


@pytest.fixture
def small_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of our own in a folder, a package for it each that needs no mirror, and an empty cache."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "init").write_text("#!/bin/sh\n")
    (folder / "nics.sh").write_text("")
    (folder / "own.c").write_text("int main(void) { return 0; }\n")
    (folder / "recipe.toml").write_text(
        """
        [kernel]
        packages = ["linux-image-test"]
        boot = ["virtio_net"]
        on_demand = []
        [files]
        programs = ["bin/tool", "lib/libtool.so.1*"]
        [programs]
        "bin/own" = "own.c"
        [image]
        busybox = ["bin/sh"]
        folders = ["proc"]
        [text]
        "etc/passwd" = "root\\n"
        """
    )
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    monkeypatch.setattr(image, "load", lambda: recipe.load(folder))
    monkeypatch.setattr(kernel_packages, "names", lambda _: [KERNEL.name])
    monkeypatch.setattr(packages, "resolve", lambda names: [each for each in ALL if each.name in names])
    monkeypatch.setattr(packages, "fetch", lambda *_: tmp_path)
    monkeypatch.setattr(packages, "unpack", unpack)
    return folder


def unpack(package: Package, _: Path, root: Path) -> Path:
    if package == KERNEL:
        (root / "boot").mkdir(parents=True)
        (root / "boot/vmlinuz-9.9-test").write_bytes(bytes(0x202) + b"HdrS")
        (root / "lib/modules/9.9-test").mkdir(parents=True)
        (root / "lib/modules/9.9-test/modules.builtin").write_text("")
        (root / "lib/modules/9.9-test/virtio_net.ko").write_bytes(b"\0depends=\0")
    else:
        (root / "usr/bin").mkdir(parents=True)
        (root / "usr/bin/tool").write_text("program")
        (root / "usr/lib").mkdir()
        (root / "usr/lib/libtool.so.1.2").write_text("library")
        (root / "usr/lib/libtool.so.1").symlink_to("libtool.so.1.2")
    return root


def test_the_image_holds_what_the_recipe_names(small_recipe: Path) -> None:
    names = (
        "init",
        "bin/tool",
        "bin/own",
        "bin/sh",
        "lib/libtool.so.1.2",
        "lib/modules/virtio_net.ko",
        "proc",
        "etc/passwd",
    )
    contents = linux_image().initramfs.read_bytes()
    checksum = b"0" * 8  # the last field before a name
    assert [name for name in names if checksum + name.encode() + b"\0" not in contents] == []


def test_the_same_recipe_makes_the_same_bytes(
    small_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = linux_image().initramfs
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "another cache"))
    second = linux_image().initramfs
    assert first != second
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("changed", ["init", "own.c"])
def test_a_changed_recipe_makes_another_image(small_recipe: Path, changed: str) -> None:
    first = linux_image().initramfs
    with (small_recipe / changed).open("a") as file:
        file.write("\n")
    assert linux_image().initramfs != first


def test_a_file_that_no_package_has_is_named(small_recipe: Path) -> None:
    text = (small_recipe / "recipe.toml").read_text()
    (small_recipe / "recipe.toml").write_text(text.replace("bin/tool", "bin/other"))
    with pytest.raises(Unavailable, match="the package programs has no bin/other"):
        linux_image()


def test_a_kernel_and_an_image_of_ones_own_need_no_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    kernel, initramfs = tmp_path / "vmlinux", tmp_path / "initramfs"
    kernel.write_bytes(b"\x7fELF")
    initramfs.write_bytes(b"\x1f\x8b")
    assert linux_image(kernel, initramfs) == image.LinuxImage(kernel, initramfs)


def test_what_is_no_kernel_or_no_image_is_told(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("neither")
    with pytest.raises(
        BadInput, match=r"text is not a Linux kernel: it is neither a bzImage nor an ELF file"
    ):
        linux_image(text, text)
    with pytest.raises(BadInput, match=r"the kernel .*missing cannot be read: No such file"):
        linux_image(tmp_path / "missing", text)
    text.write_bytes(b"\x7fELF")
    with pytest.raises(BadInput, match=r"text is not an initramfs"):
        linux_image(text, text)


def test_the_recipe_that_ships_is_well_formed() -> None:
    shipped = recipe.load()
    assert shipped.kernel_packages == ("linux-image-cloud-amd64", "linux-image-virtual")
    assert [path.name for path in shipped.programs.values() if path.is_file()] == ["queue-stats.c"]
    assert {"virtio_pci", "virtio_net"} <= set(shipped.boot_modules)
    for script in shipped.scripts.values():
        subprocess.run(["sh", "-n"], input=script, check=True, timeout=10 * PACE)


def test_answers_that_an_earlier_version_cached_are_asked_for_anew(
    small_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Earlier:
        name: str
        file_name: str
        sha256: str

    with monkeypatch.context() as earlier:
        earlier.setattr(image, "Package", Earlier)
        earlier.setattr(packages, "resolve", lambda names: [Earlier(name, "f", "s") for name in names])
        image._resolved(recipe.load(small_recipe))
    assert image._resolved(recipe.load(small_recipe)).kernel == [KERNEL]
