"""The key file, and what is sealed with it."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.store.errors import SecretsError
from opx.store.secrets import KEY_BYTES, Sealer, load_key
from support.together import run_together

KEY = bytes(range(KEY_BYTES))


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "gateway.key"

    key = load_key(path, create=True)

    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path, create=False) == key
    assert [entry.name for entry in path.parent.iterdir()] == ["gateway.key"]


def test_two_keys_differ(tmp_path: Path) -> None:
    assert load_key(tmp_path / "one", create=True) != load_key(tmp_path / "other", create=True)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "gateway.key"
    load_key(path, create=True)
    path.chmod(mode)

    with pytest.raises(SecretsError, match=r"gateway\.key: others can read the key file.*chmod 600"):
        load_key(path, create=True)


def test_a_missing_key_is_not_made_anew_for_an_existing_database(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="the key file is missing"):
        load_key(tmp_path / "gateway.key", create=False)
    assert not (tmp_path / "gateway.key").exists()


@pytest.mark.parametrize("size", [0, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_file_of_another_size_is_no_key(tmp_path: Path, size: int) -> None:
    path = tmp_path / "gateway.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)

    with pytest.raises(SecretsError, match="is no key file; expected 32 bytes"):
        load_key(path, create=True)


def test_a_directory_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(SecretsError):
        load_key(tmp_path, create=True)


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "gateway.key"

    keys = run_together(
        4,
        "from pathlib import Path; from opx.store.secrets import load_key",
        "print(load_key(Path(sys.argv[1]), create=True).hex())",
        str(path),
    )

    assert set(keys) == {path.read_bytes().hex()}


@given(st.text(), st.text())
def test_what_was_sealed_opens_again_and_does_not_show(text: str, context: str) -> None:
    sealer = Sealer(KEY)

    sealed = sealer.seal(text, context)

    assert sealer.open(sealed, context) == text
    assert len(text) < 4 or text.encode() not in sealed


def test_sealing_twice_gives_different_bytes() -> None:
    sealer = Sealer(KEY)

    assert sealer.seal("secret", "device:1") != sealer.seal("secret", "device:1")


def test_another_key_opens_nothing() -> None:
    sealed = Sealer(KEY).seal("secret", "device:1")

    with pytest.raises(SecretsError, match="the key file does not belong to this database"):
        Sealer(bytes(KEY_BYTES)).open(sealed, "device:1")


def test_a_value_moved_to_another_row_does_not_open() -> None:
    sealer = Sealer(KEY)

    with pytest.raises(SecretsError, match="device:2"):
        sealer.open(sealer.seal("secret", "device:1"), "device:2")


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_goes_unnoticed(place: int, change: int) -> None:
    sealer = Sealer(KEY)
    sealed = bytearray(sealer.seal("secret", "device:1"))
    sealed[place % len(sealed)] ^= change

    with pytest.raises(SecretsError):
        sealer.open(bytes(sealed), "device:1")


@given(st.binary(max_size=64))
def test_bytes_that_were_never_sealed_do_not_open(junk: bytes) -> None:
    with pytest.raises(SecretsError):
        Sealer(KEY).open(junk, "device:1")
