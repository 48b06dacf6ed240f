"""Image files: round trips of every format, type and number of channels; what writing drops, what reading refuses."""

import os
import shutil
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms, PngImagePlugin

from ganvas.errors import ImageError
from ganvas.filesystem import atomic
from ganvas.image.files import encode_image, list_images, read_image, read_label, read_size, write_image
from ganvas.image.label import SOURCE_TYPE, SyntheticLabel
from ganvas.image.picture import Picture

LABEL = SyntheticLabel(software="ganvas 0.1", model='pix2pix "déjà" <run>', note="A & B were restored.")
LOSSLESS = {  # suffix -> (types, channels, opacity) that survive a round trip
    ".png": ((np.uint8, np.uint16), (1, 3), (False, True)),
    ".webp": ((np.uint8,), (3,), (False, True)),
    ".bmp": ((np.uint8,), (1, 3), (False,)),
    ".tif": ((np.uint8, np.uint16, np.float32), tuple(range(1, 33)), (False, True)),
    ".npy": ((np.uint8, np.uint16, np.float32), tuple(range(1, 33)), (False,)),
}


def smooth(height=24, width=32, channels=3) -> np.ndarray:
    """Return a picture that survives JPEG."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [60 + 5 * x + shift for shift in range(channels)] + [80 + 4 * y]
    return np.stack(planes[-channels:], axis=2).astype(np.uint8)


@st.composite
def pictures(draw, suffix):
    dtypes, channels, alphas = LOSSLESS[suffix]
    has_alpha = draw(st.sampled_from(alphas))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.sampled_from(channels)) + has_alpha)
    dtype = draw(st.sampled_from(dtypes))
    elements = st.floats(-(2**80), 2**80, width=32) if dtype == np.float32 else None
    pixels = draw(hnp.arrays(dtype, shape, elements=elements))
    if suffix == ".webp" and has_alpha:
        pixels[0, 0, -1] = 7  # the encoder drops an opacity that is full everywhere
    return Picture(pixels, has_alpha)


@pytest.mark.parametrize("suffix", LOSSLESS)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_there_and_back_changes_no_level(tmp_path, suffix, data):
    picture = data.draw(pictures(suffix))
    path = tmp_path / f"picture{suffix}"
    write_image(path, picture, synthetic=data.draw(st.sampled_from([None, LABEL])))
    again = read_image(path)
    assert again.pixels.dtype == picture.pixels.dtype
    assert np.array_equal(again.pixels, picture.pixels)
    assert again.has_alpha == picture.has_alpha
    assert again.source == path
    assert again.pixels.flags.writeable
    assert again.pixels.flags.c_contiguous


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_16_bit_levels(tmp_path, suffix, channels):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(channels, axis=2)
    write_image(tmp_path / f"a{suffix}", Picture(levels))
    assert np.array_equal(read_image(tmp_path / f"a{suffix}").pixels, levels)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_stays_close(tmp_path, channels):
    picture = Picture(smooth(channels=channels))
    write_image(tmp_path / "a.jpg", picture)
    again = read_image(tmp_path / "a.jpg").pixels
    assert again.shape == picture.pixels.shape
    assert np.abs(again.astype(int) - picture.pixels).max() <= 4


def test_webp_keeps_no_opacity_that_is_full_everywhere(tmp_path):
    picture = Picture(np.dstack([smooth(), np.full((24, 32), 255, np.uint8)]), has_alpha=True)
    write_image(tmp_path / "a.webp", picture)
    assert np.array_equal(read_image(tmp_path / "a.webp").pixels, smooth())


def test_gray_in_webp_becomes_three_equal_channels(tmp_path):
    picture = Picture(smooth(channels=1))
    write_image(tmp_path / "a.webp", picture)
    assert np.array_equal(read_image(tmp_path / "a.webp").pixels, picture.pixels.repeat(3, axis=2))


@pytest.mark.parametrize(
    ("suffix", "shape", "dtype", "has_alpha", "mend"),
    [
        (".png", (4, 4, 5), np.uint8, False, "write .tif or .npy"),
        (".png", (4, 4, 2), np.uint8, False, "write .tif or .npy"),
        (".png", (4, 4, 3), np.float32, False, "write .tif or .npy"),
        (".jpg", (4, 4, 3), np.uint16, False, "write .png or .tif or .npy"),
        (".jpg", (4, 4, 4), np.uint8, True, "write .png or .tif"),
        (".bmp", (4, 4, 4), np.uint8, True, "write .png or .tif"),
        (".webp", (4, 4, 3), np.uint16, False, "write .png or .tif or .npy"),
        (".npy", (4, 4, 4), np.float32, True, "write .tif"),
        (".gif", (4, 4, 3), np.uint8, False, "end the name in .png"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error_and_no_file(tmp_path, suffix, shape, dtype, has_alpha, mend):
    with pytest.raises(ImageError, match=mend):
        write_image(tmp_path / f"a{suffix}", Picture(np.zeros(shape, dtype), has_alpha))
    assert list(tmp_path.iterdir()) == []


def test_too_wide_for_the_format(tmp_path):
    with pytest.raises(ImageError, match=r"16384 x 1 .*write \.png"):
        write_image(tmp_path / "a.webp", Picture(np.zeros((1, 16384, 3), np.uint8)))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_an_array_is_a_picture_too(tmp_path, shape, rng):
    array = rng.integers(0, 256, shape).astype(np.uint8)
    write_image(tmp_path / "array.png", array)
    np.testing.assert_array_equal(read_image(tmp_path / "array.png").pixels, array.reshape(5, 7, -1))
    with pytest.raises(ImageError, match="got \\(5,\\)"):
        write_image(tmp_path / "line.png", array.ravel()[:5])


def test_a_failed_write_keeps_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, Picture(smooth()))
    before = path.read_bytes()

    def no_space(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", no_space)
    with pytest.raises(ImageError, match=r"a\.png: cannot be written: No space"):
        write_image(path, Picture(smooth()[::-1]))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


# Orientation


def stored_for(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return what a camera stores so that the EXIF orientation gives `upright`."""
    inverse = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(inverse[orientation](upright))


