import numpy as np
import pytest

from ganvas.errors import ImageError
from ganvas.image.grid import GAP, make_grid
from ganvas.image.picture import Picture


def test_cells_lie_where_they_should(rng):
    cells = [rng.integers(0, 256, (8, 6, 3), dtype=np.uint8) for _ in range(4)]
    grid = make_grid([cells[:2], cells[2:]])
    assert grid.shape == (2 * 8 + GAP, 2 * 6 + GAP, 3)
    assert np.array_equal(grid[:8, :6], cells[0])
    assert np.array_equal(grid[8 + GAP :, 6 + GAP :], cells[3])
    assert (grid[:, 6 : 6 + GAP] == 255).all()


def test_any_kind_of_cell():
    grid = make_grid(
        [
            [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8), None],
            [Picture(np.full((3, 5, 5), 65535, np.uint16)), Picture(np.zeros((2, 2, 4), np.float32), has_alpha=True)],
        ]
    )
    assert grid.shape == (4 + 3 + GAP, 5 + 4 + 2 * GAP, 3)
    assert grid.dtype == np.uint8


def test_scale_repeats_pixels(rng):
    cell = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    assert np.array_equal(make_grid([[cell]], scale=3), cell.repeat(3, axis=0).repeat(3, axis=1))


def test_captions_and_labels_take_room_and_hide_no_picture():
    cell = np.full((30, 40, 3), 100, np.uint8)
    plain = make_grid([[cell, cell]])
    grid = make_grid([[cell, cell]], captions=["mosaic", "a caption much too long for it"], row_labels=["photograph 1"])
    assert grid.shape[0] > plain.shape[0]
    assert grid.shape[1] > plain.shape[1]
    assert np.array_equal(grid[-30:, -84:], plain)
    assert (grid[:-30, -84:] < 100).any()
    assert (grid[-30:, :-84] < 100).any()


def test_captions_in_any_script_are_drawn():
    cell = np.zeros((9, 200, 3), np.uint8)
    accents, plain = (make_grid([[cell]], captions=[caption]) for caption in ("déjà", "deja"))
    assert np.array_equal(accents, plain)
    assert make_grid([[cell]], captions=["日本語"]).shape == plain.shape


def test_an_empty_grid_is_an_error():
    with pytest.raises(ImageError, match="at least one"):
        make_grid([[None]])
