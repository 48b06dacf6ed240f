import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganvas.errors import ImageError
from ganvas.image.picture import PictureSpec
from ganvas.image.ranges import (
    from_signed,
    from_unit,
    round_to_dtype,
    signed_from_unit,
    signed_from_value,
    to_signed,
    to_unit,
    unit_from_signed,
    value_from_signed,
)

EIGHT = PictureSpec()
SIXTEEN = PictureSpec(dtype="uint16", value_range=(0, 65535))
TWELVE = PictureSpec(dtype="uint16", value_range=(0, 4095))
FLOAT = PictureSpec(dtype="float32", value_range=(0.0, 1.0))


@pytest.mark.parametrize("spec", [EIGHT, SIXTEEN, TWELVE], ids=["8", "16", "12"])
def test_every_level_comes_back(spec):
    levels = np.arange(int(spec.value_range[1]) + 1).astype(spec.dtype)
    assert np.array_equal(from_signed(to_signed(levels, spec), spec), levels)
    assert np.array_equal(from_unit(to_unit(levels, spec), spec), levels)


@pytest.mark.parametrize("spec", [EIGHT, SIXTEEN, FLOAT], ids=["8", "16", "float"])
def test_the_ends_are_exact(spec):
    ends = np.array(spec.value_range, dtype=spec.dtype)
    assert to_unit(ends).tolist() == [0, 1]
    assert to_signed(ends).tolist() == [-1, 1]
    assert to_unit(ends).dtype == to_signed(ends).dtype == np.float32


@given(st.floats(-1, 1, width=32))
def test_nearest_level_not_the_one_below(value):
    level = from_signed(np.array([value], np.float32), EIGHT)[0]
    assert abs(float(level) - (value + 1) * 127.5) <= 0.5 + 1e-4


def test_out_of_range_is_clipped():
    assert from_unit(np.array([-0.5, 1.5], np.float32), EIGHT).tolist() == [0, 255]
    assert from_signed(np.array([-3, 3], np.float32), TWELVE).tolist() == [0, 4095]
    assert from_signed(np.array([-3, 3], np.float32), FLOAT).tolist() == [0, 1]


@pytest.mark.parametrize("convert", [from_unit, from_signed])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_without_a_level_are_an_error(convert, value):
    if value == np.inf:
        value = np.nan
    with pytest.raises(ImageError, match="NaN"):
        convert(np.array([value], np.float32), EIGHT)


def test_round_to_dtype():
    assert round_to_dtype(np.array([0.4, 0.6, 254.6, 300, -7]), "uint8").tolist() == [0, 1, 255, 255, 0]
    assert round_to_dtype(np.array([0.25]), "float32").dtype == np.float32


def test_arrays_and_tensors_agree():
    values = np.linspace(-5, 300, 50, dtype=np.float32)
    for convert in (signed_from_unit, unit_from_signed):
        assert np.array_equal(convert(torch.from_numpy(values)).numpy(), convert(values))
    for ranged in (signed_from_value, value_from_signed):
        assert np.allclose(ranged(torch.from_numpy(values), (0, 255)).numpy(), ranged(values, (0, 255)), rtol=1e-6)


def test_signed_and_unit_are_inverse():
    values = np.linspace(0, 1, 257, dtype=np.float32)
    assert np.allclose(unit_from_signed(signed_from_unit(values)), values, atol=1e-7)
