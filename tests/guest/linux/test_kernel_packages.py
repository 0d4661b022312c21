"""Kernels as each distribution packs them, from packages that need no mirror."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.guest.linux import kernel_packages, packages
from harness.guest.linux.packages import OWN_IMAGE, Package

METAPACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual")


@dataclass(frozen=True)
class Distribution:
    """Its packages: what each depends on, and the files that the kernel's hold."""

    depends: dict[str, str]
    files: dict[str, tuple[str, ...]]


DEBIAN_12 = Distribution(
    {
        "linux-image-cloud-amd64": "linux-image-6.1.0-50-cloud-amd64",
        "linux-image-6.1.0-50-cloud-amd64": "linux-base kmod initramfs-tools",
    },
    {"linux-image-6.1.0-50-cloud-amd64": ("boot/vmlinuz-6.1.0-50", "lib/modules/6.1.0-50/modules.builtin")},
)
DEBIAN_13 = Distribution(
    {
        "linux-image-cloud-amd64": "linux-image-6.12.1+deb13-cloud-amd64",
        "linux-image-6.12.1+deb13-cloud-amd64": "linux-base kmod initramfs-tools",
    },
    {
        "linux-image-6.12.1+deb13-cloud-amd64": (
            "boot/vmlinuz-6.12.1",
            "usr/lib/modules/6.12.1/modules.builtin",
        )
    },
)
DEBIAN_14 = Distribution(
    {
        "linux-image-cloud-amd64": "linux-base-cloud-amd64 linux-image-7.2.13+deb14-cloud-amd64",
        "linux-image-7.2.13+deb14-cloud-amd64": "linux-base dracut initramfs-tools "
        "linux-base-7.2.13+deb14-cloud-amd64 linux-binary-7.2.13+deb14-cloud-amd64 "
        "linux-modules-7.2.13+deb14-cloud-amd64",
        "linux-modules-7.2.13+deb14-cloud-amd64": "linux-base-7.2.13+deb14-cloud-amd64 kmod",
    },
    {
        "linux-image-7.2.13+deb14-cloud-amd64": (),
        "linux-base-7.2.13+deb14-cloud-amd64": ("usr/lib/modules/7.2.13/modules.builtin",),
        "linux-binary-7.2.13+deb14-cloud-amd64": ("boot/vmlinuz-7.2.13",),
        "linux-modules-7.2.13+deb14-cloud-amd64": ("usr/lib/modules/7.2.13/kernel/virtio_net.ko.xz",),
    },
)
UBUNTU_24_04 = Distribution(
    {
        "linux-image-virtual": "linux-image-6.8.0-31-generic",
        "linux-image-6.8.0-31-generic": "kmod linux-base linux-firmware linux-modules-6.8.0-31-generic",
    },
    {
        "linux-image-6.8.0-31-generic": ("boot/vmlinuz-6.8.0-31-generic",),
        "linux-modules-6.8.0-31-generic": ("lib/modules/6.8.0-31-generic/modules.builtin",),
    },
)
ALL = {"12": DEBIAN_12, "13": DEBIAN_13, "14": DEBIAN_14, "ubuntu": UBUNTU_24_04}


@pytest.fixture(params=ALL.values(), ids=list(ALL))
def distribution(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """What apt answers, in its own words."""
    chosen: Distribution = request.param

    def answer(command: Sequence[str], _: float, about: str, **__: object) -> str:
        asked = [word for word in command[2:] if not word.startswith("--")]
        if command[1] == "show" and asked[0] not in chosen.depends:
            raise packages.Unknown(f"apt-cache cannot give {about} (No packages found)")
        lines = []
        for name in asked:
            lines += [name, *(f"  Depends: {needed}" for needed in chosen.depends.get(name, "").split())]
        return "\n".join(
            [*lines, " |Depends: dracut", "  Depends: <linux-initramfs-tool>", "    tiny-initramfs"]
        )

    def unpack(package: Package, _: Path, root: Path) -> Path:
        for name in chosen.files[package.name]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(package.name)
        return root

    monkeypatch.setattr(packages, "_run", answer)
    monkeypatch.setattr(packages, "unpack", unpack)
    return chosen


def test_the_kernel_is_all_packages_of_its_version(distribution: Distribution) -> None:
    assert sorted(kernel_packages.names(METAPACKAGES)) == sorted(distribution.files)


def test_kernel_and_modules_are_found_in_whichever_package_has_them(
    distribution: Distribution, tmp_path: Path
) -> None:
    found = [Package(name, "", "") for name in kernel_packages.names(METAPACKAGES)]
    kernel = kernel_packages.unpack(found, tmp_path, tmp_path)
    assert kernel.image.name.startswith("vmlinuz-")
    assert (kernel.modules / "modules.builtin").is_file()


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("boot/vmlinuz-*", "hold no boot/vmlinuz-* nor"),
        ("modules.builtin", "hold no lib/modules/*/modules.builtin nor"),
    ],
)
@pytest.mark.parametrize("distribution", [DEBIAN_14], indirect=True)
def test_a_kernel_that_is_in_none_of_its_packages_is_told(
    distribution: Distribution, tmp_path: Path, lost: str, words: str
) -> None:
    found = [
        Package(name, "", "")
        for name, files in distribution.files.items()
        if not any(Path(f).match(lost) for f in files)
    ]
    with pytest.raises(Unavailable, match=f"{re.escape(words)}.*--guest-kernel"):
        kernel_packages.unpack(found, tmp_path, tmp_path)


@pytest.mark.parametrize("distribution", [Distribution({}, {})], indirect=True)
def test_a_host_whose_apt_knows_no_kernel_is_told_what_to_do(distribution: Distribution) -> None:
    with pytest.raises(
        Unavailable,
        match=rf"no kernel for virtual machines \(.*\): run apt-get update, {re.escape(OWN_IMAGE)}",
    ):
        kernel_packages.names(METAPACKAGES)
