"""Private storage of the studio: names, limits, expiry and cleanup."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from ganvas.errors import InputError
from ganvas.studio.storage import Limits, Piece, Storage, Upload, opened_storage, safe_stem, write_pieces


def add(storage: Storage, name: str = "a.png") -> Upload:
    with storage.reserved() as path:
        path.write_bytes(b"picture")
        return storage.add(path, name, {"suffix": ".png"})


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("holiday.jpeg", "holiday"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat"),
        ("..", "picture"),
        (".hidden", "hidden"),
        ("", "picture"),
        ("a\x00b\n.png", "a_b_"),
        ("Größe 3.tif", "Größe 3"),
        ("x" * 300, "x" * 80),
        ("<script>.png", "_script_"),
    ],
)
def test_names_lose_what_could_be_misread(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


def test_stems_are_unique_since_masks_are_matched_by_them(tmp_path: Path) -> None:
    storage = Storage(tmp_path, Limits())
    assert [add(storage, name).name for name in ("a.png", "A.jpg", "a.png")] == ["a.png", "A (2).png", "a (3).png"]


def test_the_folder_is_private_and_nothing_is_left() -> None:
    with opened_storage(Limits()) as storage:
        assert stat.S_IMODE(storage.folder.stat().st_mode) == 0o700
        add(storage)
    assert not storage.folder.exists()


def test_a_killed_studio_is_cleaned_up_by_the_next_and_a_running_one_is_not() -> None:
    with opened_storage(Limits()) as running:
        add(running)
        stale = running.folder.with_name("ganvas-studio-stale")
        (stale / "jobs").mkdir(parents=True)
        with opened_storage(Limits()):
            assert not stale.exists()
            assert running.folder.exists()


def test_limits_of_number_and_room(tmp_path: Path) -> None:
    storage = Storage(tmp_path, Limits(files=2, total_bytes=20))
    add(storage)
    add(storage)
    with pytest.raises(InputError, match="2 files are already stored"), storage.reserved():
        pass
    storage.remove(storage.all()[0].id)
    (tmp_path / "large").write_bytes(bytes(20))
    with pytest.raises(InputError, match="full"), storage.reserved():
        pass


def test_a_failed_upload_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path, Limits())
    with pytest.raises(IsADirectoryError), storage.reserved() as path:
        tmp_path.write_bytes(path.write_bytes(b"half").to_bytes())
    assert list(tmp_path.iterdir()) == []
    assert storage.all() == []


def test_unused_uploads_expire_with_everything_made_of_them(tmp_path: Path) -> None:
    now = 0.0
    storage = Storage(tmp_path, Limits(seconds=100), clock=lambda: now)
    old, used = add(storage), add(storage)
    made = storage.work_folder(old.id) / "result.png"
    made.write_bytes(b"result")
    piece = storage.publish(made, "image/png", "result.png")
    now = 99.0
    storage.get(used.id)
    now = 150.0
    storage.expire()
    assert [one.id for one in storage.all()] == [used.id]
    assert not old.path.exists()
    assert not made.exists()
    with pytest.raises(KeyError):
        storage.piece(piece)


def test_what_unfinished_jobs_need_does_not_expire(tmp_path: Path) -> None:
    now = 0.0
    storage = Storage(tmp_path, Limits(seconds=100), clock=lambda: now)
    one, other = add(storage), add(storage)
    alone, several = storage.work_folder(one.id), storage.work_folder()
    (alone / "part").write_bytes(b"half")
    now = 150.0
    storage.expire([alone, several, other.path])
    assert (alone / "part").exists()
    assert several.exists()
    assert [upload.id for upload in storage.all()] == [one.id, other.id]
    now = 240.0  # the jobs ended after 150 s
    storage.expire()
    assert one.path.exists()
    assert several.exists()
    now = 251.0
    storage.expire()
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_download_is_a_use(tmp_path: Path) -> None:
    now = 0.0
    storage = Storage(tmp_path, Limits(seconds=100), clock=lambda: now)
    upload, pieces = add(storage), list[str]()
    for folder in (storage.work_folder(upload.id), storage.work_folder()):
        (folder / "result.png").write_bytes(b"result")
        pieces.append(storage.publish(folder / "result.png", "image/png", "result.png"))
    now = 99.0
    found = [storage.piece(key) for key in pieces]
    now = 150.0
    storage.expire()
    assert [piece.path.read_bytes() for piece in found] == [b"result", b"result"]
    assert upload.path.exists()


def test_a_result_stays_as_long_as_its_upload(tmp_path: Path) -> None:
    now = 0.0
    storage = Storage(tmp_path, Limits(seconds=100), clock=lambda: now)
    upload, folder = add(storage), storage.work_folder()
    (folder / "result.png").write_bytes(b"result")
    upload.review = {"path": str(folder / "result.png")}
    now = 99.0
    storage.get(upload.id)
    now = 150.0
    storage.expire()
    assert folder.exists()
    now = 200.0
    storage.expire()
    assert not folder.exists()


def test_results_of_one_name_are_kept_apart_in_an_archive(tmp_path: Path) -> None:
    pieces = []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_text(str(number))
        pieces.append(Piece(path, "image/png", "a.png"))
    write_pieces(pieces, tmp_path / "results.zip")
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {"a.png": b"0", "a (2).png": b"1", "a (3).png": b"2"}
