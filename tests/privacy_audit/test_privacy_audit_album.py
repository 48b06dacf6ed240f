"""Albums of labeled pictures: reading and splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ganvas.content_gate import gate
from ganvas.errors import DataError, PolicyRefusal
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture
from ganvas.privacy_audit.album import Album, open_album, write_training_pictures


def opened(folder: Path, seed: int = 0) -> Album:
    return open_album(folder, size=32, seed=seed, progress=False)


def test_a_quarter_of_each_kind_is_asked_about(kinds: Path) -> None:
    album = opened(kinds)
    assert album.kinds == ("brick", "leaf", "sky")
    assert np.bincount(album.train.kinds).tolist() == [6, 6, 6]
    assert np.bincount(album.test.kinds).tolist() == [2, 2, 2]
    assert not set(album.train.names) & set(album.test.names)
    assert {image.shape for image in album.train.images} == {(32, 32, 3)}
    assert album.chance == pytest.approx(1 / 3)


def test_the_seed_draws_the_split(kinds: Path) -> None:
    assert opened(kinds).test.names == opened(kinds).test.names
    assert opened(kinds).test.names != opened(kinds, seed=1).test.names


def test_the_digest_tells_pictures_and_splits_apart(kinds: Path) -> None:
    digests = {opened(kinds).digest, opened(kinds, seed=1).digest, open_album(kinds, size=16, progress=False).digest}
    assert opened(kinds).digest in digests
    (kinds / "sky").rename(kinds / "zenith")
    assert len({*digests, opened(kinds).digest}) == 4


def test_a_split_made_by_hand_is_kept(kinds: Path, tmp_path: Path) -> None:
    for part, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        for kind in ("brick", "sky"):
            for number in numbers:
                target = tmp_path / "split" / part / kind / f"{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(kinds / kind / f"{number}.png", target)
    album = opened(tmp_path / "split")
    assert album.test.names == ("brick/3.png", "sky/3.png")
    assert len(album.train) == 6


def test_the_middle_is_cut_out_and_gray_becomes_rgb(kinds: Path) -> None:
    wide = np.zeros((16, 48, 1), np.uint8)
    wide[:, 16:32] = 200
    write_image(kinds / "brick" / "wide.png", Picture(wide))
    album = opened(kinds)
    names = album.train.names + album.test.names
    image = (album.train.images + album.test.images)[names.index("brick/wide.png")]
    assert image[:, 4:-4].min() >= 195  # the bright third, except near its edges


def test_a_broken_file_is_left_out_and_named(kinds: Path) -> None:
    (kinds / "leaf" / "9.png").write_bytes(b"no picture")
    album = opened(kinds)
    assert list(album.left_out) == ["leaf/9.png"]
    assert len(album.train) + len(album.test) == 24


@pytest.mark.parametrize(("keep", "message"), [(["brick"], "1 kinds"), ([], "0 kinds")])
def test_too_few_kinds(kinds: Path, keep: list[str], message: str) -> None:
    for kind in ("brick", "leaf", "sky"):
        if kind not in keep:
            shutil.rmtree(kinds / kind)
    with pytest.raises(DataError, match=message):
        opened(kinds)


def test_too_few_pictures_of_a_kind(kinds: Path) -> None:
    for number in range(5):
        (kinds / "sky" / f"{number}.png").unlink()
    with pytest.raises(DataError, match=r"sky: 3 pictures; at least 4"):
        opened(kinds)


def test_a_kind_that_nobody_could_learn(kinds: Path, tmp_path: Path) -> None:
    for part, names in (("train", ("brick", "leaf")), ("test", ("brick", "sky"))):
        for kind in names:
            shutil.copytree(kinds / kind, tmp_path / "split" / part / kind)
    with pytest.raises(DataError, match="no training pictures of sky"):
        opened(tmp_path / "split")


def test_no_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder of pictures for each kind"):
        opened(tmp_path / "nowhere")


def test_a_set_that_the_gate_refuses_is_refused(kinds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.95)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match="24 of 24"):
        opened(kinds)


def test_training_pictures_are_written_as_they_are(kinds: Path, tmp_path: Path) -> None:
    album = opened(kinds)
    write_training_pictures(album, tmp_path / "out")
    written = sorted((tmp_path / "out" / "train").iterdir())
    assert len(written) == len(album.train)
    assert np.array_equal(read_image(written[3]).pixels, album.train.images[3])
