import numpy as np
import pytest
import torch
from data_sets import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from ganvas.data.loader import signed_crops, signed_picture
from ganvas.data.sampler import Crop
from ganvas.image.picture import PictureSpec
from ganvas.image.ranges import signed_from_value

CPU = torch.device("cpu")


@given(
    st.integers(1, 4), st.integers(1, 40), st.booleans(), st.sampled_from(["uint8", "uint16", "float32"]), st.booleans()
)
@settings(max_examples=60)
def test_a_crop_is_what_the_formula_says_to_the_bit(
    channels: int, width: int, mirror: bool, dtype: str, ranged: bool
) -> None:
    levels = noise(9, width + 5, channels, dtype="uint16" if dtype == "float32" else dtype)
    picture = (levels / 65535).astype(np.float32) if dtype == "float32" else levels
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    spec = PictureSpec(dtype=dtype, channels=channels, value_range=(0.25, 200.0) if ranged else (0.0, 0.0))
    made = signed_crops([planes], [Crop(2, 3, mirror)], (6, width), spec, CPU)
    cut = torch.from_numpy(planes[:, 2:8, 3 : 3 + width].astype(np.float32))
    expected = signed_from_value(cut, spec.value_range)
    assert torch.equal(made[0], expected.flip(-1) if mirror else expected)
    assert made.is_contiguous()


def test_each_picture_has_its_own_crop() -> None:
    pictures = [np.ascontiguousarray(noise(20, 20, seed=seed).transpose(2, 0, 1)) for seed in range(3)]
    crops = [Crop(0, 0, mirror=False), Crop(4, 4, mirror=True), Crop(1, 2, mirror=False)]
    together = signed_crops(pictures, crops, (16, 16), PictureSpec(), CPU)
    for image, picture, crop in zip(together, pictures, crops, strict=True):
        assert torch.equal(image, signed_crops([picture], [crop], (16, 16), PictureSpec(), CPU)[0])


def test_gray_that_is_repeated_and_views_that_cannot_be_written_are_fine() -> None:
    gray = np.broadcast_to(noise(8, 8, 1).transpose(2, 0, 1), (3, 8, 8))
    image = signed_crops([gray], [Crop(0, 0, mirror=True)], (8, 8), PictureSpec(), CPU)[0]
    assert torch.equal(image[0], image[2])
    assert torch.equal(signed_picture(gray, PictureSpec(), CPU)[0], image.flip(-1))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_gpu_gives_the_same(dtype: str) -> None:
    picture = np.ascontiguousarray(noise(20, 20, dtype="uint8").transpose(2, 0, 1)).astype(dtype)
    spec, crops = PictureSpec(dtype=dtype), [Crop(1, 2, mirror=True)]
    here, there = (signed_crops([picture], crops, (16, 16), spec, torch.device(name)) for name in ("cpu", "cuda"))
    assert torch.equal(there.cpu(), here)
