import os
import stat
from pathlib import Path

import pytest

from holdfast.access.keys import Keys, load_or_create_secret
from holdfast.core.errors import Misconfigured


def test_each_purpose_has_a_key_of_its_own_and_the_same_secret_gives_the_same_keys() -> None:
    keys = Keys.from_secret(b"s" * 32)
    assert len(set(keys)) == len(keys) == 5
    assert all(len(key) == 32 for key in keys)
    assert Keys.from_secret(b"s" * 32) == keys
    assert set(Keys.from_secret(b"t" * 32)).isdisjoint(keys)


def test_a_key_is_the_one_that_rfc_5869_names() -> None:
    hkdf = pytest.importorskip("cryptography.hazmat.primitives.kdf.hkdf")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    other = hkdf.HKDF(hashes.SHA256(), 32, salt=b"holdfast v1", info=b"csrf").derive(b"s" * 40)
    assert Keys.from_secret(b"s" * 40).csrf == other


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(Misconfigured, match="31 bytes"):
        Keys.from_secret(b"s" * 31)


def test_a_new_secret_is_kept_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret"
    secret = load_or_create_secret(path)
    assert len(secret) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_secret(path) == secret
    assert [one.name for one in path.parent.iterdir()] == ["secret"]


def test_two_new_secrets_differ(tmp_path: Path) -> None:
    assert load_or_create_secret(tmp_path / "a") != load_or_create_secret(tmp_path / "b")


def test_the_white_space_an_editor_leaves_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"  " + b"x" * 40 + b"\r\n")
    assert load_or_create_secret(path) == b"x" * 40


@pytest.mark.parametrize("content", [b"", b"\n" * 64, b"x" * 31])
def test_a_short_file_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="secret file") as caught:
        load_or_create_secret(path)
    assert str(path) in caught.value.message
    assert "remove the file" in caught.value.hint
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="can't be read or made") as caught:
        load_or_create_secret(tmp_path)  # a folder
    assert str(tmp_path) in caught.value.message


def test_a_folder_that_cannot_be_made_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="can't be read or made"):
        load_or_create_secret(tmp_path / "file" / "secret")


def test_who_comes_second_takes_the_secret_of_who_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    first = b"f" * 64
    link = os.link

    def late(source: Path, target: Path) -> None:
        path.write_bytes(first)  # the other process, in the gap
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert load_or_create_secret(path) == first
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]


def test_a_file_system_without_links_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(_source: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    secret = load_or_create_secret(tmp_path / "secret")
    assert load_or_create_secret(tmp_path / "secret") == secret
