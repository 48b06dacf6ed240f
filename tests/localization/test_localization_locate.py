"""Localization of a class in pictures and files, with a classifier that responds to brightness."""

import json

import numpy as np
import pytest

from ganvas.cli import main
from ganvas.errors import ConfigError, InputError, PartialFailure
from ganvas.image.files import SkippedWarning, read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.localization import Finding, class_index, locate
from ganvas.localization import locate_files as verb
from ganvas.localization.classifier import LinearHead
from ganvas.localization.efficientnet_lite import imagenet_class_names
from ganvas.localization.locate_files import overlay_names
from locate_command import locate_files
from recorded_progress import RecordedProgress


class Bright:
    """Classifier that finds class "light" in bright regions and "dark" in dark ones."""

    class_names = ("dark", "light", "lighthouse")
    activation = "softmax"

    def evidence(self, rgb):
        height, width = rgb.shape[:2]
        light = rgb[:, :, 0].astype(np.float32) / 255
        head = LinearHead(np.array([[0, 1], [1, 0], [-1, -1]], np.float32), np.zeros(3, np.float32))
        return head.evidence(np.stack([light, 1 - light]), Box(0, 0, width, height))

    dense_evidence = evidence


@pytest.fixture
def lamp():
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[8:16, 20:40] = 255
    return rgb


@pytest.fixture
def bright(monkeypatch):
    monkeypatch.setattr(verb, "load_classifier", lambda name: Bright())


def test_a_named_class_is_found(lamp):
    finding = locate(lamp, Bright(), class_name="Light")
    assert isinstance(finding, Finding)
    assert finding.class_name == "light"
    assert finding.boxes == (Box(20, 8, 40, 16),)
    np.testing.assert_array_equal(finding.mask, lamp[:, :, 0] > 0)


def test_the_likeliest_class_is_the_default(lamp):
    assert locate(Picture(lamp), Bright()).class_name == "dark"
    assert locate(Picture(255 - lamp), Bright()).class_name == "light"


def test_a_class_without_evidence_has_no_region(lamp):
    finding = locate(lamp, Bright(), class_name="lighthouse")
    assert finding.boxes == ()
    assert not finding.heat.any()


def test_unknown_classes_name_near_ones():
    with pytest.raises(ConfigError, match="did you mean 'light'"):
        class_index(Bright(), "ligth")
    with pytest.raises(ConfigError, match="'lighthouse'"):
        class_index(Bright(), "HOUSE")
    with pytest.raises(ConfigError, match="it knows dark, light, lighthouse"):
        class_index(Bright(), "xyz")


def test_what_a_classifier_cannot_know_is_said():
    names = imagenet_class_names()
    imagenet = type("ImageNet", (Bright,), {"class_names": names})()
    with pytest.raises(ConfigError, match="no people, faces, number plates") as told:
        class_index(imagenet, "face")
    assert "racer" not in str(told.value)
    assert "--list-classes" in str(told.value)
    with pytest.raises(ConfigError, match="did you mean 'zebra'"):
        class_index(imagenet, "zbera")
    many = type("Many", (Bright,), {"class_names": tuple(f"kind {number}" for number in range(40))})()
    with pytest.raises(ConfigError, match=r"it knows 40 classes \(kind 0, .*kind 39"):
        class_index(many, "xyz")


def test_classes_are_listed(bright, capsys):
    assert main(["locate", "--list-classes", "--classifier", "nsfw"]) == 0
    assert capsys.readouterr().out.split() == ["sfw", "nsfw"]
    assert main(["locate", "x.png"]) == 2
    assert "--out FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_thresholds_out_of_range(lamp, threshold):
    with pytest.raises(ConfigError, match="threshold"):
        locate(lamp, Bright(), threshold=threshold)


def test_files_give_overlays_and_one_record(tmp_path, lamp, bright):
    write_image(tmp_path / "photos" / "one.png", Picture(lamp))
    write_image(tmp_path / "photos" / "two.tif", Picture(lamp.astype(np.uint16) * 257))
    progress = RecordedProgress()
    records = locate_files(
        [tmp_path / "photos"],
        tmp_path / "out",
        class_name="light",
        progress=progress,
    )
    written = json.loads((tmp_path / "out" / "locate.json").read_text())
    assert written["photos"] == records
    assert [record["boxes"] for record in records] == [[[20, 8, 40, 16]]] * 2
    assert progress.reports == [("locate", 0, 2), ("locate", 1, 2), ("locate", 2, 2)]
    assert read_image(tmp_path / "out" / "two.png").pixels.shape == (32, 48, 3)


