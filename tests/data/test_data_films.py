"""Films as training data: selected frames, scenes, splits, windows, and refusals."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import noise, save
from film_maker import make_film, pixels

from ganvas.content_gate import gate as content_gate
from ganvas.data import films as films_module
from ganvas.data.cache import Cache, agree_across_splits
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData, UnpairedData
from ganvas.data.films import has_pictures, is_repeat
from ganvas.data.layouts import Split
from ganvas.data.loader import TrainLoader, evaluation_pairs
from ganvas.data.scenes import is_cut, sketch, windows
from ganvas.data.splits import EmptySplitWarning, fingerprint
from ganvas.errors import DataError, PolicyRefusal
from ganvas.image.cover import bicubic_resize
from ganvas.image.files import write_image
from ganvas.image.picture import Picture, Pixels
from ganvas.video import read_video, write_video

pytest.importorskip("av")
HEIGHT, WIDTH = 24, 32
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def scene(seed: int, count: int, *, moving: bool = True) -> list[Pixels]:
    """Return frames of one scene: a coarse pattern that moves by one pixel per frame."""
    colors = np.random.default_rng(seed).integers(0, 256, (4, 8, 3)).astype(np.uint8)
    wide = bicubic_resize(colors, HEIGHT, WIDTH + count)
    return [wide[:, number * moving : number * moving + WIDTH] for number in range(count)]


def film(path: Path, scenes: Sequence[Sequence[Pixels]], rate: int = 8) -> Path:
    """Write a lossless film."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [Picture(np.ascontiguousarray(frame)) for frames in scenes for frame in frames], rate=rate)
    return path


def settings(folder: Path, **changes: Any) -> PairedData:
    values: dict[str, Any] = {"degrade": "mosaic", "strength": (4, 4), "resize": "none", "crop_size": (8, 8)}
    return PairedData(folder=folder, layout="single", **(values | changes))


def build(config: PairedData | UnpairedData, tmp_path: Path, split: Split = "train", num_frames: int = 1) -> Cache:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptySplitWarning)
        return build_cache(config, split, tmp_path / "cache", num_frames=num_frames)


def test_frames_are_those_of_the_film_one_in_so_many(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [scene(0, 9)])
    cache = build(settings(path, frame_step=4), tmp_path)
    assert cache.b.names == ["film-000000", "film-000004", "film-000008"]
    read = [frame.picture.color.transpose(2, 0, 1) for frame in read_video(path)]
    for place, index in enumerate((0, 4, 8)):
        np.testing.assert_array_equal(cache.b[place], read[index])
    assert build(settings(path), tmp_path).b.names == cache.b.names, "two a second of eight"


def test_repeated_frames_are_left_out(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [scene(0, 5, moving=False), scene(1, 2)])
    assert build(settings(path, frame_step=1), tmp_path).b.names == ["film-000000", "film-000005", "film-000006"]


def test_scenes_never_share_a_split(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [scene(seed, 4) for seed in range(12)])
    config = settings(path, frame_step=1)
    split_of = {int(name[-6:]): split for split in SPLITS for name in build(config, tmp_path, split).b.names}
    assert sorted(split_of) == list(range(48)), "every frame is in one split"
    assert {*split_of.values()} == {*SPLITS}
    for start in range(0, 48, 4):
        assert len({split_of[frame] for frame in range(start, start + 4)}) == 1
    moved = film(tmp_path / "renamed.mkv", [scene(seed, 4) for seed in range(12)])
    again = build(settings(moved, frame_step=1), tmp_path, "val").b.names
    assert [int(name[-6:]) for name in again] == [frame for frame, split in split_of.items() if split == "val"]


def test_scenes_that_come_back_stay_together(tmp_path: Path) -> None:
    talk = [scene(seed, 3, moving=False) for seed in (0, 1, 0, 1, *range(2, 14), 0)]
    path = film(tmp_path / "film.mkv", talk)
    config = settings(path, frame_step=1)
    names = {split: build(config, tmp_path, split).b.names for split in SPLITS}
    for same in ((0, 6, 48), (3, 9)):
        assert len({split for split in SPLITS for frame in same if f"film-{frame:06d}" in names[split]}) == 1


def test_one_scene_has_no_validation_and_says_so(tmp_path: Path) -> None:
    config = settings(film(tmp_path / "film.mkv", [scene(0, 8)]))
    with pytest.warns(EmptySplitWarning, match="too few or too similar"):
        build_cache(config, "train", tmp_path / "cache")
    assert not has_pictures(config, "val")
    with pytest.raises(DataError, match="too few or too similar for val"):
        build_cache(config, "val", tmp_path / "cache")


