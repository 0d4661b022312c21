"""cloud-hypervisor releases by name, from a server of the test's own."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import BadInput, HarnessError, Unavailable
from harness.vmm import find, release
from harness.vmm.find import find_vmms
from harness.vmm.release import ASSET, fetch_release
from tests.vmm.fakes import FAKE, make_fake

BINARY = b"the bytes of a release"
DIGEST = hashlib.sha256(BINARY).hexdigest()
OTHER = "0" * 64


class Server:
    """Serves `root` as a site of releases does. `source` is what stands before TAG/ASSET in an address."""

    def __init__(self, root: Path) -> None:
        self.root = root
        handler = functools.partial(_QuietHandler, directory=str(root))
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.source = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def publish(self, tag: str, content: bytes) -> None:
        (self.root / tag).mkdir(parents=True, exist_ok=True)
        (self.root / tag / ASSET).write_bytes(content)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(10 * PACE)
            self._http.server_close()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        if "v500.0" in self.path:
            self.send_error(503)
        elif "v999.0" in self.path:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "site")
    server.publish("v1.0", BINARY)
    yield server
    server.stop()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A cache, empty at first."""
    return tmp_path / "cache"


def lock_file(store: Path) -> Path:
    return store / "releases" / "releases.lock.json"


def test_first_download_is_pinned(server: Server, store: Path) -> None:
    path = fetch_release("v1.0", store, source=server.source)
    assert path.read_bytes() == BINARY
    assert os.access(path, os.X_OK)
    assert json.loads(lock_file(store).read_text()) == {"v1.0": DIGEST}


def test_second_run_needs_no_server(server: Server, store: Path) -> None:
    first = fetch_release("v1.0", store, source=server.source)
    server.stop()
    assert fetch_release("v1.0", store, source=server.source) == first
    with pytest.raises(Unavailable):
        fetch_release("v1.1", store, source=server.source)


def test_release_that_changed_on_the_server_is_refused(server: Server, store: Path) -> None:
    fetch_release("v1.0", store, source=server.source).unlink()
    server.publish("v1.0", BINARY + b" tampered with")
    with pytest.raises(
        BadInput, match=rf"release v1\.0 has the checksum .* recorded in .*lock.json: {DIGEST}"
    ):
        fetch_release("v1.0", store, source=server.source)
    assert not (store / "releases" / "v1.0" / ASSET).exists()


def test_release_that_changed_in_the_cache_is_refused_with_the_way_out(server: Server, store: Path) -> None:
    path = fetch_release("v1.0", store, source=server.source)
    path.write_bytes(b"tampered with")
    with pytest.raises(BadInput, match=rf"delete {path} to download it anew"):
        fetch_release("v1.0", store, source=server.source)


def test_given_checksum_is_compared_at_the_first_download(server: Server, store: Path) -> None:
    assert fetch_release(f"v1.0@sha256:{DIGEST}", store, source=server.source).exists()


def test_wrong_checksum_is_refused_and_nothing_kept(server: Server, store: Path) -> None:
    with pytest.raises(BadInput, match=f"has the checksum {DIGEST}, which is not the one given: {OTHER}"):
        fetch_release(f"v1.0@sha256:{OTHER}", store, source=server.source)
    assert not store.exists()


def test_given_checksum_is_compared_with_the_cache_too(server: Server, store: Path) -> None:
    fetch_release("v1.0", store, source=server.source)
    with pytest.raises(BadInput, match="not the one given"):
        fetch_release(f"v1.0@sha256:{OTHER}", store, source=server.source)


def test_pins_of_other_releases_are_kept(server: Server, store: Path) -> None:
    server.publish("v2.0", b"two")
    fetch_release("v1.0", store, source=server.source)
    fetch_release("v2.0", store, source=server.source)
    assert list(json.loads(lock_file(store).read_text())) == ["v1.0", "v2.0"]


