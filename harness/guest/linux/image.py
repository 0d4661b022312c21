"""The Linux guest's kernel and initramfs: built from the distribution's packages once, then taken from the cache."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from harness.bounded import MIB, Unreadable, parse_json, read_file
from harness.cache import cached
from harness.errors import BadInput, Unavailable
from harness.guest.compiler import compile_c
from harness.guest.linux import cpio, kernel_packages, modules, packages
from harness.guest.linux.packages import Package
from harness.guest.linux.recipe import Recipe, load

_CPIO = b"070701"
_GZIP, _BZIP2, _LZMA, _XZ = b"\x1f\x8b", b"BZh", b"\x5d\0\0", b"\xfd7zXZ\0"
_LZO, _LZ4, _ZSTD = b"\x89LZO", b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd"
_INITRAMFS_MAGICS = (_CPIO, _GZIP, _BZIP2, _LZMA, _XZ, _LZO, _LZ4, _ZSTD)
"""How a file begins that the kernel can unpack (lib/decompress.c, Linux 6.1)."""


@dataclass(frozen=True)
class LinuxImage:
    """What a VMM boots: a kernel, and an initramfs that holds no keys yet."""

    kernel: Path
    initramfs: Path


def linux_image(kernel: Path | None = None, initramfs: Path | None = None) -> LinuxImage:
    """The image to boot; a kernel or an initramfs of the user's own takes the place of ours.

    Builds at first need, which takes the network (call it before entering a network namespace of one's own),
    a few seconds, and no root rights. Afterwards it is a look into the cache until apt knows newer packages.

    Raises BadInput for a file that is not what it should be, Unavailable where packages cannot be fetched.
    """
    return LinuxImage(
        kernel=_checked_kernel(kernel) if kernel else stock_kernel(),
        initramfs=_checked_initramfs(initramfs) if initramfs else _initramfs(load()),
    )


def stock_kernel() -> Path:
    """The distribution's kernel for virtual machines, as a bzImage."""
    return _kernel_tree(load()) / "vmlinuz"


@dataclass(frozen=True)
class _Resolved:
    """The packages that apt would take now."""

    kernel: list[Package]
    others: list[Package]


def _resolved(recipe: Recipe) -> _Resolved:
    """Asking apt takes seconds, hence the cache."""

    def ask_apt(target: Path) -> None:
        kernel = packages.resolve(kernel_packages.names(recipe.kernel_packages))
        others = packages.resolve(list(recipe.files))
        answer = {"kernel": [vars(p) for p in kernel], "others": [vars(p) for p in others]}
        target.write_text(json.dumps(answer, indent=1))

    shape = " ".join(field.name for field in fields(Package))  # an earlier version of us may have asked too
    state = shape.encode() + recipe.digest_input + packages.lists_state()
    file = cached("linux-resolved.json", state, ask_apt)
    try:
        listed = parse_json(read_file(file, MIB))
        return _Resolved(
            **{part: [Package(**entry) for entry in entries] for part, entries in listed.items()}
        )
    except (Unreadable, TypeError, AttributeError) as error:
        raise Unavailable(f"{file} is damaged ({error}); delete it, and it is made anew") from None


def _kernel_tree(recipe: Recipe) -> Path:
    """A folder with `vmlinuz`, the modules as NAME.ko, and the list `boot` of those to load, in order."""
    found = _resolved(recipe).kernel
    wanted = (*recipe.boot_modules, *recipe.on_demand_modules)

    def build(target: Path) -> None:
        kernel = kernel_packages.unpack(found, packages.fetch("linux-kernel-packages", found), target.parent)
        target.mkdir()
        kernel.image.rename(target / "vmlinuz")
        for name, contents in modules.load_order(kernel.modules, wanted).items():
            (target / f"{name}.ko").write_bytes(contents)
        (target / "boot").write_text(
            "\n".join([*modules.load_order(kernel.modules, recipe.boot_modules), ""])
        )

    return cached("linux-kernel", f"{_digests(found)} {wanted} {recipe.boot_modules}".encode(), build)


def _digests(found: Sequence[Package]) -> str:
    return " ".join(package.digest for package in found)


def _initramfs(recipe: Recipe) -> Path:
    found = _resolved(recipe)

    def build(target: Path) -> None:
        fetched = packages.fetch("linux-packages", found.others)
        roots = {
            package.name: packages.unpack(package, fetched, target.with_name(package.name))
            for package in found.others
        }
        contents = _assemble(recipe, _kernel_tree(recipe), roots, _compiled(recipe, target.parent))
        target.write_bytes(contents)

    digests = _digests([*found.kernel, *found.others])
    return cached("linux-initramfs.cpio", recipe.digest_input + digests.encode(), build)


def _compiled(recipe: Recipe, folder: Path) -> dict[str, bytes]:
    """The programs that no package has, by their place in the image. Static, whatever C library the image has."""
    made = {}
    for name, source in recipe.programs.items():
        program = folder / source.stem
        compile_c("the Linux guest", ["-std=gnu11", "-Os", "-s", "-static", "-o", str(program), str(source)])
        made[name] = program.read_bytes()
    return made


def _assemble(recipe: Recipe, kernel_tree: Path, roots: dict[str, Path], programs: dict[str, bytes]) -> bytes:
    entries = {name: cpio.folder() for name in recipe.folders}
    # dropbear takes no authorized_keys from a folder that others could write to.
    entries |= {"root": cpio.folder(0o700), "root/.ssh": cpio.folder(0o700), "tmp": cpio.folder(0o1777)}
    for package, patterns in recipe.files.items():
        for pattern in patterns:
            entries |= _matching(roots[package], package, pattern)
    entries |= {name: cpio.file(contents, 0o755) for name, contents in programs.items()}
    for module in kernel_tree.glob("*.ko"):
        entries[f"lib/modules/{module.name}"] = cpio.file(module.read_bytes())
    entries["lib/modules/boot"] = cpio.file((kernel_tree / "boot").read_bytes())
    entries |= {name: cpio.link("/bin/busybox") for name in recipe.busybox_links}
    entries |= {name: cpio.file(text.encode()) for name, text in recipe.text.items()}
    entries |= {name: cpio.file(script, 0o755) for name, script in recipe.scripts.items()}
    return cpio.archive(entries)


def _matching(root: Path, package: str, pattern: str) -> dict[str, cpio.Entry]:
    """The files of an unpacked package that match, by path without the leading "usr/"."""
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root)).removeprefix("usr/")
        if not fnmatch.fnmatchcase(name, pattern):
            continue
        if path.is_symlink():
            found[name] = cpio.link(str(path.readlink()))
        elif path.is_file():
            found[name] = cpio.file(path.read_bytes(), 0o755)
    if not found:
        raise Unavailable(f"the package {package} has no {pattern}: mend fixtures/images/linux/recipe.toml")
    return found


def _checked_kernel(path: Path) -> Path:
    head = _head(path, "kernel")
    # A bzImage has its magic number in the setup header: Linux Documentation/arch/x86/boot.rst, offset 0x202.
    if head[0x202:0x206] != b"HdrS" and not head.startswith(b"\x7fELF"):
        raise BadInput(f"{path} is not a Linux kernel: it is neither a bzImage nor an ELF file")
    return path


def _checked_initramfs(path: Path) -> Path:
    head = _head(path, "guest image")
    if not head.startswith(_INITRAMFS_MAGICS):
        raise BadInput(f"{path} is not an initramfs: it is no cpio archive, plain or compressed")
    return path


def _head(path: Path, role: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1024)
    except OSError as error:
        raise BadInput(f"the {role} {path} cannot be read: {error.strerror}") from error
