import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_sets import assert_batch_is_function_of_position, noise, save, unpaired
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganvas.content_gate import gate as content_gate
from ganvas.data.cache import Cache
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import UnpairedData
from ganvas.data.layouts import Entry, find_entries, has_split
from ganvas.data.loader import TrainLoader, evaluation_pictures
from ganvas.errors import ConfigError, DataError, PolicyRefusal


@pytest.fixture
def data(tmp_path: Path) -> UnpairedData:
    """Write three dark pictures on side a and five bright ones on side b."""
    return UnpairedData(folder=unpaired(tmp_path / "set"), resize="none", crop_size=(8, 8))


def build(data: UnpairedData, tmp_path: Path, split: str = "train") -> Cache:
    return build_cache(data, split, tmp_path / "cache")


@pytest.fixture
def cache(data: UnpairedData, tmp_path: Path) -> Cache:
    return build(data, tmp_path)


def loader(cache: Cache, data: UnpairedData, batch_size: int = 4, seed: int = 3, **more: Any) -> TrainLoader:
    return TrainLoader(cache, data, batch_size=batch_size, seed=seed, **more)


@pytest.mark.parametrize(
    "names", [("trainA", "trainB"), ("TRAINa", "Trainb"), ("train/a", "train/B"), ("Train/A", "trainB")]
)
def test_layouts(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        save(tmp_path / name / "1.png", noise(4, 4))
    files = [tmp_path / name / "1.png" for name in names]
    assert list(find_entries(UnpairedData(folder=tmp_path), "train")) == [
        Entry("1.png", f"{file.parent.name}/1.png", (side,), (file,)) for side, file in zip("ab", files, strict=True)
    ]
    assert has_split(UnpairedData(folder=tmp_path), "train")
    assert not has_split(UnpairedData(folder=tmp_path), "val")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="check the path"):
        find_entries(UnpairedData(folder=tmp_path / "nowhere"), "train")
    save(tmp_path / "trainA" / "1.png", noise(4, 4))
    with pytest.raises(DataError, match=r"needs the folders trainA and trainB.*trainB does not exist"):
        find_entries(UnpairedData(folder=tmp_path), "train")
    (tmp_path / "trainB").mkdir()
    with pytest.raises(DataError, match="trainB: contains no pictures"):
        find_entries(UnpairedData(folder=tmp_path), "train")
    save(tmp_path / "train" / "b" / "1.png", noise(4, 4))
    with pytest.raises(DataError, match=r"trainB and .*b are both side b of train; keep one"):
        find_entries(UnpairedData(folder=tmp_path), "train")


def test_the_sides_may_differ_in_number_and_kind(tmp_path: Path) -> None:
    folder = unpaired(tmp_path / "set", counts=(2, 0))
    for index in range(4):
        save(folder / "trainB" / f"{index}.tif", noise(9, 7, 5, seed=index, dtype="uint16"))
    cache = build(UnpairedData(folder=folder, resize="none", crop_size=(4, 4)), tmp_path)
    assert (len(cache.a), len(cache.b)) == (2, 4)
    assert (cache.a.names, cache.b.names[0]) == (["0.png", "1.png"], "0.tif")
    assert (cache.a.spec.channels, cache.b.spec.channels, cache.b.spec.dtype) == (3, 5, "uint16")
    np.testing.assert_array_equal(cache.b[3], noise(9, 7, 5, seed=3, dtype="uint16").transpose(2, 0, 1))
    with pytest.raises(DataError, match="one value_range"):
        build(UnpairedData(folder=folder, resize="none", crop_size=(4, 4), value_range=(0, 65535)), tmp_path)


def test_sizes_of_training_and_evaluation(tmp_path: Path) -> None:
    unpaired(tmp_path / "set")
    unpaired(tmp_path / "set", split="val")
    data = UnpairedData(folder=tmp_path / "set", load_size=(10, 11), crop_size=(8, 9))
    assert build(data, tmp_path).b[0].shape == (3, 10, 11)
    assert build(data, tmp_path, "val").b[0].shape == (3, 8, 9)
    assert build(replace(data, evaluation_size=(5, 6)), tmp_path, "val").a[0].shape == (3, 5, 6)


def test_gray_files_among_colored_ones_are_repeated(data: UnpairedData, tmp_path: Path) -> None:
    save(data.folder / "trainB" / "gray.png", noise(12, 12, 1))
    cache = build(data, tmp_path)
    assert cache.b.spec.channels == 3
    gray = cache.b[cache.b.names.index("gray.png")]
    np.testing.assert_array_equal(gray, np.repeat(noise(12, 12, 1), 3, axis=2).transpose(2, 0, 1))


