import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_sets import assert_batch_is_function_of_position, folders, noise, photographs, save, side_by_side
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganvas.data.cache import Cache
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.degradations import mosaic
from ganvas.data.loader import TrainLoader, evaluation_pairs, signed_crops
from ganvas.data.sampler import Crop
from ganvas.errors import ConfigError, DataError
from ganvas.image.picture import Picture


@pytest.fixture
def data(tmp_path: Path) -> PairedData:
    """Write five pairs; each b is its a upside down."""
    return PairedData(folder=folders(tmp_path / "set"), resize="none", crop_size=(12, 6), jitter=0.3)


@pytest.fixture
def cache(data: PairedData, tmp_path: Path) -> Cache:
    return build_cache(data, "train", tmp_path / "cache")


def loader(cache: Cache, data: PairedData, batch_size: int = 4, seed: int = 3, **given_settings: Any) -> TrainLoader:
    return TrainLoader(cache, data, batch_size=batch_size, seed=seed, **given_settings)


def test_a_batch_is_float_in_range_and_of_the_crop_size(cache: Cache, data: PairedData) -> None:
    batch = loader(cache, data).batch(0)
    for images in (batch.a, batch.b):
        assert images.shape == (4, 3, 12, 6)
        assert images.dtype == torch.float32
        assert images.abs().max() <= 1
        assert images.is_contiguous()


def test_both_sides_have_one_draw(cache: Cache, data: PairedData) -> None:
    """Crops are as high as the picture, so b stays a upside down after crop, mirroring and jitter."""
    for seen in range(0, 40, 4):
        batch = loader(cache, data).batch(seen)
        assert torch.equal(batch.b, batch.a.flip(2))


def test_the_whole_picture_comes_out_unchanged(cache: Cache, data: PairedData) -> None:
    whole = loader(cache, replace(data, crop_size=(12, 10), mirror=False, jitter=0), batch_size=5)
    batch = whole.batch(5)
    for row in range(5):
        pixels = cache.a[whole.sampler.at(5 + row)[0].index].transpose(1, 2, 0)
        levels = (batch.a[row].permute(1, 2, 0).double() + 1) * 127.5
        np.testing.assert_array_equal(levels.round().numpy(), pixels)


def test_mirrored_pictures_are_mirrored(cache: Cache, data: PairedData) -> None:
    data = replace(data, jitter=0)
    plain, mirrored = loader(cache, replace(data, mirror=False)), loader(cache, data)
    flips = 0
    for seen in range(0, 80, 4):
        for row, (one, other) in enumerate(zip(plain.batch(seen).a, mirrored.batch(seen).a, strict=True)):
            flip = mirrored.sampler.at(seen + row)[0].mirror
            assert torch.equal(other, one.flip(-1) if flip else one)
            flips += flip
    assert 25 < flips < 55


def test_rotated_pictures_are_turned_both_sides_alike(cache: Cache, data: PairedData) -> None:
    data = replace(data, crop_size=(6, 6))
    plain, rotated = loader(cache, data), loader(cache, replace(data, rotate=True))
    turns = []
    for seen in range(0, 80, 4):
        before, after = plain.batch(seen), rotated.batch(seen)
        for row in range(4):
            crop = rotated.sampler.at(seen + row)[0]
            assert torch.equal(after.a[row], before.a[row].rot90(crop.turns, (1, 2)))
            assert torch.equal(after.b[row], before.b[row].rot90(crop.turns, (1, 2)))
            turns.append(crop.turns)
    assert min(Counter(turns).get(turn, 0) for turn in range(4)) > 10


@given(st.integers(0, 200), st.integers(1, 7), st.integers(0, 2**64 - 1))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_is_a_function_of_what_was_seen(
    cache: Cache, data: PairedData, seen: int, batch_size: int, seed: int
) -> None:
    assert_batch_is_function_of_position(lambda size: loader(cache, data, size, seed), seen, batch_size)


def test_an_epoch_holds_each_pair_once_and_batches_reach_over_its_end(cache: Cache, data: PairedData) -> None:
    stream = loader(cache, data)
    assert stream.epoch_size == 5
    for epoch in range(6):
        assert sorted(stream.sampler.at(5 * epoch + place)[0].index for place in range(5)) == [0, 1, 2, 3, 4]
    assert len(loader(cache, data, batch_size=13).batch(2).a) == 13


def test_seeds_and_epochs_differ(cache: Cache, data: PairedData) -> None:
    one = loader(cache, data, 5)
    assert not torch.equal(one.batch(0).a, loader(cache, data, 5, seed=4).batch(0).a)
    assert not torch.equal(one.batch(0).a.sum(0), one.batch(5).a.sum(0))


def test_crops_reach_every_corner(cache: Cache, data: PairedData) -> None:
    cuts = [loader(cache, replace(data, crop_size=(11, 7))).sampler.at(position)[0] for position in range(200)]
    assert {(cut.top, cut.left) for cut in cuts} == {(top, left) for top in range(2) for left in range(4)}


