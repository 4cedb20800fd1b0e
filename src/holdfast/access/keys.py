"""One secret, one key for each purpose.

The keys are drawn from the secret with HKDF (RFC 5869) over SHA-256, so that what is signed for one
purpose can't be shown for another, and a key that leaks gives nothing about its neighbours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.core.errors import Misconfigured

SECRET_BYTES: Final = 32
"""The shortest secret that is taken."""
_SALT: Final = b"holdfast v1"
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Keys(NamedTuple):
    """A key of 32 bytes for each purpose."""

    session: bytes
    csrf: bytes
    token: bytes
    scrub: bytes
    """Salt of the hash that takes the place of personal values in analytics."""
    receipt: bytes
    """Signs receipts of erasures."""

    @classmethod
    def from_secret(cls, secret: bytes) -> Keys:
        """The keys of a secret; the same secret gives the same keys.

        Raises Misconfigured `setting_invalid` when the secret is shorter than 32 bytes.
        """
        if len(secret) < SECRET_BYTES:
            raise Misconfigured(
                f"the secret has {len(secret)} bytes, and {SECRET_BYTES} are the least that is safe",
                hint="Put 64 random hex digits in its file, as `openssl rand -hex 32` prints them.",
            )
        root = digest(_SALT, secret, "sha256")
        return cls(*(_expand(root, name) for name in cls._fields))


def fingerprint(keys: Keys) -> str:
    """Sixteen hex digits that tell one secret's keys from another's, and give nothing of them away."""
    return _expand(keys.session, "fingerprint")[:8].hex()


def _expand(root: bytes, purpose: str) -> bytes:
    """HKDF-Expand for one block."""
    return digest(root, purpose.encode() + b"\x01", sha256)


def load_or_create_secret(path: Path) -> bytes:
    """The secret in a file, without the white space around it; made when there is no file.

    A new file holds 64 random hex digits, is readable by its owner only, and is on disk under its
    name before this returns: a secret that a crash forgets signs everybody out. Of two processes
    that start at once, one makes the file and both get the same secret.

    Raises Misconfigured `setting_invalid`, naming the file, when it can't be read or written or
    holds less than 32 bytes.
    """
    try:
        try:
            secret = path.read_bytes().strip()
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _create(path)
            secret = path.read_bytes().strip()
    except OSError as fault:
        raise Misconfigured(
            f"the secret file {path} can't be read or made: {fault.strerror}",
            hint="Give the portal's user the right to read it, or to write in its folder.",
        ) from fault
    if len(secret) < SECRET_BYTES:
        raise Misconfigured(
            f"the secret file {path} holds {len(secret)} bytes, and it takes {SECRET_BYTES} at least",
            hint="Put it back from a backup. Without one, remove the file: a new secret is made at the "
            "next start, and everybody signs in again.",
        )
    return secret


def _create(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(secrets.token_hex(SECRET_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            _name(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    finally:
        _sync_folder(path.parent)


def _name(temporary: Path, path: Path) -> None:
    """Give the file its name, unless another process was faster: a rename would overwrite its secret."""
    with contextlib.suppress(FileExistsError):
        try:
            os.link(temporary, path)
        except OSError as fault:
            if fault.errno not in _NO_LINKS:
                raise
            # A file system without hard links, where nobody can be kept from overwriting.
            temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
