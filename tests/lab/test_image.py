"""What the lab boots, from packages that need no mirror."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.errors import DeadlineExceeded, HarnessError, Owner, Unavailable
from harness.guest.linux import kernel_packages, packages
from harness.guest.linux.packages import Package
from harness.lab import image
from harness.lab.image import FOLDER, lab_image, load

KERNEL = Package("linux-image-9.9-test", "kernel.deb", "aa")
BUSYBOX = Package("busybox-static", "busybox.deb", "bb")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the packages' contents lie; all modules of the recipe are among them. The cache is empty."""
    for name in load().modules:
        path = tmp_path / KERNEL.name / "lib/modules/9.9-test" / f"{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0depends=\0" + name.encode())
    (path.parent / "modules.builtin").write_text("")
    (tmp_path / KERNEL.name / "boot").mkdir()
    (tmp_path / KERNEL.name / "boot/vmlinuz-9.9-test").write_bytes(b"kernel")
    (tmp_path / BUSYBOX.name / "bin").mkdir(parents=True)
    (tmp_path / BUSYBOX.name / "bin/busybox").write_bytes(b"busybox")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    monkeypatch.setattr(kernel_packages, "names", lambda _: [KERNEL.name])
    monkeypatch.setattr(packages, "resolve", lambda _: [KERNEL, BUSYBOX])
    monkeypatch.setattr(packages, "fetch", lambda *_: tmp_path)
    monkeypatch.setattr(packages, "unpack", unpack)
    return tmp_path


def unpack(package: Package, mirror: Path, root: Path) -> Path:
    return Path(shutil.copytree(mirror / package.name, root, dirs_exist_ok=True))


@pytest.mark.parametrize("place", ["bin", "usr/bin"])
def test_image_holds_what_the_recipe_names(mirror: Path, place: str) -> None:
    (mirror / BUSYBOX.name / "usr").mkdir()
    (mirror / BUSYBOX.name / "bin").rename(mirror / BUSYBOX.name / place)
    made = lab_image()
    content = made.initramfs.read_bytes()
    assert made.kernel.read_bytes() == b"kernel"
    assert (FOLDER / "init").read_bytes() in content
    assert b"\n".join(name.encode() for name in load().modules) in content


def test_kernel_without_a_module_that_the_lab_needs_is_told(mirror: Path) -> None:
    next(mirror.rglob("kvm_amd.ko")).unlink()
    with pytest.raises(
        Unavailable, match=r"the lab's kernel cannot be had: .* 9.9-test has no module kvm_amd"
    ):
        lab_image()
    assert not list((mirror / "cache").rglob("vmlinuz"))


UNREACHABLE = f"no answer: check the mirror, {packages.OWN_IMAGE}"


@pytest.mark.parametrize(
    "error", [Unavailable(UNREACHABLE), DeadlineExceeded(UNREACHABLE, Owner.HOST)], ids=["refused", "late"]
)
def test_mirror_out_of_reach_is_told_without_options_that_the_lab_does_not_have(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, error: HarnessError
) -> None:
    def unreachable(*_: object) -> Path:
        raise error

    monkeypatch.setattr(packages, "fetch", unreachable)
    with pytest.raises(Unavailable, match=r"^the lab's kernel cannot be had: no answer: check the mirror$"):
        lab_image()


def test_disk_without_room_is_told_before_it_is_full(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "ROOM_MIB", 1 << 30)
    with pytest.raises(Unavailable, match=r"has \d+ MiB left, and unpacking takes \d+: make room"):
        lab_image()