def exif_bytes(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_come_out_upright(tmp_path, suffix, orientation):
    upright, path = smooth(), tmp_path / f"a{suffix}"
    options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(stored_for(upright, orientation)).save(path, exif=exif_bytes(orientation), **options)
    pixels = read_image(path).pixels
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() <= (3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png_comes_out_upright(tmp_path, rng, orientation, channels):
    upright = rng.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    data = encode_image(Picture(stored_for(upright, orientation), channels == 4), ".png")
    (tmp_path / "a.png").write_bytes(insert_chunk(data, b"eXIf", exif_bytes(orientation).removeprefix(b"Exif\0\0")))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, upright)


def insert_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


def test_orientation_is_applied_once(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.png", exif=exif_bytes(6))
    write_image(tmp_path / "b.png", read_image(tmp_path / "a.png"))
    assert read_image(tmp_path / "b.png").pixels.shape == (32, 24, 3)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage!", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"\0" * 9])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_spoils_no_picture(tmp_path, exif):
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").pixels.shape == (24, 32, 3)


# What other programs write


def test_palette(tmp_path):
    colors = smooth(4, 4).reshape(-1, 3)
    indexed = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4), mode="P")
    indexed.putpalette(colors.tobytes())
    indexed.save(tmp_path / "a.png")
    indexed.save(tmp_path / "a.bmp")
    indexed.save(tmp_path / "a.tif")
    for suffix in (".png", ".bmp", ".tif"):
        assert np.array_equal(read_image(tmp_path / f"a{suffix}").pixels, colors.reshape(4, 4, 3))
    indexed.save(tmp_path / "t.png", transparency=bytes([0, 128]))
    picture = read_image(tmp_path / "t.png")
    assert picture.has_alpha
    assert np.array_equal(picture.color, colors.reshape(4, 4, 3))
    assert picture.pixels[0, :3, 3].tolist() == [0, 128, 255]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit_becomes_black_and_white(tmp_path, rng, suffix):
    bits = rng.integers(0, 2, (9, 13)).astype(bool)
    Image.fromarray(bits).save(tmp_path / f"a{suffix}")
    assert np.array_equal(read_image(tmp_path / f"a{suffix}").pixels[:, :, 0], bits * 255)


