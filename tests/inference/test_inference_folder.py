"""Translation of folders: names and formats, resumption, damaged and refused pictures, masks, labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from inference_runs import FIVE_DEEP, tiny_method, tiny_record, write_tiny_run

from ganvas.content_gate import gate
from ganvas.errors import ConfigError, ImageError, InputError, PartialFailure, PolicyRefusal
from ganvas.image import cover
from ganvas.image.files import SkippedWarning, list_images, read_image, read_label, write_image
from ganvas.image.picture import Picture
from ganvas.inference.folder import TranslationReport, translate_files
from ganvas.inference.translator import ConversionWarning, Translator
from ganvas.runs.record import save_snapshot, snapshot_path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run")


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / "photos"
    for name in ("one.png", "two.jpg", "three.webp", "four.bmp", "five.tif", "six.npy"):
        write_image(folder / name, Picture(rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)))
    return folder


def translate(run: Path, source: Path, out: Path, **settings: object) -> TranslationReport:
    return translate_files(run, source, out, device="cpu", progress=False, **settings)  # type: ignore[arg-type]


def refuse(monkeypatch: pytest.MonkeyPatch, *pictures: Path) -> None:
    """Let the gate refuse these pictures and no other."""
    barred = [read_image(path).as_rgb8() for path in pictures]
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: float(any(np.array_equal(rgb, b) for b in barred)))
    gate.forget_scorer()


def test_names_formats_and_labels(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = translate(run, photos, out)
    assert sorted(path.name for path in report.written) == sorted(path.name for path in photos.iterdir())
    translator = Translator.load(run, device="cpu")
    for path in report.written:
        assert str(read_label(path)).endswith("compositeWithTrainedAlgorithmicMedia")
        expected, found = translator(photos / path.name).pixels, read_image(path).pixels
        if path.suffix == ".jpg":
            assert found.shape == expected.shape
        else:
            np.testing.assert_array_equal(found, expected)
    assert str(report).startswith("6 written, in ")


def test_a_second_call_does_only_what_is_missing_or_changed(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    translate(run, photos, out)
    assert len(translate(run, photos, out).skipped) == 6
    (out / "one.png").unlink()
    shutil.copy(out / "five.tif", out / "three.webp")  # not the file that was written
    shutil.copy(photos / "two.jpg", photos / "four.bmp")  # a different picture
    manifest = out / "translate.jsonl"
    manifest.write_text(manifest.read_text() + '{"name": "cut o')  # as after a crash while writing
    report = translate(run, photos, out)
    assert {path.name for path in report.written} == {"one.png", "three.webp", "four.bmp"}
    assert len(translate(run, photos, out).skipped) == 6
    assert len(translate(run, photos, out, seed=1).written) == 6  # other settings
    save_snapshot(snapshot_path(run, "last"), tiny_method(tiny_record(), gain=2), images_seen=1)
    assert len(translate(run, photos, out).written) == 6  # another snapshot


def test_a_bad_picture_stops_no_other(run: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_bytes(b"not a picture")
    write_image(photos / "five_channels.tif", Picture(np.zeros((8, 8, 5), np.uint8)))
    with pytest.raises(PartialFailure) as caught:
        translate(run, photos, tmp_path / "out")
    assert set(caught.value.failures) == {"bad.png", "five_channels.tif"}
    assert caught.value.total == 8
    assert len(list((tmp_path / "out").glob("*.*"))) == 6 + 2 + 1  # two sidecars, the manifest
    rows = [json.loads(line) for line in (tmp_path / "out" / "translate.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows if row["problem"]] == ["bad.png", "five_channels.tif"]


def test_refused_pictures_are_not_written(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    refuse(monkeypatch, photos / "one.png")
    with pytest.raises(PolicyRefusal) as caught:
        translate(run, photos, out)
    assert caught.value.as_record()["refused"] == "one.png"
    assert not (out / "one.png").exists()
    assert (out / "five.tif").exists()
    refuse(monkeypatch, photos / "one.png", photos / "two.jpg")
    with pytest.raises(PolicyRefusal, match=r"^2 of 6 pictures: refused: one.png.*two.jpg"):
        translate(run, photos, tmp_path / "other")
    (photos / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(PartialFailure) as partial:
        translate(run, photos, tmp_path / "third")
    assert set(partial.value.failures) == {"bad.png", "one.png", "two.jpg"}


def test_a_refused_output_is_not_written(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate(run, photos / "one.png", tmp_path / "made.png")
    refuse(monkeypatch, tmp_path / "made.png")
    with pytest.raises(PolicyRefusal, match="translated"):
        translate(run, photos / "one.png", tmp_path / "again.png")
    assert not (tmp_path / "again.png").exists()


def test_one_picture_to_a_file_or_a_folder(run: Path, photos: Path, tmp_path: Path) -> None:
    report = translate(run, photos / "one.png", tmp_path / "made" / "result.tif")
    assert report.written == [tmp_path / "made" / "result.tif"]
    translate(run, photos / "one.png", tmp_path / "out")
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "one.png").pixels, read_image(report.written[0]).pixels)
    (photos / "bad.png").write_bytes(b"not a picture")
    for out in (tmp_path / "out", tmp_path / "bad.png"):
        with pytest.raises(InputError, match="not a PNG"):
            translate(run, photos / "bad.png", out)


def test_folders_below(run: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, photos / "more" / "of")
    out = tmp_path / "out"
    with pytest.warns(SkippedWarning, match="folders: more$"):
        assert len(translate(run, photos, out).written) == 6
    assert len(translate(run, photos, out, recursive=True).written) == 6
    assert (out / "more" / "of" / "one.png").is_file()


def test_nothing_is_overwritten(run: Path, photos: Path, tmp_path: Path) -> None:
    for out, recursive in ((photos, False), (photos / "out", False), (photos / "out", True)):
        with pytest.raises(InputError, match="use an output folder outside it"):
            translate(run, photos, out, recursive=recursive)
    with pytest.raises(InputError, match="would be overwritten"):
        translate(run, photos / "one.png", photos / "one.png")
    shutil.copy(photos / "one.png", photos / "two.png")
    with pytest.raises(InputError, match=r"two pictures would be written to .*two\.tif"):
        translate(run, photos, tmp_path / "out", suffix=".tif")
    with pytest.raises(InputError, match="is not a picture format"):
        translate(run, photos, tmp_path / "out", suffix=".gif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures in it"):
        translate(run, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(ConfigError, match="tile 2"):
        translate(run, photos, tmp_path / "out", tile=2)
    with pytest.raises(ConfigError, match="tile -5 is smaller than the smallest input of the network; use at least 4"):
        translate(run, photos, tmp_path / "out", tile=-5)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_translation_is_not_replaced(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("one.png", "two.jpg", "four.bmp"):
        write_image(out / name, Picture(np.full((8, 8, 3), 7, np.uint8)))
    kept = (out / "one.png").read_bytes()
    (out / "three.webp").write_text("mine")
    translate(run, photos / "two.jpg", out / "two.jpg")  # an output file named by the user is replaced, and labeled
    for _ in range(2):
        with pytest.raises(PartialFailure) as caught:
            translate(run, photos, out)
        assert set(caught.value.failures) == {"one.png", "three.webp", "four.bmp"}
        assert "already exists and is not a translation; move it" in caught.value.failures["one.png"]
    assert (out / "one.png").read_bytes() == kept
    assert (out / "three.webp").read_text() == "mine"
    write_image(out / "five.tif", Picture(np.full((8, 8, 3), 7, np.uint8)))  # the label is missing, but its row exists
    with pytest.raises(PartialFailure) as caught:
        translate(run, photos, out, seed=1)
    assert set(caught.value.failures) == {"one.png", "three.webp", "four.bmp"}


def test_an_interrupted_folder_knows_its_own_by_their_labels(run: Path, photos: Path, tmp_path: Path) -> None:
    translate(run, photos, tmp_path / "out")
    (tmp_path / "out" / "translate.jsonl").unlink()  # as if the process had ended before writing the rows
    assert len(translate(run, photos, tmp_path / "out").written) == 6


def test_an_ending_that_is_no_format_is_no_folder(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "x.gif"
    with pytest.raises(
        InputError, match=r"x\.gif: \.gif cannot be written; use one of \.bmp, .*create a folder of that"
    ):
        translate(run, photos / "one.png", out)
    assert not (tmp_path / "out").exists()
    out.mkdir(parents=True)
    assert translate(run, photos / "one.png", out).written == [out / "one.png"]
    assert translate(run, photos, tmp_path / "out.2").written[0].parent == tmp_path / "out.2"


def test_gray_among_color_is_said_once(run: Path, photos: Path, tmp_path: Path) -> None:
    for name in ("gray.png", "pale.png"):
        write_image(photos / name, Picture(np.full((20, 20, 1), 99, np.uint8)))
    with pytest.warns(ConversionWarning, match=r"gray was repeated .* \(2 files\)"):
        translate(run, photos, tmp_path / "out")


def test_deep_pictures_keep_their_format(tmp_path: Path, rng: np.random.Generator) -> None:
    run = write_tiny_run(tmp_path / "run", input=FIVE_DEEP, output=FIVE_DEEP)
    write_image(tmp_path / "in" / "deep.tif", Picture(rng.integers(0, 65536, (21, 34, 5), dtype=np.uint16)))
    translate(run, tmp_path / "in", tmp_path / "out", tile=64)
    made = read_image(tmp_path / "out" / "deep.tif")
    assert (made.pixels.dtype, made.pixels.shape) == (np.uint16, (21, 34, 5))


def test_only_the_masked_part_is_replaced(run: Path, photos: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    write_image(photos / "seen_through.png", Picture(rng.integers(0, 256, (24, 30, 4), dtype=np.uint8), has_alpha=True))
    inside = np.zeros((24, 30), bool)
    inside[5:15, 7:20] = True
    mask = tmp_path / "mask.png"
    write_image(mask, Picture(np.where(inside, 255, 0).astype(np.uint8)[:, :, None]))
    translate(run, photos, tmp_path / "out", mask=mask)
    translator = Translator.load(run, device="cpu")
    for name in ("one.png", "five.tif", "six.npy", "three.webp", "seen_through.png"):
        original, made = read_image(photos / name), read_image(tmp_path / "out" / name)
        np.testing.assert_array_equal(made.pixels[~inside], original.pixels[~inside])
        np.testing.assert_array_equal(made.color[inside], translator(original).color[inside])
        assert made.has_alpha == original.has_alpha
    assert str(read_label(tmp_path / "out" / "one.png")).endswith("compositeWithTrainedAlgorithmicMedia")


def test_masks_by_stem(run: Path, photos: Path, tmp_path: Path) -> None:
    white = Picture(np.full((24, 30, 1), 255, np.uint8))
    write_image(tmp_path / "masks" / "one.png", white)
    write_image(tmp_path / "masks" / "two.png", Picture(white.pixels[:10]))
    with pytest.raises(PartialFailure) as caught:
        translate(run, photos, tmp_path / "out", mask=tmp_path / "masks")
    assert set(caught.value.failures) == {path.name for path in photos.iterdir()} - {"one.png"}
    assert "30 x 10 pixels, the picture" in caught.value.failures["two.jpg"]
    assert "no mask five" in caught.value.failures["five.tif"]
    with pytest.raises(ImageError, match="no mask"):
        translate(run, photos / "five.tif", tmp_path / "five.tif", mask=tmp_path / "masks")


def test_masks_have_the_paths_of_the_pictures(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = {"a": np.s_[:12], "b": np.s_[12:]}
    for name, half in halves.items():
        write_image(tmp_path / "photos" / name / "1.png", Picture(np.full((24, 30, 3), 90, np.uint8)))
        mask = np.zeros((24, 30, 1), np.uint8)
        mask[half] = 255
        write_image(tmp_path / "masks" / name / "1.tif", Picture(mask))
    listed = []
    monkeypatch.setattr(cover, "list_images", lambda *a, **n: (listed.append(a), list_images(*a, **n))[1])
    translate(run, tmp_path / "photos", tmp_path / "out", mask=tmp_path / "masks", recursive=True)
    assert listed == [(tmp_path / "masks",)]  # not once per picture
    for name, half in halves.items():
        kept = (read_image(tmp_path / "out" / name / "1.png").pixels == 90).all(axis=2)
        assert not kept[half].all()
        kept[half] = True
        assert kept.all()


def test_a_mask_of_another_folder_is_not_used(run: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "deeper").mkdir()
    shutil.copy(photos / "one.png", photos / "deeper")
    for name in ("one", "two", "three", "four", "five", "six"):
        write_image(tmp_path / "masks" / f"{name}.png", Picture(np.full((24, 30, 1), 255, np.uint8)))
    with pytest.raises(PartialFailure, match=r"^1 of 7 failed:\n.*no mask deeper/one\.\* in .*masks; add one"):
        translate(run, photos, tmp_path / "out", mask=tmp_path / "masks", recursive=True)


@pytest.mark.parametrize("target", ["made.png", "made"])
def test_a_device_is_no_picture(run: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(InputError, match=r"/dev/zero: a device, pipe or socket; save the picture to a file"):
        translate(run, Path("/dev/zero"), tmp_path / target)


def test_two_masks_of_one_picture_fail_it(run: Path, photos: Path, tmp_path: Path) -> None:
    for name in ("one.png", "one.tif"):
        write_image(tmp_path / "masks" / name, Picture(np.full((24, 30, 1), 255, np.uint8)))
    with pytest.raises(
        InputError, match=r"masks/one\.png and .*masks/one\.tif are both masks of one; merge them into one"
    ):
        translate(run, photos / "one.png", tmp_path / "made.png", mask=tmp_path / "masks")
    assert not (tmp_path / "made.png").exists()


def test_a_mask_must_be_clear_about_what_it_marks(run: Path, photos: Path, tmp_path: Path) -> None:
    mask, levels = tmp_path / "mask.png", np.zeros((24, 30, 4), np.uint8)
    levels[5:15, 7:20] = (0, 0, 0, 255)
    write_image(mask, Picture(levels, has_alpha=True))
    with pytest.raises(ImageError, match=r"mask\.png: the mask is partly transparent"):
        translate(run, photos / "one.png", tmp_path / "made.png", mask=mask)
    write_image(mask, Picture((levels[:, :, 3:] > 0).astype(np.uint8)))
    with pytest.raises(
        ImageError, match="nowhere half white: its highest level is 1 of 255; make the marked pixels white"
    ):
        translate(run, photos / "one.png", tmp_path / "made.png", mask=mask)
    assert not (tmp_path / "made.png").exists()
    write_image(mask, Picture(np.zeros((24, 30, 1), np.uint8)))
    translate(run, photos / "one.png", tmp_path / "made.png", mask=mask)
    np.testing.assert_array_equal(read_image(tmp_path / "made.png").pixels, read_image(photos / "one.png").pixels)


def test_a_mask_takes_depth_from_the_picture(run: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    deep = rng.integers(0, 65536, (24, 30, 3), dtype=np.uint16)
    write_image(tmp_path / "deep.png", Picture(deep))
    mask = np.zeros((24, 30, 1), np.uint8)
    mask[:, :9] = 255
    write_image(tmp_path / "mask.png", Picture(mask))
    with pytest.warns(ConversionWarning):
        translate(run, tmp_path / "deep.png", tmp_path / "made.png", mask=tmp_path / "mask.png")
    made = read_image(tmp_path / "made.png").pixels
    assert made.dtype == np.uint16
    np.testing.assert_array_equal(made[:, 9:], deep[:, 9:])


def test_a_source_or_mask_that_is_not_there_is_said_at_once(run: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        translate(run, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(InputError, match=r"nowhere\.png: no such mask"):
        translate(run, photos, tmp_path / "out", mask=tmp_path / "nowhere.png")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried ..."), MemoryError()])
def test_too_little_memory_is_told_with_the_mend(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(Translator, "_network", fails)
    with pytest.raises(ImageError, match=r"one\.png: 30 x 24 pixels need more memory than is free on cpu; .*--tile"):
        translate(run, photos / "one.png", tmp_path / "one.png")
    with pytest.raises(PartialFailure, match=r"6 of 6 failed(.|\n)*\n0 written, in ") as caught:
        translate(run, photos, tmp_path / "out")
    assert "--tile" in caught.value.failures["one.png"]


def test_other_errors_of_a_network_are_not_called_memory(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(Translator, "_network", fails)
    with pytest.raises(RuntimeError, match="illegal"):
        translate(run, photos / "one.png", tmp_path / "one.png")


def test_what_is_no_picture_is_told_in_one_line(run: Path, photos: Path, tmp_path: Path) -> None:
    for name in ("film.gif", "notes.txt", ".hidden.txt"):
        (photos / name).write_bytes(b"GIF89a")
    with pytest.warns(SkippedWarning, match=r"skipped .*: film\.gif, notes\.txt$") as told:
        report = translate(run, photos, tmp_path / "out")
    assert len(told) == 1
    assert len(report.written) == 6


def test_tiles_of_large_pictures_are_told_beside_the_pictures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.png", "two.png"):
        write_image(tmp_path / "large" / name, Picture(np.zeros((140, 90, 3), np.uint8)))
    translate_files(run, tmp_path / "large", tmp_path / "out", tile=68)
    told = capsys.readouterr().err
    assert "translate" in told
    assert "2/2" in told
    assert "tiles" in told
    translate_files(run, tmp_path / "large", tmp_path / "whole")
    assert "tiles" not in capsys.readouterr().err


def test_a_picture_that_fails_leaves_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        translate(run, tmp_path / "broken.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()