@pytest.mark.parametrize(
    "wanted", ["", "1.0", "v", "v1.0@sha256:", "v1.0@sha256:12ab", "v1.0@md5:0", "v1/../x"]
)
def test_malformed_name_says_how_to_write_it(wanted: str, store: Path) -> None:
    with pytest.raises(BadInput, match=r"write release:vX\.Y, or release:vX\.Y@sha256: and 64 hex digits$"):
        fetch_release(wanted, store)


def test_release_that_does_not_exist_is_said(server: Server, store: Path) -> None:
    with pytest.raises(BadInput, match=rf"there is no release at {server.source}/v9\.9/{ASSET}"):
        fetch_release("v9.9", store, source=server.source)


def test_server_that_is_ill_is_said(server: Server, store: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot download .*: the server answered 503"):
        fetch_release("v500.0", store, source=server.source)


def test_missing_network_is_one_sentence_with_the_way_out(server: Server, store: Path) -> None:
    server.stop()
    with pytest.raises(
        Unavailable, match=r"releases need a network .*without one give --vmm NAME=PATH$"
    ) as said:
        fetch_release("v1.0", store, source=server.source)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("source", ["nonsense", "ftp://x", "http://", "http://[", "http://a b"])
def test_mirror_that_is_no_address_is_one_sentence(source: str, store: Path) -> None:
    with pytest.raises(Unavailable, match=r"^cannot download "):
        fetch_release("v1.0", store, source=source)


@pytest.mark.parametrize("content", [b"", b"{oops", b"[]", b'"v1.0"', b"\xff\xfe", b"null", b"[" * 100_000])
def test_damaged_lock_file_says_what_to_do(server: Server, store: Path, content: bytes) -> None:
    lock_file(store).parent.mkdir(parents=True)
    lock_file(store).write_bytes(content)
    with pytest.raises(
        BadInput, match=r"releases\.lock\.json is damaged .*; delete it to pin the releases anew"
    ):
        fetch_release("v1.0", store, source=server.source)


def test_cache_that_cannot_be_written_is_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match=r"cannot write .*is the disk full, the folder writable\?"):
        fetch_release("v1.0", tmp_path / "file", source=server.source)


def test_full_disk_leaves_no_half_a_file(
    server: Server, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Unavailable, match="No space left on device"):
        fetch_release("v1.0", store, source=server.source)
    assert [path for path in store.rglob("*") if path.is_file()] == []


def test_server_that_drips_is_given_up(store: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(release, "DOWNLOAD_PATIENCE", 0.0)
    with pytest.raises(Unavailable, match=r"cannot download .*not complete after 0 s"):
        fetch_release("v1.0", store, source=server.source)


def test_release_without_end_is_given_up(
    server: Server, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "LARGEST", 4 << 20)
    with pytest.raises(BadInput, match=r"is no release of cloud-hypervisor: it is longer than 4 MiB"):
        fetch_release("v999.0", store, source=server.source)
    assert not store.exists()


def test_empty_release_is_not_pinned(server: Server, store: Path) -> None:
    server.publish("v4.0", b"")
    with pytest.raises(BadInput, match=r"is no release of cloud-hypervisor: it is empty"):
        fetch_release("v4.0", store, source=server.source)
    assert not lock_file(store).exists()


def test_release_is_a_build_under_test(
    server: Server, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FAKE.exists()
    server.publish("v3.0", make_fake(tmp_path, "api-healthy").read_bytes())
    here = functools.partial(fetch_release, source=server.source)
    monkeypatch.setattr(find, "fetch_release", here)
    named, unnamed = find_vmms(["release:v3.0", "old=release:v3.0"], cache=store)
    assert (named.name, unnamed.name) == ("v3.0", "old")
    assert named.version == "v99.9-fake"


def test_errors_are_those_that_users_are_shown() -> None:
    assert issubclass(BadInput, HarnessError)
    assert issubclass(Unavailable, HarnessError)
