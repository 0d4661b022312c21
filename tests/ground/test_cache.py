import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from harness import cache
from harness.cache import cache_root, cached, damaged
from harness.deadline import PACE
from harness.errors import DeadlineExceeded, Unavailable


def write(text: str) -> cache.Build:
    def build(target: Path) -> None:
        target.write_text(text)

    return build


def refuse(_: Path) -> None:
    raise AssertionError("was built again")


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    first = cached("image", b"recipe", write("contents"), root=tmp_path)
    assert cached("image", b"recipe", refuse, root=tmp_path) == first
    assert first.read_text() == "contents"


def test_what_is_made_is_announced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(cache, "announce", said.append)
    for _ in range(2):
        cached("linux-guest", b"recipe", write("contents"), root=tmp_path)
    assert said == [f"making linux-guest, once on this host, in {tmp_path}"]


def test_other_inputs_make_another_entry(tmp_path: Path) -> None:
    first = cached("image", b"recipe", write("one"), root=tmp_path)
    second = cached("image", b"recipe, changed", write("two"), root=tmp_path)
    assert (first.read_text(), second.read_text()) == ("one", "two")


def test_an_entry_may_be_a_folder(tmp_path: Path) -> None:
    entry = cached("tree", b"", lambda target: target.mkdir(), root=tmp_path)
    assert entry.is_dir()


def test_a_failed_build_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    def half(target: Path) -> None:
        target.write_text("half")
        (target.parent / "intermediate").write_text("file")
        raise Unavailable("no mirror")

    with pytest.raises(Unavailable, match="no mirror"):
        cached("image", b"recipe", half, root=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    assert cached("image", b"recipe", write("whole"), root=tmp_path).read_text() == "whole"


def test_what_a_killed_build_left_is_swept_away(tmp_path: Path) -> None:
    entry = cached("image", b"recipe", write("whole"), root=tmp_path)
    entry.unlink()
    left_over = tmp_path / f".{entry.name}.building"
    left_over.mkdir()
    (left_over / "result").write_text("half")
    assert cached("image", b"recipe", write("whole"), root=tmp_path).read_text() == "whole"
    assert not left_over.exists()


def _ask(root: Path, start: Barrier) -> None:
    def build(target: Path) -> None:
        with (root / "builds").open("a") as log:
            log.write("built\n")
        target.write_text("contents")

    start.wait(10 * PACE)
    assert cached("image", b"recipe", build, root=root).read_text() == "contents"


def test_of_many_processes_at_once_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(6)
    askers = [context.Process(target=_ask, args=(tmp_path, start)) for _ in range(6)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(10 * PACE)
    assert [asker.exitcode for asker in askers] == [0] * 6
    assert (tmp_path / "builds").read_text() == "built\n"


def test_a_build_elsewhere_that_never_ends_is_not_waited_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "BUILD_PATIENCE", 0.05)

    def ask_meanwhile(target: Path) -> None:
        with pytest.raises(DeadlineExceeded, match=r"another process to build .*image.*lock is still held"):
            cached("image", b"recipe", refuse, root=tmp_path)
        target.write_text("contents")

    cached("image", b"recipe", ask_meanwhile, root=tmp_path)


def test_a_cache_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="set XDG_CACHE_HOME to a writable folder"):
        cached("image", b"recipe", refuse, root=tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("/elsewhere", "/elsewhere/virtio-net-mq"),
        ("relative", "/home/somebody/.cache/virtio-net-mq"),
        ("", "/home/somebody/.cache/virtio-net-mq"),
    ],
)
def test_the_cache_lies_where_the_xdg_specification_says(
    setting: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", setting)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert os.fspath(cache_root()) == expected


@pytest.mark.parametrize("damage", ["truncated", "altered", "more"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_damaged_entry_is_told_and_made_anew(tmp_path: Path, kind: str, damage: str) -> None:
    def build(to: Path) -> None:
        made.append(to)
        if kind == "folder":
            to.mkdir()
        (to / "image" if kind == "folder" else to).write_bytes(b"content")

    made: list[Path] = []
    entry = cached("thing", b"1", build, root=tmp_path)
    assert damaged(tmp_path) == []
    file = entry / "image" if kind == "folder" else entry
    file.write_bytes({"truncated": b"con", "altered": b"CONTENT", "more": b"content and more"}[damage])
    assert damaged(tmp_path) == [entry]
    assert cached("thing", b"1", build, root=tmp_path) == entry
    assert file.read_bytes() == b"content"
    assert len(made) == 2
    assert damaged(tmp_path) == []


def test_entry_of_an_earlier_version_is_taken_as_it_is_once(tmp_path: Path) -> None:
    entry = cached("thing", b"1", lambda to: void(to.write_bytes(b"content")), root=tmp_path)
    (tmp_path / f".{entry.name}.sha256").unlink()
    assert (
        cached("thing", b"1", lambda to: void(to.write_bytes(b"other")), root=tmp_path).read_bytes()
        == b"content"
    )
    entry.write_bytes(b"con")
    assert damaged(tmp_path) == [entry]


def void(_: object) -> None:
    """A build answers nothing."""