PINNED_ALIGNED = [(0, 0, 4, False), (0, 0, 0, True), (4, 1, 3, False), (1, 3, 2, False)]
PINNED_A = [(0, 3, 4, False), (0, 1, 1, True), (1, 0, 3, True), (3, 3, 3, False)]
PINNED_B = [(3, 0, 2, False), (4, 0, 2, True), (3, 3, 0, False), (2, 0, 2, True)]


@pytest.mark.parametrize(("aligned", "a", "b"), [(True, PINNED_ALIGNED, PINNED_ALIGNED), (False, PINNED_A, PINNED_B)])
def test_a_pairing_never_changes(cache: Cache, data: PairedData, aligned: bool, a: list[Any], b: list[Any]) -> None:
    """Indices, positions and mirroring from the fourth picture on: runs of an earlier release resume with them."""
    config = replace(data, crop_size=(9, 6), jitter=0, aligned=aligned)
    drawn = [loader(cache, config).sampler.at(position) for position in range(4, 8)]
    sides = [[(crop.index, crop.top, crop.left, crop.mirror) for crop in side] for side in zip(*drawn, strict=True)]
    assert sides == [a, b]


@pytest.mark.parametrize("world", [2, 4])
def test_the_ranks_together_are_one_process(cache: Cache, data: PairedData, world: int) -> None:
    whole = loader(cache, data, 8).batch(24)
    shares = [loader(cache, data, 8, rank=rank, world=world).batch(24) for rank in range(world)]
    assert torch.equal(torch.cat([share.a for share in shares]), whole.a)
    assert torch.equal(torch.cat([share.b for share in shares]), whole.b)


def test_a_batch_that_cannot_be_shared_is_refused(cache: Cache, data: PairedData) -> None:
    with pytest.raises(ConfigError, match="3 processes"):
        loader(cache, data, 4, world=3)


CODE = """
import hashlib
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.loader import TrainLoader
def last_batch(root, steps):
    wear = {"degrade": "mosaic", "strength": (2, 7), "jitter": 0.2}
    data = PairedData(folder=root / "set", resize="none", crop_size=(9, 9), **wear)
    loader = TrainLoader(build_cache(data, "train", root / "cache"), data, batch_size=3, seed=11)
    batches = [loader.batch(seen) for seen in steps]
    return hashlib.sha256(batches[-1].a.numpy().tobytes() + batches[-1].b.numpy().tobytes()).hexdigest()
"""
FRESH = f"""
import pathlib, sys
from ganvas.content_gate import gate
gate.load_scorer = lambda: lambda rgb: 0.0
{CODE}
print(last_batch(pathlib.Path(sys.argv[1]), [42]))
"""


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_batch(tmp_path: Path) -> None:
    """A run that resumes at picture 42 gets the same batch as the uninterrupted one."""
    photographs(tmp_path / "set")
    here: dict[str, Any] = {}
    exec(CODE, here)
    through = here["last_batch"](tmp_path, range(0, 45, 3))
    resumed = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert len(through) == 64
    assert resumed.strip() == through


def test_pictures_smaller_than_the_crop_are_named(tmp_path: Path) -> None:
    photographs(tmp_path / "set")
    save(tmp_path / "set/train/small.png", noise(20, 9))
    data = PairedData(folder=tmp_path / "set", degrade="gray", resize="none", crop_size=(10, 10))
    with pytest.raises(DataError, match=r"1 pictures are smaller than the crop of 10x10; set.*small \(9x20\)"):
        loader(build_cache(data, "train", tmp_path / "cache"), data)


def test_pictures_of_many_sizes_share_a_batch(tmp_path: Path) -> None:
    photographs(tmp_path / "set")
    save(tmp_path / "set/train/large.png", noise(50, 31))
    data = PairedData(folder=tmp_path / "set", degrade="gray", resize="none", crop_size=(10, 10))
    cache = build_cache(data, "train", tmp_path / "cache")
    assert loader(cache, data, 5).batch(0).a.shape == (5, 3, 10, 10)
    shapes = {name: images.shape for name, images, _ in evaluation_pairs(cache, data)}
    assert shapes["large"] == (1, 3, 50, 31)


@pytest.fixture
def degrading(tmp_path: Path) -> tuple[Cache, PairedData]:
    data = PairedData(
        folder=photographs(tmp_path / "set"), degrade="mosaic", strength=(3, 6), resize="none", crop_size=(18, 18)
    )
    return build_cache(data, "train", tmp_path / "cache"), data


def test_single_pictures_are_degraded_anew_each_epoch(degrading: tuple[Cache, PairedData]) -> None:
    stream = loader(*degrading)
    strengths = set()
    for seen in range(0, 40, 4):
        batch = stream.batch(seen)
        for row in range(4):
            strength = stream.sampler.at(seen + row)[0].strength
            assert torch.equal(batch.a[row : row + 1], mosaic(batch.b[row : row + 1], int(strength)))
            strengths.add(strength)
    assert strengths == {3.0, 4.0, 5.0, 6.0}


