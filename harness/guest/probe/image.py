"""The probe guest's image, built from fixtures/images/probe by the system's C compiler and kept in the cache."""

from __future__ import annotations

from pathlib import Path

from harness.cache import cached
from harness.checkout import IMAGES
from harness.guest.compiler import compile_c
from harness.vmm.kernel_format import KernelFormat

RECIPE = IMAGES / "probe"
SCRIPTS = {KernelFormat.PVH: "link.ld", KernelFormat.BZIMAGE: "bzimage.ld"}
CFLAGS = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-ffreestanding",
    "-fno-pic",
    "-fno-pie",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-mno-red-zone",
    "-mgeneral-regs-only",
]


def build_image(form: KernelFormat = KernelFormat.PVH, root: Path | None = None) -> Path:
    """The image in one of its forms, linked from the same sources. `root` overrides the cache's folder.

    Raises Unavailable without a compiler, or with the compiler's words if the recipe does not build.
    """
    sources = sorted(path for path in RECIPE.iterdir() if path.suffix in {".c", ".S", ".h", ".ld"})
    inputs = b"\0".join(
        [
            *(path.name.encode() + path.read_bytes() for path in sources),
            " ".join([*CFLAGS, form.value]).encode(),
        ]
    )

    def build(target: Path) -> None:
        words = [*CFLAGS, "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"]
        words += ["-Wl,--no-warn-rwx-segments", "-T", str(RECIPE / SCRIPTS[form]), "-o", str(target)]
        words += [str(path) for path in sources if path.suffix in {".c", ".S"}]
        compile_c("the probe guest", words)

    return cached("probe", inputs, build, root=root)
