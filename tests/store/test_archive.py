"""Archives are whole or refused, sealed or for their owner only."""

import io
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opx.store.archive import ArchiveError, is_sealed, read_archive, write_archive

ABOUT = {"program": "test", "rows": 3}
SECRET = b"Set-Side-7secret " * 100_000
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """An archive as bytes, by whether it is sealed; larger than one chunk."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "one").write_bytes(SECRET)
    (folder / "two").write_bytes(bytes(range(256)) * 8192)
    found = {}
    for sealed in (False, True):
        target = folder / f"archive-{sealed}"
        files = {"a/one": folder / "one", "two": folder / "two"}
        write_archive(target, ABOUT, files, PASSPHRASE if sealed else None)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert is_sealed(target) is sealed
        found[sealed] = target.read_bytes()
    return found


def unpacked(folder: Path, data: bytes, passphrase: str | None = PASSPHRASE) -> Path:
    (folder / "archive").write_bytes(data)
    target = folder / "target"
    target.mkdir(0o700)
    manifest = read_archive(folder / "archive", target, passphrase)
    assert manifest.about == ABOUT
    return target


@pytest.mark.parametrize("sealed", [False, True])
def test_what_went_in_comes_out_for_its_owner_only(tmp_path: Path, made: dict[bool, bytes], sealed: bool) -> None:
    target = unpacked(tmp_path, made[sealed])

    assert (target / "a" / "one").read_bytes() == SECRET
    assert (target / "two").read_bytes() == bytes(range(256)) * 8192
    assert stat.S_IMODE((target / "two").stat().st_mode) == 0o600


def test_a_sealed_archive_shows_nothing_and_needs_its_passphrase(tmp_path: Path, made: dict[bool, bytes]) -> None:
    assert b"manifest" not in made[True]
    with pytest.raises(ArchiveError, match="is sealed; expected its passphrase"):
        unpacked(tmp_path, made[True], None)
    (tmp_path / "target").rmdir()
    with pytest.raises(ArchiveError, match="another passphrase made it, or it is damaged"):
        unpacked(tmp_path, made[True], "wrong")


@settings(max_examples=25)
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(made: dict[bool, bytes], sealed: bool, place: float, change: int) -> None:
    import tempfile

    data = bytearray(made[sealed])
    index = int(place * len(data))
    data[index] ^= change
    with tempfile.TemporaryDirectory() as name:
        try:
            target = unpacked(Path(name), bytes(data))
        except ArchiveError:
            return
        # What is not sealed has bytes that mean nothing, such as the time in the head of gzip.
        assert not sealed
        assert (target / "a" / "one").read_bytes() == SECRET


@settings(max_examples=15)
@given(st.booleans(), st.floats(0, 1, exclude_max=True))
def test_what_was_cut_off_is_refused(made: dict[bool, bytes], sealed: bool, place: float) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name, pytest.raises(ArchiveError):
        unpacked(Path(name), made[sealed][: int(place * (len(made[sealed]) - 8))])


def test_a_chunk_cannot_be_left_out(tmp_path: Path, made: dict[bool, bytes]) -> None:
    data = made[True]
    with pytest.raises(ArchiveError, match="damaged"):
        unpacked(tmp_path, data[:40] + data[41:])


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("precious")
    with pytest.raises(FileExistsError):
        write_archive(tmp_path / "archive", ABOUT, {}, None)
    assert (tmp_path / "archive").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "unknown"])
def test_nothing_is_written_where_an_archive_says(tmp_path: Path, name: str) -> None:
    manifest = b'{"format": 1, "about": {}, "files": {"%s": "x"}}' % (b"known" if name == "unknown" else name.encode())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for entry_name, data in (("manifest.json", manifest), (name, b"evil")):
            entry = tarfile.TarInfo(entry_name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    (tmp_path / "archive").write_bytes(buffer.getvalue())
    (tmp_path / "target").mkdir()

    with pytest.raises(ArchiveError, match="does not belong there"):
        read_archive(tmp_path / "archive", tmp_path / "target", None)
    assert list((tmp_path / "target").iterdir()) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b" + bytes(50)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ArchiveError, match="is no archive of this program, or a damaged one"):
        unpacked(tmp_path, data)
