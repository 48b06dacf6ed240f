"""Adaptation of pictures to a run: any kind is converted as when a file is read, or raises a clear error."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from inference_runs import EXACT, tiny_method, tiny_record
from PIL import Image

from ganvas.data.config import PairedData
from ganvas.errors import ImageError
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture, PictureSpec, Resolution
from ganvas.inference.adapt import as_picture, blank_result, input_notes, picture_from_signed, unit_from_picture
from ganvas.inference.translator import ConversionWarning, Translator


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_an_opened_pillow_image_is_what_its_file_is(tmp_path: Path, pixels: np.ndarray) -> None:
    image, gray = Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])
    image.save(tmp_path / "turned.jpg", exif=orientation(6))
    image.save(tmp_path / "turned.png", exif=orientation(8))
    image.save(tmp_path / "key.png", transparency=tuple(pixels[0, 0].tolist()))
    gray.save(tmp_path / "gray_key.png", transparency=int(pixels[0, 0, 0]))
    image.quantize(8).save(tmp_path / "palette.png", transparency=3)
    image.convert("CMYK").save(tmp_path / "inks.jpg")
    gray.convert("1").save(tmp_path / "bits.png")
    Image.fromarray(np.dstack([pixels, pixels[:, :, :1]])).save(tmp_path / "opacity.webp", lossless=True)
    for path in tmp_path.iterdir():
        given, expected = as_picture(Image.open(path), channels=3), read_image(path)
        np.testing.assert_array_equal(given.pixels, expected.pixels, err_msg=path.name)
        assert given.has_alpha == expected.has_alpha, path.name
    assert as_picture(Image.open(tmp_path / "turned.jpg"), channels=3).pixels.shape == (30, 20, 3)
    assert as_picture(Image.open(tmp_path / "key.png"), channels=3).has_alpha


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".jpg"])
def test_the_bytes_of_a_file_are_read(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(pixels))
    for given in (path.read_bytes(), BytesIO(path.read_bytes())):
        np.testing.assert_array_equal(as_picture(given, channels=3).pixels, read_image(path).pixels)


def test_bytes_that_are_no_picture_are_named() -> None:
    with pytest.raises(ImageError, match="picture in memory: not a PNG, JPEG"):
        as_picture(b"\0" * 100, channels=3)


def test_tensors_are_channels_first_and_come_back_so(pixels: np.ndarray) -> None:
    record = tiny_record(EXACT)
    translator = Translator(tiny_method(record), record)
    expected = translator(pixels)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    made = translator(tensor)
    assert isinstance(made, torch.Tensor)
    assert (made.dtype, tuple(made.shape)) == (torch.uint8, (3, 20, 30))
    np.testing.assert_array_equal(made.permute(1, 2, 0).numpy(), expected)
    with pytest.warns(ConversionWarning, match="float32 was converted"):
        of_floats = translator((tensor / 255).requires_grad_())
    np.testing.assert_array_equal(of_floats.numpy(), made.numpy())


def test_batches_and_signed_tensors_are_refused(pixels: np.ndarray) -> None:
    record = tiny_record(EXACT)
    translator = Translator(tiny_method(record), record)
    with pytest.raises(ImageError, match=r"tensor \(C, H, W\), got \(1, 3, 8, 8\); pass one picture at a time"):
        translator(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ImageError, match="outside"):
        translator(torch.full((3, 8, 8), -1.0))


@pytest.mark.parametrize("image", [None, 3, [[1, 2]], {"a": 1}, object()])
def test_other_objects_are_a_type_error(image: object) -> None:
    with pytest.raises(TypeError, match=rf"type {type(image).__name__} cannot be read; expected a path, .* a tensor"):
        as_picture(image, channels=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "is_said"), [(110, False), (150, False), (256, True), (60, False), (40, True)])
def test_another_scale_than_the_trainings_is_said(side: int, is_said: bool) -> None:
    picture = Picture(np.zeros((side, side + 30, 3), np.uint8))
    data = PairedData(folder=Path("data"), resize="shorter_side", load_size=(110, 110), crop_size=(64, 64))
    notes = input_notes(picture, PictureSpec(), data, any_scale=False)
    assert bool(notes) == is_said
    assert all("whose shorter side had 110 pixels" in note for note in notes)
    assert input_notes(picture, PictureSpec(), data, any_scale=True) == ()
    assert input_notes(picture, PictureSpec(), replace(data, resize="none"), any_scale=False) == ()
    assert input_notes(picture, PictureSpec(), None, any_scale=False) == ()


def test_notes_of_reading_and_the_size_of_pixels_are_carried() -> None:
    resolution = Resolution(Fraction(300), Fraction(200), "inch")
    picture = Picture(np.zeros((8, 8, 3), np.uint8), notes=("read",), resolution=resolution)
    assert input_notes(picture, PictureSpec(), None, any_scale=False) == ("read",)
    assert blank_result(picture, PictureSpec()).resolution == resolution
    assert blank_result(picture, PictureSpec(), scale=4).resolution == Resolution(Fraction(1200), Fraction(800), "inch")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_signed_numbers_and_files_and_measures_agree(dtype: str) -> None:
    high = np.iinfo(dtype).max
    picture = Picture(np.array([[[0], [high]], [[high // 3], [high // 2]]], dtype))
    unit = unit_from_picture(picture, picture.spec)
    assert unit.shape == (1, 1, 2, 2)
    assert (unit.min(), unit.max()) == (0, 1)
    assert np.array_equal(picture_from_signed(2 * unit - 1, picture.spec).pixels, picture.pixels)


def test_a_picture_is_noted_where_the_model_was_trained_in_high_dynamic_range() -> None:
    picture, spec = Picture(np.zeros((8, 8, 3), np.uint8)), PictureSpec(transfer="pq")
    (note,) = input_notes(picture, spec, None, any_scale=False)
    assert "trained in high dynamic range (PQ)" in note
    assert input_notes(picture, spec, None, any_scale=False, is_frame=True) == ()