@pytest.mark.parametrize("depth", [2, 4])
def test_few_bits_of_gray_spread_over_eight(tmp_path, depth):
    levels = np.arange(1 << depth, dtype=np.uint8)
    packed = np.packbits(np.unpackbits(levels[:, None], axis=1)[:, -depth:]).tobytes()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << depth, 1, depth, 0, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png").pixels[0, :, 0].tolist() == (levels * (255 // levels[-1])).tolist()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_color_becomes_opacity(tmp_path, rng, dtype, channels):
    high = np.iinfo(dtype).max
    pixels = rng.integers(0, high, (5, 6, channels), endpoint=True).astype(dtype)
    key = struct.pack(f">{channels}H", *pixels[2, 3])
    (tmp_path / "a.png").write_bytes(insert_chunk(encode_image(Picture(pixels), ".png"), b"tRNS", key))
    picture = read_image(tmp_path / "a.png")
    assert picture.has_alpha
    assert np.array_equal(picture.color, pixels)
    expected = np.where((pixels == pixels[2, 3]).all(axis=2), 0, high)
    assert np.array_equal(picture.pixels[:, :, -1], expected)


def test_cmyk_jpeg_has_the_colors_it_was_made_from(tmp_path):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8] = (0, 255, 255, 0)  # magenta and yellow give red
    Image.frombytes("CMYK", (16, 16), inks.tobytes()).save(tmp_path / "a.jpg", quality=100)
    pixels = read_image(tmp_path / "a.jpg").pixels.astype(int)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[:, :8] - [255, 0, 0]).max() <= 4
    assert np.abs(pixels[:, 8:] - 255).max() <= 4


@pytest.mark.parametrize(
    "profile", [b"not a profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]
)
def test_cmyk_with_a_profile_that_does_not_fit(tmp_path, profile):
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "a.jpg", icc_profile=profile)
    assert read_image(tmp_path / "a.jpg").pixels.max() <= 4


def test_the_first_picture_of_a_camera_pair_is_read(tmp_path):
    pair = [Image.fromarray(smooth()), Image.fromarray(smooth(8, 8))]
    pair[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=pair[1:])
    assert read_image(tmp_path / "a.jpg").pixels.shape == (24, 32, 3)


def test_views_are_written_as_they_look(tmp_path):
    view = np.stack([smooth(), smooth()[::-1]])[::-1, ::-1, ::2].swapaxes(1, 2)[0]
    for suffix in LOSSLESS:
        write_image(tmp_path / f"a{suffix}", Picture(view))
        assert np.array_equal(read_image(tmp_path / f"a{suffix}").pixels, view)


def test_the_content_says_the_format_not_the_name(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(read_image(tmp_path / "a.jpg").pixels, smooth())


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.eye(3, dtype=bool), np.uint8),
        (np.arange(9, dtype=">u2").reshape(3, 3), np.uint16),
        (np.arange(9, dtype=np.int16).reshape(3, 3), np.uint16),
        (np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4)), np.uint8),
        (np.linspace(0, 1, 9).reshape(3, 3), np.float32),
        (np.linspace(0, 1, 9, dtype=np.float16).reshape(3, 3), np.float32),
    ],
)
def test_arrays_of_other_types(tmp_path, array, dtype):
    np.save(tmp_path / "a.npy", array)
    pixels = read_image(tmp_path / "a.npy").pixels
    assert pixels.dtype == dtype
    assert pixels.flags.c_contiguous
    scale = 255 if array.dtype == bool else 1
    assert pixels[:, :, 0] == pytest.approx(array.astype(float) * scale, rel=1e-6)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.full((3, 3), np.nan), "NaN"),
        (np.full((3, 3), 1e300), "infinite"),
        (np.full((3, 3), -1, np.int16), "int16 samples"),
        (np.zeros((3, 3), np.int64), "int64 samples"),
        (np.zeros((3, 3), complex), "complex128 samples"),
        (np.zeros((3, 3, 33), np.uint8), "33 channels"),
        (np.zeros((3, 64, 64), np.uint8), "the channels are the last dimension"),
        (np.zeros(3, np.uint8), r"shape \(3,\)"),
        (np.zeros((0, 3), np.uint8), r"a\.npy"),
        (np.array([[None]]), "cannot be decoded"),
    ],
)
def test_arrays_that_are_no_picture(tmp_path, array, problem):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ImageError, match=problem):
        read_image(tmp_path / "a.npy")


