"""JPEG streams: the number of scans is bounded before anything is decoded."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.files import read_image
from ganvas.image.integrity import MAX_SCANS, check_scans
from ganvas.image.tiff_check import jpeg_size

FILE = "a.jpg"


def jpeg(*, progressive=True, size=(16, 8), **options) -> bytes:
    stream = BytesIO()
    Image.new("L", size, 90).save(stream, "JPEG", progressive=progressive, **options)
    return stream.getvalue()


def of_scans(count: int) -> bytes:
    """Return a progressive JPEG that repeats its last scan."""
    data = jpeg()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan * count + b"\xff\xd9"


def test_thousands_of_scans_are_refused(tmp_path):
    (tmp_path / FILE).write_bytes(of_scans(3000))
    with pytest.raises(ImageError, match=rf"a\.jpg: a JPEG of 3,\d\d\d scans, over the limit of {MAX_SCANS}; save it"):
        read_image(tmp_path / FILE)


def test_ordinary_progressive_files_are_read(tmp_path):
    for data in (jpeg(), jpeg(quality=100), of_scans(5), jpeg(progressive=False)):
        (tmp_path / FILE).write_bytes(data)
        assert read_image(tmp_path / FILE).pixels.shape == (8, 16, 1)


def test_scans_of_thumbnails_do_not_count(tmp_path):
    thumbnail = b"Exif\0\0" + b"\xff\xda" * 2 * MAX_SCANS
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = jpeg()
    check_scans(data[:2] + segment + data[2:], tmp_path / FILE)


def test_scans_hidden_behind_fill_bytes_count(tmp_path):
    data = of_scans(200).replace(b"\xff\xda", b"\xff\xff\xff\xda")
    with pytest.raises(ImageError, match="scans"):
        check_scans(data, tmp_path / FILE)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_stands_in_the_frame_header(progressive):
    assert jpeg_size(jpeg(progressive=progressive, size=(300, 7))) == (7, 300)
    assert jpeg_size(b"\xff\xd8\xff\xd9") is None
    assert jpeg_size(b"\xff\xd8") is None


def test_scans_inside_a_tiff_count(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((16, 16), 90, np.uint8), compression="jpeg", metadata=None)
    scans = of_scans(500)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tags = tiff.pages.first.tags
        tags["ImageLength"].overwrite(8)
        tags["RowsPerStrip"].overwrite(8)
        tags["StripByteCounts"].overwrite(len(scans))
        end = tiff.filehandle.size
        tags["StripOffsets"].overwrite(end)
    with (tmp_path / "a.tif").open("ab") as file:
        file.write(scans)
    with pytest.raises(ImageError, match="scans, over the limit"):
        read_image(tmp_path / "a.tif")
