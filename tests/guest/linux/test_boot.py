from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from harness.guest.linux.address import guest_address, host_address, host_mac, management_mac
from harness.guest.linux.boot import BootFiles, linux_vm, management_nic, prepare
from harness.guest.linux.image import LinuxImage
from harness.guest.linux.keys import KEY_TYPE, Keys
from harness.vmm.base import NicConfig, TapByName

ADDRESS = IPv4Address("10.99.0.2")


def test_the_mac_of_the_management_nic_is_its_address() -> None:
    assert management_mac(ADDRESS) == "02:6d:0a:63:00:02"
    assert guest_address("02:6D:0A:63:00:02") == ADDRESS


def test_another_mac_has_no_address_in_it() -> None:
    with pytest.raises(ValueError, match="begin with 02:6d"):
        guest_address("52:54:00:12:34:56")


@pytest.mark.parametrize(("guest", "host"), [("10.99.0.2", "10.99.0.1"), ("10.99.0.5", "10.99.0.6")])
def test_the_host_has_the_other_address_of_the_network(guest: str, host: str) -> None:
    assert host_address(IPv4Address(guest)) == IPv4Address(host)


def test_the_ends_of_the_network_are_no_addresses() -> None:
    for end in ("10.99.0.0", "10.99.0.3"):
        with pytest.raises(ValueError, match="no usable address"):
            host_address(IPv4Address(end))


def test_guest_and_host_have_different_macs() -> None:
    assert host_mac(ADDRESS) != management_mac(ADDRESS)


def test_the_command_line_names_every_nic_but_the_management_nic(tmp_path: Path, keys: Keys) -> None:
    files = BootFiles(tmp_path / "kernel", tmp_path / "initramfs", keys)
    nics = [NicConfig(f"net{i}", f"52:54:00:00:00:0{i}", 4, TapByName(f"tap{i}")) for i in range(2)]
    config = linux_vm(
        files,
        nics,
        management_nic(ADDRESS, TapByName("mgmt")),
        addresses={"net1": IPv4Interface("10.9.0.2/24")},
        kernel_options="maxcpus=1",
    )
    assert config.cmdline == (
        "console=ttyS0 quiet panic=0 noxsave guest.net0=52:54:00:00:00:00,up "
        "guest.net1=52:54:00:00:00:01,10.9.0.2/24 maxcpus=1"
    )
    assert [(nic.id, nic.pairs) for nic in config.nics] == [("net0", 4), ("net1", 4), ("mgmt", 1)]


def test_the_keys_come_behind_the_image_at_a_multiple_of_four(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"12345")
    files = prepare(LinuxImage(tmp_path / "kernel", tmp_path / "image"), tmp_path)
    contents = files.initramfs.read_bytes()
    assert contents.startswith(b"12345" + bytes(3) + b"070701")
    assert f"{KEY_TYPE} {files.keys.client.get_base64()}".encode() in contents


def test_every_run_has_keys_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"")
    image = LinuxImage(tmp_path / "kernel", tmp_path / "image")
    first, second = (prepare(image, tmp_path).keys for _ in range(2))
    assert first.client.asbytes() != second.client.asbytes()
    assert first.host != second.host