def test_films_among_pictures_and_folders_of_splits(tmp_path: Path) -> None:
    film(tmp_path / "set" / "train" / "b.mkv", [scene(0, 8)])
    save(tmp_path / "set" / "train" / "a.png", noise(HEIGHT, WIDTH, 1))
    save(tmp_path / "set" / "val" / "a.png", noise(HEIGHT, WIDTH))
    config = settings(tmp_path / "set", frame_step=4)
    assert build(config, tmp_path).b.names == ["a", "b-000000", "b-000004"]
    assert build(config, tmp_path, "val").b.names == ["a"]
    flat = tmp_path / "flat"
    film(flat / "b.mkv", [scene(seed, 3) for seed in range(8)])
    for index in range(4):
        save(flat / f"p{index}.png", noise(HEIGHT, WIDTH, seed=index))
    names = [name for split in SPLITS for name in build(settings(flat, frame_step=3), tmp_path, split).b.names]
    assert sorted(names) == [*(f"b-{frame:06d}" for frame in range(0, 24, 3)), "p0", "p1", "p2", "p3"]


def test_unpaired_sides_take_films(tmp_path: Path) -> None:
    film(tmp_path / "trainA" / "a.mkv", [scene(0, 8)])
    save(tmp_path / "trainB" / "b.png", noise(HEIGHT, WIDTH))
    cache = build(UnpairedData(folder=tmp_path, resize="none", crop_size=(8, 8), frame_step=4), tmp_path)
    assert (cache.a.names, cache.b.names) == (["a.mkv-000000", "a.mkv-000004"], ["b.png"])


def test_a_film_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(film(tmp_path / "film.mkv", [scene(0, 8)]))
    cache = build(config, tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(films_module, "read_video", fail)
    monkeypatch.setattr(films_module, "probe", fail)
    monkeypatch.setattr("ganvas.data.cache_writer._is_still_admitted", lambda *_: True)
    assert build(config, tmp_path).b.names == cache.b.names


def test_frames_pass_the_gate_and_refusals_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    film(tmp_path / "set" / "train" / "film.mkv", [scene(0, 20), [white], scene(1, 20)])
    config = settings(tmp_path / "set", frame_step=1)
    monkeypatch.setattr(content_gate, "load_scorer", lambda: lambda rgb: float(rgb.mean() > 250))
    content_gate.forget_scorer()
    cache = build(config, tmp_path)
    assert [refusal.name for refusal in cache.refusals] == ["film.mkv, frame 20, 2.50 s"]
    assert cache.b.names == [f"film-{frame:06d}" for frame in range(41) if frame != 20]
    monkeypatch.setattr(content_gate, "load_scorer", lambda: lambda rgb: 1.0)
    content_gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"film\.mkv, frame 0, 0\.00 s"):
        build(config, tmp_path)


