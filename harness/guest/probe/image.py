"""The probe guest's image, built from fixtures/images/probe by the system's C compiler and kept in the cache."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.cache import cached
from harness.checkout import IMAGES
from harness.deadline import PACE
from harness.errors import Unavailable

RECIPE = IMAGES / "probe"
BUILD_PATIENCE = 60.0
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


def build_image(root: Path | None = None) -> Path:
    """The image, an ELF file that PVH loaders boot. `root` overrides the cache's folder.

    Raises Unavailable without a compiler, or with the compiler's words if the recipe does not build.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("the probe guest needs a C compiler: apt-get install gcc libc6-dev")
    sources = sorted(path for path in RECIPE.iterdir() if path.suffix in {".c", ".S", ".h", ".ld"})
    inputs = b"\0".join(
        [*(path.name.encode() + path.read_bytes() for path in sources), " ".join(CFLAGS).encode()]
    )

    def build(target: Path) -> None:
        argv = [
            compiler,
            *CFLAGS,
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none",
            "-Wl,-z,noexecstack",
        ]
        argv += ["-Wl,--no-warn-rwx-segments", "-T", str(RECIPE / "link.ld"), "-o", str(target)]
        argv += [str(path) for path in sources if path.suffix in {".c", ".S"}]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=BUILD_PATIENCE * PACE, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"{compiler} did not build the probe guest within {BUILD_PATIENCE:.0f} s"
            ) from None
        if done.returncode:
            raise Unavailable(f"{compiler} could not build the probe guest: {done.stderr.strip()[-400:]}")

    return cached("probe", inputs, build, root=root)
