"""The SSH keys of one run: made here, handed to the guest in a cpio archive behind its initramfs."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.guest.linux import cpio

if TYPE_CHECKING:
    import paramiko

KEY_TYPE = "ssh-ed25519"


@dataclass(frozen=True)
class Keys:
    """`client` opens the guest's door; `host`, in SSH's wire format, is the key by which the guest is known.

    `archive` is the cpio archive that gives the guest its side of both. `private` is `client` as OpenSSH reads it.
    """

    client: paramiko.Ed25519Key
    host: bytes
    archive: bytes
    private: bytes

    def save(self, folder: Path) -> Path:
        """A file with `private` in a folder, for ssh(1)."""
        file = folder / "ssh_key"
        file.touch(0o600)
        file.write_bytes(self.private)
        return file


def make_keys() -> Keys:
    """A fresh pair of keys: nobody else can log in, and no other guest can be mistaken for ours."""
    import paramiko
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    client = paramiko.Ed25519Key(file_obj=io.StringIO(private.decode()))
    host = Ed25519PrivateKey.generate()
    host_public = host.public_key().public_bytes_raw()
    authorized = f"{KEY_TYPE} {base64.b64encode(client.asbytes()).decode()} conformance suite\n"
    return Keys(
        client=client,
        private=private,
        host=_string(KEY_TYPE.encode()) + _string(host_public),
        archive=cpio.archive(
            {
                "root": cpio.folder(0o700),
                "root/.ssh": cpio.folder(0o700),
                "root/.ssh/authorized_keys": cpio.file(authorized.encode(), 0o600),
                # dropbear's own format: the type, then private and public key in one string.
                "etc/dropbear/host_key": cpio.file(
                    _string(KEY_TYPE.encode()) + _string(host.private_bytes_raw() + host_public), 0o600
                ),
            }
        ),
    )


def with_keys(initramfs: Path, keys: Keys, target: Path) -> Path:
    """Write `initramfs`, compressed or not, and the keys behind it to `target`; answers `target`."""
    data = initramfs.read_bytes()
    target.write_bytes(data + bytes(-len(data) % 4) + keys.archive)
    return target


def _string(data: bytes) -> bytes:
    """A string of SSH's wire format (RFC 4251 section 5)."""
    return struct.pack(">I", len(data)) + data