def test_damaged_films_are_named_together(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        (tmp_path / name).write_bytes(b"no film")
    film(tmp_path / "three.mkv", [scene(0, 4)])
    with pytest.raises(DataError, match=r"2 of 3 films cannot be used: .*one\.mp4.*two\.mp4"):
        build(settings(tmp_path), tmp_path)


def hdr_film(path: Path, transfer: int) -> Path:
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    return make_film(path, frames=6, codec="ffv1", pixel_format="yuv420p10le", tags=tags)


def test_the_transfer_function_of_hdr_films_is_recorded(tmp_path: Path) -> None:
    for name, transfer, expected in (("pq", 16, "pq"), ("hlg", 18, "hlg"), ("plain", 1, None)):
        for split in ("train", "val"):
            (tmp_path / name / split).mkdir(parents=True)
            hdr_film(tmp_path / name / split / "film.mkv", transfer)
        for _ in ("built", "opened again"):
            made = build(settings(tmp_path / name), tmp_path)
            assert (made.b.spec.dtype, made.b.spec.transfer) == ("uint16", expected)
        again = build(settings(tmp_path / name), tmp_path, "val")
        agree_across_splits({"train": made, "val": again})
    write_image(tmp_path / "pq" / "train" / "picture.png", Picture(pixels(0)))
    with pytest.raises(DataError, match=r"picture.* is in standard range; train on pictures of one transfer"):
        build(settings(tmp_path / "pq"), tmp_path)
    hdr_film(tmp_path / "hlg" / "train" / "other.mkv", 16)
    with pytest.raises(DataError, match=r"film\.mkv is in high dynamic range \(HLG\), other\.mkv is .* \(PQ\)"):
        build(settings(tmp_path / "hlg"), tmp_path)
    shutil.rmtree(tmp_path / "plain" / "train")
    (tmp_path / "pq" / "train" / "picture.png").unlink()
    (tmp_path / "pq" / "train").rename(tmp_path / "plain" / "train")
    with pytest.raises(DataError, match=r"train is uint16 with 3 channels, in high dynamic range .*val is uint16"):
        agree_across_splits({split: build(settings(tmp_path / "plain"), tmp_path, split) for split in SPLITS[:2]})


def test_films_need_a_degradation(tmp_path: Path) -> None:
    path = film(tmp_path / "train" / "film.mkv", [scene(0, 4)])
    for folder in (path, tmp_path):
        with pytest.raises(DataError, match="--layout single"):
            build(PairedData(folder=folder), tmp_path)


def test_a_cut_changes_colors_and_layout() -> None:
    first, last, other = (Picture(frames[-1]) for frames in (scene(0, 1), scene(0, 6), scene(1, 1)))
    assert not is_cut(sketch(first), sketch(last))
    assert is_cut(sketch(first), sketch(other))
    brighter = Picture(np.minimum(first.pixels, 195) + np.uint8(60))
    assert not is_cut(sketch(first), sketch(brighter)), "a flash of light"
    assert is_repeat(fingerprint(first), fingerprint(first))
    assert not is_repeat(fingerprint(first), fingerprint(other))


@pytest.mark.parametrize("count", [3, 5])
def test_windows_repeat_the_nearest_frame_at_ends_and_cuts(tmp_path: Path, count: int) -> None:
    path = film(tmp_path / "film.mkv", [scene(0, 4), scene(1, 1), scene(2, 3)])
    read = [frame.picture.pixels for frame in read_video(path)]
    first_of, last_of = [0] * 4 + [4] + [5] * 3, [3] * 4 + [4] + [7] * 3
    found = [*windows(read_video(path), count)]
    assert [frame.index for frame, _ in found] == [*range(8)]
    for index, (_, window) in enumerate(found):
        near = range(index - count // 2, index + count // 2 + 1)
        for picture, place in zip(window, near, strict=True):
            np.testing.assert_array_equal(picture.pixels, read[min(max(place, first_of[index]), last_of[index])])


def test_windows_lie_around_the_target_with_the_same_crop_and_flip(tmp_path: Path) -> None:
    path = film(tmp_path / "set" / "train" / "film.mkv", [scene(0, 7)])
    save(tmp_path / "set" / "train" / "still.png", noise(HEIGHT, WIDTH, 1))
    config = settings(tmp_path / "set", degrade="identity", strength=(1, 1), frame_step=3)
    cache = build(config, tmp_path, num_frames=3)
    assert (cache.b.names, cache.b.spec.channels) == (["film-000000", "film-000003", "film-000006", "still"], 3)
    read = [frame.picture.color.transpose(2, 0, 1) for frame in read_video(path)]
    np.testing.assert_array_equal(cache.b[1], np.concatenate([read[2], read[3], read[4]]))
    np.testing.assert_array_equal(cache.b[0][:6], np.concatenate([read[0], read[0]]))
    np.testing.assert_array_equal(cache.b[3], np.repeat(noise(HEIGHT, WIDTH, 1)[None, :, :, 0], 9, axis=0))
    plain = TrainLoader(build(config, tmp_path), config, batch_size=4, seed=0).batch(0)
    batch = TrainLoader(cache, config, batch_size=4, seed=0).batch(0)
    np.testing.assert_array_equal(batch.b, plain.b)
    np.testing.assert_array_equal(batch.a[:, 3:6], plain.a)
    assert batch.a.shape == (4, 9, 8, 8)
    assert bool((batch.a[:, :3] != batch.a[:, 6:]).any())


@pytest.mark.parametrize("degrade", ["mosaic", "downscale", "blur", "reduce", "wear"])
def test_each_frame_of_a_window_is_degraded_by_itself(tmp_path: Path, degrade: Any) -> None:
    path = film(tmp_path / "train" / "film.mkv", [scene(0, 3)])
    config = settings(path.parent.parent, degrade=degrade, frame_step=1)
    ((_, a, b), *_) = evaluation_pairs(build(config, tmp_path, num_frames=3), config)
    ((_, alone, target), *_) = evaluation_pairs(build(config, tmp_path), config)
    np.testing.assert_array_equal(b, target)
    if degrade == "wear":  # each frame has its own noise
        assert bool((a[:, :3] != a[:, 3:6]).any()), "the first frame of a film is its own neighbor"
    else:
        np.testing.assert_array_equal(a[:, 3:6], alone)
        np.testing.assert_array_equal(a[:, :3], alone)