# Refusals


def png_announcing(width: int, height: int, depth: int = 8) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))


def test_a_bomb_is_refused_by_its_header(tmp_path):
    bomb = png_announcing(60_000, 60_000) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ImageError, match=r"60000 x 60000 .*over the limit"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".npy"])
def test_every_format_knows_the_limit(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Picture(smooth()))
    assert read_image(tmp_path / f"a{suffix}", max_pixels=24 * 32).width == 32
    with pytest.raises(ImageError, match=f"a{suffix}: 32 x 24 pixels"):
        read_image(tmp_path / f"a{suffix}", max_pixels=24 * 32 - 1)


def test_channels_count_towards_the_limit(tmp_path):
    write_image(tmp_path / "a.tif", Picture(np.zeros((10, 10, 32), np.float32)))
    with pytest.raises(ImageError, match="of 128 bytes"):
        read_image(tmp_path / "a.tif", max_pixels=1000)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".npy"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_file_cut_short_is_named_with_its_mend(tmp_path, rng, suffix, share):
    path = tmp_path / f"cut{suffix}"
    write_image(path, Picture(rng.integers(0, 256, (200, 150, 3), dtype=np.uint8)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=rf"cut\{suffix}: .*(copy it again|write it again)") as caught:
        read_image(path)
    assert caught.value.path == path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".npy"])
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_give_a_picture_or_an_image_error(tmp_path, suffix, data):
    damaged = bytearray(encode_image(Picture(smooth()), suffix))
    places = st.integers(0, min(len(damaged), 600) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        damaged[at] = value
    path = tmp_path / f"a{suffix}"
    path.write_bytes(damaged)
    with suppress(ImageError):
        assert read_image(path, max_pixels=10_000).pixels.size > 0


@pytest.mark.parametrize(
    ("content", "mend"),
    [(b"", "an empty file; copy it again"), (b"hello", "convert it"), (b"GIF89a" + b"\0" * 40, "convert it")],
)
def test_other_files_are_named(tmp_path, content, mend):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=mend):
        read_image(tmp_path / "a.png")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png: cannot be read: No such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_animations_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(smooth()), Image.fromarray(smooth()[::-1])]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animation; save one frame"):
        read_image(tmp_path / f"a{suffix}")


# Metadata


def photo_with_secrets(path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)  # GPS latitude
    exif.get_ifd(0x8825)[29] = "SECRETDAY"
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "SECRETNAME")
    options = {".png": {"pnginfo": notes}, ".jpg": {"comment": b"SECRETNAME"}}.get(path.suffix, {})
    Image.fromarray(smooth()).save(path, exif=exif, xmp=b"SECRETXMP", **options)
    with path.open("ab") as file:
        file.write(b"SECRETTRAIL")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif", ".bmp", ".npy"])
