import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.guest.linux.modules import load_order
from harness.guest.linux.zstd import decompress


def module(depends: str) -> bytes:
    """As much of a module as matters: some code, and the strings of its section .modinfo."""
    return b"\x7fELF code\0license=GPL\0depends=" + depends.encode() + b"\0intree=Y\0"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """lib/modules/VERSION of a kernel: one module is compressed, another one built in."""
    (tmp_path / "kernel/net").mkdir(parents=True)
    (tmp_path / "modules.builtin").write_text("kernel/lib/crc-16.ko\n")
    (tmp_path / "kernel/net/virtio_net.ko").write_bytes(module("net_failover,virtio-ring,crc16,crc_16"))
    (tmp_path / "kernel/net/net_failover.ko").write_bytes(module("failover"))
    (tmp_path / "kernel/failover.ko").write_bytes(module(""))
    (tmp_path / "kernel/crc16.ko").write_bytes(module(""))
    (tmp_path / "kernel/virtio_ring.ko.xz").write_bytes(lzma.compress(module("")))
    return tmp_path


def test_a_module_comes_after_what_it_depends_on(tree: Path) -> None:
    assert list(load_order(tree, ["virtio-net"])) == [
        *("failover", "net_failover", "virtio_ring", "crc16", "virtio_net"),
    ]


def test_a_module_comes_once_however_many_want_it(tree: Path) -> None:
    assert list(load_order(tree, ["failover", "net_failover"])) == ["failover", "net_failover"]


def by_zstd(data: bytes) -> bytes:
    """One frame with one block that is stored as it is, of a size that it tells (RFC 8878)."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0xA0]) + len(data).to_bytes(4, "little")
    return header + (len(data) << 3 | 1).to_bytes(3, "little") + data


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".xz", lzma.compress), (".gz", gzip.compress), (".zst", by_zstd), ("", bytes)]
)
def test_modules_are_unpacked_however_they_are_compressed(
    tree: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    (tree / f"kernel/tun.ko{suffix}").write_bytes(compress(module("")))
    assert load_order(tree, ["tun"]) == {"tun": module("")}


def test_an_unknown_compression_is_told(tree: Path) -> None:
    (tree / "kernel/tun.ko.br").write_bytes(b"")
    with pytest.raises(Unavailable, match=r"tun\.ko\.br is compressed in an unknown way"):
        load_order(tree, ["tun"])


@pytest.mark.parametrize("damaged", [b"", b"no frame at all", by_zstd(b"x" * 40)[:-8]])
def test_a_damaged_frame_is_told(damaged: bytes) -> None:
    with pytest.raises(Unavailable, match="Zstandard frame"):
        decompress(damaged)


def test_what_is_built_in_is_left_out(tree: Path) -> None:
    assert load_order(tree, ["crc_16"]) == {}


def test_a_missing_module_is_named(tree: Path) -> None:
    with pytest.raises(Unavailable, match="has no module pktgen"):
        load_order(tree, ["pktgen"])
