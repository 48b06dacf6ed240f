"""Labels of synthetic films: inside every container that supports them, else in a file beside the film."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from film_maker import make_film
from PIL import Image
from test_video_animate import animation

from ganvas.image.files import read_label
from ganvas.image.label import SOURCE_TYPE, SyntheticLabel
from ganvas.video import WriteOptions, is_film, probe, read_film_label, read_video, write_video

LABEL = SyntheticLabel(software="ganvas 0", model="Pix2Pix (run)", note="This film was made <by> a model.")
LABELED = WriteOptions(label=LABEL)


def copy(source: Path, out: Path, options: WriteOptions = LABELED) -> Path:
    info = probe(source)
    write_video(out, read_video(info), like=info, options=options)
    return out


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".nut", ".flv"])
def test_a_container_with_comments_has_the_label_there(tmp_path: Path, suffix: str) -> None:
    out = copy(make_film(tmp_path / "film.mp4", frames=3), tmp_path / f"out{suffix}")
    assert read_film_label(out) == SOURCE_TYPE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", out.name]
    plain = copy(tmp_path / "film.mp4", tmp_path / f"plain{suffix}", WriteOptions())
    assert read_film_label(plain) is None


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".3gp"])
def test_a_container_without_comments_has_it_in_a_file_beside(tmp_path: Path, suffix: str) -> None:
    out = copy(make_film(tmp_path / "film.mp4"), tmp_path / f"out{suffix}")
    assert json.loads((tmp_path / f"out{suffix}.json").read_text())["digital_source_type"] == SOURCE_TYPE
    assert read_film_label(out) == SOURCE_TYPE
    copy(tmp_path / "film.mp4", out, WriteOptions())
    assert read_film_label(out) is None
    assert not (tmp_path / f"out{suffix}.json").exists()


def test_the_comment_of_a_film_is_kept_behind_it_and_a_second_label_replaces_the_first(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", metadata={"comment": "at the lake", "title": "Summer"})
    copy(film, tmp_path / "once.mkv")
    with av.open(tmp_path / "once.mkv") as once:
        metadata = {key.lower(): value for key, value in once.metadata.items()}
    assert metadata["title"] == "Summer"
    assert metadata["comment"].startswith("This film was made <by> a model. ganvas 0; Pix2Pix (run); DigitalSourceType")
    assert metadata["comment"].endswith("at the lake")
    copy(tmp_path / "once.mkv", tmp_path / "twice.mp4")
    with av.open(tmp_path / "twice.mp4") as twice:
        assert twice.metadata["comment"].count("DigitalSourceType") == 1
        assert twice.metadata["comment"].endswith("at the lake")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".apng"])
@pytest.mark.parametrize("opacity", [False, True], ids=["opaque", "transparent"])
def test_an_animation_has_it_as_xmp(tmp_path: Path, suffix: str, opacity: bool) -> None:
    source = animation(tmp_path / f"a{suffix.replace('.a', '.')}", opacity=opacity)
    out = copy(source, tmp_path / f"b{suffix}")
    assert read_film_label(out) == SOURCE_TYPE
    assert read_film_label(copy(source, tmp_path / f"c{suffix}", WriteOptions())) is None
    assert is_film(out)
    with Image.open(out) as image:
        if suffix != ".gif":  # Pillow skips it there
            assert b"DigitalSourceType" in image.info["xmp"]
        assert getattr(image, "n_frames", 1) == 4
        if suffix in (".png", ".apng"):
            image.seek(3)  # text after the header is read with it
            assert image.info["DigitalSourceType"] == SOURCE_TYPE
    before, after = probe(source), probe(out)
    assert (after.num_frames, after.loop) == (4, before.loop)
    if suffix == ".png":
        assert read_label(out) == SOURCE_TYPE
