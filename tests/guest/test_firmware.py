from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import BadInput, Unavailable
from harness.guest.firmware import files as module
from harness.guest.firmware.files import firmware_files
from harness.testbed.network_boot import NetworkBoot

HAS_ONE: Any = SimpleNamespace(name="alpha")
HAS_NONE: Any = SimpleNamespace(name="beta", packaged_firmware=None)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host that has everything; the folder of its files."""
    for name in ("OVMF", "IPXE"):
        (tmp_path / name).touch()
    HAS_ONE.packaged_firmware = tmp_path / "OVMF"
    monkeypatch.setattr(module, "IPXE", tmp_path / "IPXE")
    monkeypatch.setattr("shutil.which", lambda *_, **__: str(tmp_path / "dnsmasq"))
    return tmp_path


def test_each_vmm_has_its_firmware(there: Path) -> None:
    own = there / "CLOUDHV.fd"
    own.touch()
    assert firmware_files(HAS_ONE, own).firmware == there / "OVMF"
    assert firmware_files(HAS_NONE, own).firmware == own


def test_a_vmm_without_a_packaged_one_needs_it_from_the_user(there: Path) -> None:
    with pytest.raises(Unavailable, match="--firmware PATH"):
        firmware_files(HAS_NONE, None)
    with pytest.raises(BadInput, match=r"there is no firmware .*absent"):
        firmware_files(HAS_NONE, there / "absent")


def test_what_is_missing_is_said_with_the_line_that_installs_it(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (there / "IPXE").unlink()
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Unavailable, match=r"apt-get install --no-install-recommends ipxe dnsmasq-base$"):
        firmware_files(HAS_ONE, None)


def test_a_boot_that_failed_shows_what_the_guest_said_last() -> None:
    outcome = NetworkBoot(
        False, 75.6, frozenset({0, 1}), (0, 4), "\x1b[2J>>Start\r\n\r\n  PXE-E16: No offer.\r\n"
    )
    assert repr(outcome).endswith("PXE-E16: No offer.') in 76 s; host: pairs [0, 1]; frames: (0, 4)")
