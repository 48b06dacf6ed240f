"""Color profiles: other RGB spaces become sRGB on reading, sRGB stays unchanged, and failures are reported."""

import struct
import zlib
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from ganvas.image.convert import BROKEN, NOT_RGB
from ganvas.image.files import encode_image, read_image
from ganvas.image.picture import Picture

KINDS = [(".png", "uint8"), (".webp", "uint8"), (".tif", "uint8"), (".png", "uint16"), (".tif", "uint16")]
D65 = (0.3127, 0.3290, 1.0)
PRIMARIES = {
    "Display P3": (0.680, 0.320, 1.0, 0.265, 0.690, 1.0, 0.150, 0.060, 1.0),
    "Adobe RGB": (0.640, 0.330, 1.0, 0.210, 0.710, 1.0, 0.150, 0.060, 1.0),
    "sRGB": (0.640, 0.330, 1.0, 0.300, 0.600, 1.0, 0.150, 0.060, 1.0),
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile(name: str) -> bytes:
    """Return a profile with published primaries and a power function as the tone curve."""
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=D65, primaries=PRIMARIES[name], gamma=2.2))


def colors(channels=3, dtype="uint8") -> np.ndarray:
    levels = np.random.default_rng(0).integers(40, 216, (24, 30, channels))
    return (levels * (257 if dtype == "uint16" else 1)).astype(dtype)


def save(path, pixels: np.ndarray, icc: bytes) -> None:
    if path.suffix == ".tif":
        tifffile.imwrite(
            path, pixels, photometric="rgb", iccprofile=icc, extrasamples=[2] if pixels.shape[2] == 4 else None
        )
    elif pixels.dtype == np.uint16:
        # iCCP: name, compression method, compressed profile (PNG 3rd edition, 11.3.2.3)
        body = b"profile\0\0" + zlib.compress(icc)
        chunk = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
        data = encode_image(Picture(pixels, pixels.shape[2] == 4), ".png")
        path.write_bytes(data[:33] + chunk + data[33:])
    else:
        options = {".webp": {"lossless": True, "exact": True}, ".jpg": {"quality": 100, "subsampling": 0}}
        Image.fromarray(pixels).save(path, icc_profile=icc, **options.get(path.suffix, {}))


def by_definition(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return the sRGB levels in [0, 1] computed from the published primaries (IEC 61966-2-1 for the target)."""

    def to_xyz(space: str) -> np.ndarray:
        x, y = np.array(PRIMARIES[space]).reshape(3, 3)[:, :2].T
        columns = np.array([x / y, np.ones(3), (1 - x - y) / y])
        white = np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
        return columns * np.linalg.solve(columns, white)

    linear = (pixels / np.iinfo(pixels.dtype).max) ** 2.2
    target = np.clip(linear @ (np.linalg.inv(to_xyz("sRGB")) @ to_xyz(name)).T, 0, 1)
    return np.where(target <= 0.0031308, 12.92 * target, 1.055 * target ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB"])
@pytest.mark.parametrize(("suffix", "dtype"), KINDS)
def test_wide_gamuts_become_srgb(tmp_path, name, suffix, dtype):
    pixels, path = colors(dtype=dtype), tmp_path / f"a{suffix}"
    save(path, pixels, profile(name))
    picture = read_image(path)
    assert picture.pixels.dtype == dtype
    found = picture.pixels / np.iinfo(dtype).max
    away = np.abs(found - by_definition(pixels, name))
    assert away.max() < (0.02 if dtype == "uint8" else 0.06)  # for 16 bits, where a color is outside the gamut
    assert away.mean() < 0.002
    assert np.abs(found - pixels / np.iinfo(dtype).max).max() > 0.05
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith("colors were converted from the file's profile '")


def test_a_jpeg_too(tmp_path):
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([60 + 4 * x, 80 + 4 * y, 100 + 2 * x], 2).astype(np.uint8)
    save(tmp_path / "a.jpg", pixels, profile("Display P3"))
    found = read_image(tmp_path / "a.jpg").pixels / 255
    assert np.abs(found - by_definition(pixels, "Display P3")).mean() < 0.01


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_opacity_keeps_its_levels(tmp_path, dtype, suffix):
    pixels, path = colors(4, dtype), tmp_path / f"a{suffix}"
    save(path, pixels, profile("Display P3"))
    picture = read_image(path)
    assert picture.has_alpha
    assert np.array_equal(picture.pixels[:, :, 3], pixels[:, :, 3])
    assert not np.array_equal(picture.color, pixels[:, :, :3])


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_srgb_changes_no_level(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", colors(), SRGB)
    picture = read_image(tmp_path / f"a{suffix}")
    assert np.array_equal(picture.pixels, colors())
    assert picture.notes == ()


def test_a_palette_is_converted(tmp_path):
    image = Image.fromarray(colors()).quantize(16)
    image.save(tmp_path / "a.png", icc_profile=profile("Display P3"))
    expected = by_definition(np.asarray(image.convert("RGB")), "Display P3")
    assert np.abs(read_image(tmp_path / "a.png").pixels / 255 - expected).max() < 0.02


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("icc", [b"no profile at all", SRGB[:200], b"\0" * 300])
def test_a_broken_profile_is_said_and_not_fatal(tmp_path, suffix, icc):
    save(tmp_path / f"a{suffix}", colors(), icc)
    picture = read_image(tmp_path / f"a{suffix}")
    assert np.array_equal(picture.pixels, colors())
    assert picture.notes == (BROKEN,)


def test_a_profile_of_another_kind_is_said(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    save(tmp_path / "a.png", colors(), lab)
    picture = read_image(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, colors())
    assert picture.notes == (NOT_RGB,)


def test_floats_keep_their_values_and_it_is_said(tmp_path):
    pixels = (colors() / 255).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", iccprofile=profile("Display P3"))
    picture = read_image(tmp_path / "a.tif")
    assert np.array_equal(picture.pixels, pixels)
    assert "not applied to float pixel values" in picture.notes[0]


def test_adobe_rgb_by_exif_alone_is_said(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    stream = BytesIO()
    Image.fromarray(colors()).save(stream, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    assert any("Adobe RGB" in note for note in read_image(tmp_path / "a.jpg").notes)
