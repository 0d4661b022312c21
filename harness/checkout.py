"""Where the suite lies that this harness is part of: its tests, the images' recipes, the baselines.

That is the checkout. In an installed wheel it is a folder of the package, laid out as the checkout is.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE: Path = Path(__file__).resolve().parent
_IN_A_WHEEL: Path = PACKAGE / "suite"
INSTALLED: bool = _IN_A_WHEEL.is_dir()
"""Whether this is a wheel's copy, without a checkout around it."""
ROOT: Path = _IN_A_WHEEL if INSTALLED else PACKAGE.parent
SUITE: Path = ROOT / "conformance"
IMAGES: Path = ROOT / "fixtures" / "images"
