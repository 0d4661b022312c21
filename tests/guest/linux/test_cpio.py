import stat
from collections.abc import Iterator

from harness.guest.linux import cpio


def read(archive: bytes) -> Iterator[tuple[str, list[int], bytes]]:
    """The entries of a newc archive: name, header fields, contents."""
    position = 0
    while True:
        assert archive[position : position + 6] == b"070701"
        fields = [int(archive[position + 6 + 8 * i : position + 14 + 8 * i], 16) for i in range(13)]
        name_length, size = fields[11], fields[6]
        start = position + 110
        name = archive[start : start + name_length - 1].decode()
        data_start = (start + name_length + 3) & ~3
        if name == "TRAILER!!!":
            return
        yield name, fields, archive[data_start : data_start + size]
        position = (data_start + size + 3) & ~3


ENTRIES = {
    "sbin/tool": cpio.file(b"12345", 0o755),
    "bin/sh": cpio.link("/bin/busybox"),
    "root": cpio.folder(0o700),
    "root/.profile": cpio.file(b""),
    "etc/passwd": cpio.file(b"root\n"),
}


def test_every_entry_and_its_folders_come_back() -> None:
    found = {name: (fields[1], data) for name, fields, data in read(cpio.archive(ENTRIES))}
    folder = stat.S_IFDIR | 0o755
    assert found == {
        "bin": (folder, b""),
        "bin/sh": (stat.S_IFLNK | 0o777, b"/bin/busybox"),
        "etc": (folder, b""),
        "etc/passwd": (stat.S_IFREG | 0o644, b"root\n"),
        "root": (stat.S_IFDIR | 0o700, b""),
        "root/.profile": (stat.S_IFREG | 0o644, b""),
        "sbin": (folder, b""),
        "sbin/tool": (stat.S_IFREG | 0o755, b"12345"),
    }


def test_a_folder_comes_before_what_lies_in_it() -> None:
    names = [name for name, _, _ in read(cpio.archive({"a-b": cpio.file(b""), "a/b/c": cpio.file(b"")}))]
    assert names.index("a") < names.index("a/b") < names.index("a/b/c")


def test_the_order_of_the_entries_does_not_matter() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(dict(reversed(ENTRIES.items())))


def test_nothing_in_it_depends_on_who_writes_it_and_when() -> None:
    for _, fields, _ in read(cpio.archive(ENTRIES)):
        user, group, time, *device = fields[2], fields[3], fields[5], *fields[7:11]
        assert [user, group, time, *device] == [0] * 7


def test_another_archive_can_follow() -> None:
    assert len(cpio.archive(ENTRIES)) % 4 == 0