def test_writing_drops_everything_but_pixels(tmp_path, suffix, target):
    photo_with_secrets(tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes().count(b"SECRET") >= 3
    write_image(tmp_path / f"b{target}", read_image(tmp_path / f"a{suffix}"))
    data = (tmp_path / f"b{target}").read_bytes()
    for word in (b"SECRET", b"Exif", b"eXIf", b"xpacket", b"tEXt", b"iTXt", b"ICC"):
        assert word not in data


# The label


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_label_is_read_back(tmp_path, suffix, channels):
    path = tmp_path / f"a{suffix}"
    picture = Picture(smooth(channels=channels))
    write_image(path, picture)
    assert read_label(path) is None
    write_image(path, picture, synthetic=LABEL)
    assert read_label(path) == SOURCE_TYPE
    assert np.abs(read_image(path).pixels.astype(int) - picture.pixels).max() <= 4
    write_image(path, picture)
    assert read_label(path) is None
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_16_bit_png_carries_the_label(tmp_path):
    write_image(tmp_path / "a.png", Picture(np.zeros((3, 3, 3), np.uint16)), synthetic=LABEL)
    assert read_label(tmp_path / "a.png") == SOURCE_TYPE


def test_png_says_it_in_text_too():
    image = Image.open(BytesIO(encode_image(Picture(smooth()), ".png", synthetic=LABEL)))
    assert image.info["Software"] == "ganvas 0.1"
    assert image.info["Source"] == LABEL.model
    assert image.info["Comment"] == LABEL.note
    assert image.info["DigitalSourceType"] == SOURCE_TYPE


def test_labels_of_other_programs_are_read(tmp_path):
    element = b"<x><Iptc4xmpExt:DigitalSourceType>\n http://example.org/made </Iptc4xmpExt:DigitalSourceType></x>"
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", xmp=element)
    assert read_label(tmp_path / "a.jpg") == "http://example.org/made"


def test_somebody_elses_json_is_neither_read_nor_removed(tmp_path):
    beside = tmp_path / "a.npy.json"
    beside.write_text("[1]")
    write_image(tmp_path / "a.npy", Picture(smooth()))
    assert read_label(tmp_path / "a.npy") is None
    assert beside.read_text() == "[1]"


def test_the_label_of_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0garbage")
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_label(tmp_path / "a.tif")


# Folders


def test_list_images(tmp_path):
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "deep/d.tif", ".git/e.png", "a10.npy", "a9.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    plain = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert plain == ["a.JPG", "a10.npy", "a9.npy", "b.png"]
    deep = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path, recursive=True)]
    assert deep == ["a.JPG", "a10.npy", "a9.npy", "b.png", "deep/d.tif"]
    with pytest.raises(ImageError, match="no such folder"):
        list_images(tmp_path / "nowhere")


def test_a_hidden_parent_hides_nothing(tmp_path):
    folder = tmp_path / ".cache"
    folder.mkdir()
    (folder / "a.png").touch()
    assert [path.name for path in list_images(folder)] == ["a.png"]


@pytest.mark.realdata
def test_real_photographs_keep_their_levels(tmp_path, real_data):
    photographs = [path for name in ("flowers", "bsds500/train") for path in list_images(real_data / name)[:5]]
    assert len(photographs) >= 5
    for photograph in photographs:
        copy = tmp_path / photograph.name
        shutil.copy(photograph, copy)
        expected = np.array(Image.open(copy))
        write_image(tmp_path / "again.png", read_image(copy))
        assert np.array_equal(read_image(tmp_path / "again.png").pixels, expected)


def test_names_may_be_text(tmp_path: Path) -> None:
    write_image(f"{tmp_path}/one.png", Picture(np.full((2, 3, 1), 9, np.uint8)))
    assert read_image(f"{tmp_path}/one.png").pixels.shape == (2, 3, 1)
    assert list_images(str(tmp_path)) == [tmp_path / "one.png"]
    assert read_label(f"{tmp_path}/one.png") is None


def test_names_of_many_bytes(tmp_path):
    path = tmp_path / ("\N{GRINNING FACE}" * 62 + ".png")
    write_image(path, Picture(smooth()))
    assert np.array_equal(read_image(path).pixels, smooth())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("read", [read_image, read_label, read_size])
def test_devices_and_pipes_are_refused(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(ImageError, match="a device, pipe or socket; save the picture to a file"):
            read(tmp_path / name)