def test_the_direction_turns_degraded_pairs_too(degrading: tuple[Cache, PairedData]) -> None:
    cache, data = degrading
    forward, backward = loader(cache, data).batch(0), loader(cache, replace(data, direction="b_to_a")).batch(0)
    assert torch.equal(forward.a, backward.b)
    assert torch.equal(forward.b, backward.a)


def test_the_direction_makes_the_given_side_a(tmp_path: Path) -> None:
    data = PairedData(folder=side_by_side(tmp_path / "set"), direction="b_to_a", resize="none", crop_size=(8, 8))
    cache = build_cache(data, "train", tmp_path / "cache")
    batch = loader(cache, data).batch(0)
    assert batch.a.min() >= 0 > batch.b.max()
    _, given_side, made = next(evaluation_pairs(cache, data))
    assert given_side.min() >= 0 > made.max()


def test_evaluation_never_changes(degrading: tuple[Cache, PairedData]) -> None:
    cache, data = degrading
    once, again = list(evaluation_pairs(cache, data)), list(evaluation_pairs(cache, data))
    assert [name for name, _, _ in once] == ["p0", "p1", "p2", "p3"]
    assert [name for name, _, _ in evaluation_pairs(cache, data, every=3)] == ["p0", "p3"]
    for (_, a, b), (_, a_again, b_again) in zip(once, again, strict=True):
        assert a.shape == (1, 3, 20, 24)
        assert torch.equal(a, a_again)
        assert torch.equal(b, b_again)
        assert any(torch.equal(a, mosaic(b, block)) for block in (3, 4, 5, 6))


def test_a_name_keeps_its_strength_when_others_go(degrading: tuple[Cache, PairedData], tmp_path: Path) -> None:
    cache, data = degrading
    before = {name: a for name, a, _ in evaluation_pairs(cache, data)}
    (tmp_path / "set/train/p0.png").unlink()
    for name, a, _ in evaluation_pairs(build_cache(data, "train", tmp_path / "cache"), data):
        assert torch.equal(a, before[name])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_each_level_survives(tmp_path: Path, dtype: str) -> None:
    for side in ("a", "b"):
        save(tmp_path / f"set/train/{side}/p.tif", noise(40, 40, 5, dtype=dtype))
    data = PairedData(folder=tmp_path / "set", resize="none", crop_size=(40, 40), mirror=False)
    cache = build_cache(data, "train", tmp_path / "cache")
    for images in (loader(cache, data, 1).batch(0).a, next(evaluation_pairs(cache, data))[1]):
        assert images.shape == (1, 5, 40, 40)
        levels = (images[0].permute(1, 2, 0).double() + 1) / 2 * np.iinfo(dtype).max
        np.testing.assert_array_equal(levels.round().numpy(), noise(40, 40, 5, dtype=dtype))


def test_jitter_is_brightness_then_contrast(cache: Cache, data: PairedData) -> None:
    plain, stream = loader(cache, replace(data, jitter=0)), loader(cache, data)
    for row, (before, after) in enumerate(zip(plain.batch(0).a, stream.batch(0).a, strict=True)):
        cut = stream.sampler.at(row)[0]
        assert 0.7 <= cut.brightness <= 1.3
        assert 0.7 <= cut.contrast <= 1.3
        expected = ((((before + 1) * cut.brightness) - 1) * cut.contrast).clamp(-1, 1)
        torch.testing.assert_close(after, expected, atol=1e-6, rtol=0)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_batches(cache: Cache, data: PairedData) -> None:
    for seen in (0, 4):
        here, there = loader(cache, data).batch(seen), loader(cache, data, device="cuda").batch(seen)
        torch.testing.assert_close(there.a.cpu(), here.a, atol=1e-6, rtol=0)


@pytest.mark.gpu
def test_sixteen_bits_travel_to_a_gpu(tmp_path: Path) -> None:
    save(tmp_path / "set/train/p.tif", noise(40, 40, 5, dtype="uint16"))
    data = PairedData(folder=tmp_path / "set", degrade="mosaic", resize="none", crop_size=(32, 32), jitter=0.1)
    cache = build_cache(data, "train", tmp_path / "cache")
    here, there = loader(cache, data).batch(0), loader(cache, data, device="cuda").batch(0)
    torch.testing.assert_close(there.a.cpu(), here.a, atol=1e-6, rtol=0)
    torch.testing.assert_close(there.b.cpu(), here.b, atol=1e-6, rtol=0)


def test_a_mirrored_crop_of_a_transposed_picture_is_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    views = [pixels.transpose(2, 0, 1), np.ascontiguousarray(pixels.transpose(2, 0, 1))]
    spec = Picture(pixels).spec
    crop = Crop(top=3, left=5, mirror=True)
    one, other = (signed_crops([view], [crop], (16, 16), spec, torch.device("cpu")) for view in views)
    assert torch.equal(one, other)
    assert torch.equal(one[0, 0], torch.from_numpy(pixels[3:19, 5:21, 0][:, ::-1].astype(np.float32) * (2 / 255) - 1))