def test_bad_files_are_recorded_and_the_others_done(tmp_path, lamp, bright):
    write_image(tmp_path / "good.png", Picture(lamp))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    photos = [tmp_path / "bad.png", tmp_path / "missing.png", tmp_path / "good.png"]
    with pytest.raises(PartialFailure, match=r"2 of 3 failed(.|\n)*\n1 located$"):
        locate_files(photos, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "locate.json").read_text())
    assert ["error" in record for record in written["photos"]] == [True, True, False]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["good.png", "locate.json"]


def test_photos_are_never_replaced(tmp_path, lamp, bright):
    write_image(tmp_path / "one.png", Picture(lamp))
    before = (tmp_path / "one.png").read_bytes()
    with pytest.raises(InputError, match="would be overwritten"):
        locate_files([tmp_path / "one.png"], tmp_path)
    for out in (tmp_path, tmp_path / "out"):
        with pytest.raises(InputError, match="use an output folder outside it"):
            locate_files([tmp_path], out)
    assert (tmp_path / "one.png").read_bytes() == before


def test_results_of_all_earlier_calls_are_replaced(tmp_path, lamp, bright):
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / name, Picture(lamp))
    write_image(tmp_path / "out" / "b.png", Picture(lamp))
    for name in ("a.png", "c.png", "a.png"):
        locate_files([tmp_path / name], tmp_path / "out")
    with pytest.raises(InputError, match=r"out/b\.png already exists and was not written by locate"):
        locate_files([tmp_path / "b.png"], tmp_path / "out")
    (tmp_path / "out" / "c.png").unlink()
    locate_files([tmp_path / "a.png"], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "locate.json").read_text())["overlays"] == ["a.png"]


def test_a_wrong_class_stops_before_any_file(tmp_path, lamp, bright):
    write_image(tmp_path / "one.png", Picture(lamp))
    with pytest.raises(ConfigError, match="did you mean"):
        locate_files([tmp_path / "one.png"], tmp_path / "out", class_name="lihgt")
    assert not (tmp_path / "out").exists()


def test_no_photos(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        locate_files([tmp_path / "photos"], tmp_path / "out")


def test_overlays_of_equal_stems_get_names_of_their_own(tmp_path):
    files = [tmp_path / "a.jpg", tmp_path / "A.png", tmp_path / "b" / "a.jpg", tmp_path / "c" / "a.jpg"]
    assert overlay_names(files) == ["a.png", "A_png.png", "a_jpg.png", "a_jpg_1.png"]


@pytest.mark.parametrize("error", [RuntimeError("can't allocate memory"), MemoryError()])
def test_too_little_memory_for_a_photo_is_recorded(tmp_path, lamp, bright, monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(verb, "locate", fails)
    write_image(tmp_path / "one.png", Picture(lamp))
    with pytest.raises(PartialFailure, match="emory"):
        locate_files([tmp_path / "one.png"], tmp_path / "out")
    assert (tmp_path / "out" / "locate.json").is_file()


def test_what_is_no_picture_in_a_folder_is_told(tmp_path, lamp, bright):
    write_image(tmp_path / "photos" / "one.png", Picture(lamp))
    (tmp_path / "photos" / "film.gif").write_bytes(b"GIF89a")
    with pytest.warns(SkippedWarning, match=r"film\.gif"):
        locate_files([tmp_path / "photos"], tmp_path / "out")


def test_a_name_of_several_classes_is_refused():
    several = type("Several", (Bright,), {"class_names": ("crane", "Bird", "crane", "bird", "lamp")})()
    with pytest.raises(ConfigError, match=r"classes 0, 2 of the classifier .* 'crane'; use distinct names"):
        class_index(several, "crane")
    with pytest.raises(ConfigError, match=r"classes 1, 3 .* 'BIRD'"):
        class_index(several, "BIRD")
    assert class_index(several, "bird") == 3
    assert class_index(several, "LAMP") == 4