def test_a_second_call_takes_what_is_there_and_a_changed_file_does_not(data: UnpairedData, tmp_path: Path) -> None:
    build(data, tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    before = (home / "b.bin").stat().st_mtime_ns
    build(data, tmp_path)
    assert (home / "b.bin").stat().st_mtime_ns == before
    save(data.folder / "trainA" / "0.png", noise(12, 12, seed=77))
    np.testing.assert_array_equal(build(data, tmp_path).a[0], noise(12, 12, seed=77).transpose(2, 0, 1))


def test_files_that_cannot_be_used_are_named_with_their_side(data: UnpairedData, tmp_path: Path) -> None:
    (data.folder / "trainB" / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 8 pictures cannot be used:\n  trainB/2.png: "):
        build(data, tmp_path)
    assert not any((tmp_path / "cache").iterdir())


def gate(monkeypatch: pytest.MonkeyPatch, refused: list[np.ndarray]) -> None:
    monkeypatch.setattr(
        content_gate,
        "load_scorer",
        lambda: lambda rgb: 0.9 if any(np.array_equal(rgb, bad) for bad in refused) else 0.1,
    )
    content_gate.forget_scorer()


def test_refusals_are_counted_over_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of eight is more than 5 % of its side, but less than 5 % of all forty."""
    data = UnpairedData(folder=unpaired(tmp_path / "set", counts=(8, 32)), resize="none", crop_size=(8, 8))
    bad = noise(12, 12, seed=0) // 4
    gate(monkeypatch, [bad])
    for _ in range(2):
        cache = build(data, tmp_path)
        assert (len(cache.a), len(cache.b)) == (7, 32)
        assert [refusal.name for refusal in cache.refusals] == ["trainA/0.png"]
    gate(monkeypatch, [bad, *(noise(12, 12, seed=seed + 128) // 4 + 128 for seed in (0, 1))])
    save(data.folder / "trainB" / "more.png", noise(12, 12, seed=9))
    with pytest.raises(PolicyRefusal, match="3 of 41 pictures"):
        build(data, tmp_path)


def test_a_side_that_the_gate_leaves_empty_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = UnpairedData(folder=unpaired(tmp_path / "set", counts=(1, 32)), resize="none", crop_size=(8, 8))
    gate(monkeypatch, [noise(12, 12, seed=0) // 4])
    with pytest.raises(DataError, match="side a: the content gate refused every picture"):
        build(data, tmp_path)


def test_a_batch_has_a_of_one_side_and_b_of_the_other(cache: Cache, data: UnpairedData) -> None:
    batch = loader(cache, data).batch(0)
    for images in (batch.a, batch.b):
        assert images.shape == (4, 3, 8, 8)
        assert images.dtype == torch.float32
    assert batch.a.max() < 0 <= batch.b.min()


def test_each_side_goes_through_all_its_pictures_before_one_comes_again(cache: Cache, data: UnpairedData) -> None:
    stream = loader(cache, data)
    assert stream.epoch_size == 5
    cuts = [stream.sampler.at(position) for position in range(60)]
    for side, count in ((0, 3), (1, 5)):
        for start in range(0, 60, count):
            assert sorted(cut[side].index for cut in cuts[start : start + count]) == list(range(count))


def test_the_sides_are_drawn_independently(tmp_path: Path) -> None:
    """Both sides have equal sizes, but each a meets many b, with independent crops and mirroring."""
    data = UnpairedData(folder=unpaired(tmp_path / "set", counts=(4, 4)), resize="none", crop_size=(8, 8))
    stream = loader(build(data, tmp_path), data)
    cuts = [stream.sampler.at(position) for position in range(400)]
    assert len({(a.index, b.index) for a, b in cuts}) == 16
    for name in ("top", "left", "mirror"):
        values = np.array([[getattr(a, name), getattr(b, name)] for a, b in cuts], dtype=float)
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.15
    assert {(a.top, a.left) for a, _ in cuts} == {(top, left) for top in range(5) for left in range(5)}


@given(st.integers(0, 200), st.integers(1, 7), st.integers(0, 2**64 - 1))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_is_a_function_of_what_was_seen(
    cache: Cache, data: UnpairedData, seen: int, batch_size: int, seed: int
) -> None:
    assert_batch_is_function_of_position(lambda size: loader(cache, data, size, seed), seen, batch_size)


def test_the_ranks_together_are_one_process(cache: Cache, data: UnpairedData) -> None:
    whole = loader(cache, data, 8).batch(24)
    shares = [loader(cache, data, 8, rank=rank, world=4).batch(24) for rank in range(4)]
    assert torch.equal(torch.cat([share.a for share in shares]), whole.a)
    assert torch.equal(torch.cat([share.b for share in shares]), whole.b)
    with pytest.raises(ConfigError, match="3 processes"):
        loader(cache, data, 4, world=3)


def test_mirroring_can_be_turned_off(cache: Cache, data: UnpairedData) -> None:
    stream = loader(cache, replace(data, mirror=False))
    assert not any(cut.mirror for position in range(50) for cut in stream.sampler.at(position))


def test_pictures_smaller_than_the_crop_are_named(data: UnpairedData, tmp_path: Path) -> None:
    save(data.folder / "trainB" / "small.png", noise(7, 12))
    with pytest.raises(DataError, match=r"1 pictures are smaller than the crop of 8x8.*small.png \(12x7\)"):
        loader(build(data, tmp_path), data)


def test_evaluation_shows_whole_pictures_in_order(cache: Cache) -> None:
    shown = list(evaluation_pictures(cache.b, every=2))
    assert [name for name, _ in shown] == ["0.png", "2.png", "4.png"]
    levels = (shown[1][1][0].double() + 1) * 127.5
    np.testing.assert_array_equal(levels.round().numpy(), cache.b[2])


CODE = """
import hashlib
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import UnpairedData
from ganvas.data.loader import TrainLoader
def last_batch(root, steps):
    data = UnpairedData(folder=root / "set", resize="none", crop_size=(8, 8))
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
    unpaired(tmp_path / "set")
    here: dict[str, Any] = {}
    exec(CODE, here)
    through = here["last_batch"](tmp_path, range(0, 45, 3))
    resumed = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert len(through) == 64
    assert resumed.strip() == through


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:.*colors were converted from the file's profile")
def test_horse2zebra_has_gray_files_and_sides_of_its_own(real_data: Path, tmp_path: Path) -> None:
    data = UnpairedData(folder=real_data / "horse2zebra")
    cache = build(data, tmp_path, "test")
    assert (len(cache.a), len(cache.b)) == (120, 140)
    assert cache.a.spec.channels == cache.b.spec.channels == 3
    assert cache.a[0].shape == (3, 256, 256)
