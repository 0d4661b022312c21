"""Finding the registers of PCI hot plug in ACPI's byte code."""

import pytest

from harness.guest.probe.ejection import region_of

BEFORE, AFTER = b"\x79\x00", b"\x0a\x10\x5b\x81\x1aPCST\x43PCIU\x20"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (b"\x0e\x00\xf0\xfe\xff\xff\x3f\x00\x00", 0x3FFFFFFEF000),
        (b"\x0c\x00\xf0\xbf\xfe", 0xFEBFF000),
        (b"\x0b\xc0\x0c", 0xCC0),
        (b"PCIB", None),
    ],
    ids=["8-bytes", "4-bytes", "2-bytes", "no-integer"],
)
def test_region_in_memory(number: bytes, expected: int | None) -> None:
    assert region_of(BEFORE + b"\x5b\x80PCST\x00" + number + AFTER) == expected


def test_region_of_ports_is_none_in_memory() -> None:
    assert region_of(BEFORE + b"\x5b\x80PCST\x01\x0b\x00\xae" + AFTER) is None
