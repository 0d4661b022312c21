"""Where the checkout lies that this harness is part of: the suite, the images' recipes, the baselines."""

from __future__ import annotations

from pathlib import Path

ROOT: Path = Path(__file__).resolve().parents[1]
IMAGES: Path = ROOT / "fixtures" / "images"
