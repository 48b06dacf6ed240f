from __future__ import annotations

import errno
import json
import multiprocessing
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from data_sets import folders, noise, photographs, save, side_by_side
from PIL import Image

from ganvas.content_gate import gate as content_gate
from ganvas.data import cache as side_module
from ganvas.data import decode
from ganvas.data.cache import Cache, agree_across_sides, agree_across_splits
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData, UnpairedData
from ganvas.data.decode import OpacityWarning
from ganvas.data.layouts import Entry, Split
from ganvas.data.loader import TrainLoader, evaluation_pairs
from ganvas.errors import Cancelled, DataError, InputError, PolicyRefusal
from ganvas.image.files import PictureWarning
from ganvas.image.picture import Picture, PictureSpec, Pixels
from ganvas.progress import Progress

ALL_OF_IT: dict[str, Any] = {"resize": "none", "crop_size": (4, 4)}


def build(config: PairedData, tmp_path: Path, split: str = "train") -> Cache:
    return build_cache(config, split, tmp_path / "cache")


def pair(cache: Cache, index: int) -> tuple[Pixels, Pixels]:
    """Return a and b, (H, W, C)."""
    return cache.a[index].transpose(1, 2, 0), cache.b[index].transpose(1, 2, 0)


def gate(monkeypatch: pytest.MonkeyPatch, refuse: Any) -> None:
    """Refuse the (H, W, 3) pictures for which the function returns True."""
    monkeypatch.setattr(content_gate, "load_scorer", lambda: lambda rgb: float(refuse(rgb)))
    content_gate.forget_scorer()


def test_pixels_come_out_as_they_are_in_the_files(tmp_path: Path) -> None:
    cache = build(PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT), tmp_path)
    assert (len(cache), cache.a.names, cache.degraded) == (5, ["p0", "p1", "p2", "p3", "p4"], False)
    for index in range(5):
        given, made = pair(cache, index)
        np.testing.assert_array_equal(given, noise(12, 10, seed=index))
        np.testing.assert_array_equal(made, given[::-1])
    assert cache.a.sizes.tolist() == [[12, 10]] * 5


def test_the_direction_turns_the_pair(tmp_path: Path) -> None:
    config = PairedData(folder=side_by_side(tmp_path / "set"), **ALL_OF_IT)
    dark, bright = pair(build(config, tmp_path), 0)
    assert dark.max() < 64 < 128 <= bright.min()
    given, made = pair(build(replace(config, direction="b_to_a"), tmp_path), 0)
    np.testing.assert_array_equal(given, bright)
    np.testing.assert_array_equal(made, dark)
    assert len(list((tmp_path / "cache").iterdir())) == 1  # both directions share the files


def test_views_cannot_be_written(tmp_path: Path) -> None:
    given, _ = pair(build(PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT), tmp_path), 0)
    with pytest.raises(ValueError, match="read-only"):
        given[0] = 0


@pytest.mark.parametrize(
    ("settings", "split", "size"),
    [
        ({"load_size": (14, 16), "crop_size": (8, 9)}, "train", (14, 16)),
        ({"load_size": (14, 16), "crop_size": (8, 9)}, "val", (8, 9)),
        ({"load_size": (14, 16), "crop_size": (8, 9), "evaluation_size": (10, 11)}, "val", (10, 11)),
        ({"load_size": (10, 90), "crop_size": (8, 9), "resize": "shorter_side"}, "train", (10, 12)),
        ({"load_size": (10, 90), "crop_size": (8, 9), "resize": "shorter_side"}, "val", (10, 12)),
        ({"resize": "none"}, "train", (20, 24)),
        ({"resize": "none"}, "val", (20, 24)),
    ],
)
def test_pictures_are_cached_at_their_size(
    tmp_path: Path, settings: dict[str, Any], split: str, size: tuple[int, int]
) -> None:
    config = PairedData(folder=photographs(tmp_path / "set", split=split), degrade="gray", **settings)
    cache = build(config, tmp_path, split)
    assert cache.degraded
    assert pair(cache, 0)[0].shape == (*size, 3)


def test_resizing_is_pillows_bicubic(tmp_path: Path) -> None:
    config = PairedData(folder=photographs(tmp_path / "set"), degrade="gray", load_size=(13, 11), crop_size=(8, 8))
    expected = Image.fromarray(noise(20, 24, seed=1)).resize((11, 13), Image.Resampling.BICUBIC)
    resized = pair(build(config, tmp_path), 1)[1].astype(int)
    assert np.abs(resized - np.asarray(expected).astype(int)).max() <= 1


def test_five_channels_of_sixteen_bits_come_back(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / f"set/train/a/p{index}.tif", noise(9, 8, 5, seed=index, dtype="uint16"))
        save(tmp_path / f"set/train/b/p{index}.png", noise(9, 8, 1, seed=index))
    cache = build(PairedData(folder=tmp_path / "set", **ALL_OF_IT), tmp_path)
    assert cache.a.spec == PictureSpec(dtype="uint16", channels=5, value_range=(0.0, 65535.0))
    assert cache.b.spec == PictureSpec(dtype="uint8", channels=1)
    np.testing.assert_array_equal(pair(cache, 1)[0], noise(9, 8, 5, seed=1, dtype="uint16"))
    np.testing.assert_array_equal(pair(cache, 1)[1], noise(9, 8, 1, seed=1))
    with pytest.raises(DataError, match="one value_range"):
        build(PairedData(folder=tmp_path / "set", value_range=(0, 65535), **ALL_OF_IT), tmp_path)


def test_overshoot_stays_within_the_value_range(tmp_path: Path) -> None:
    for side in ("a", "b"):
        save(tmp_path / f"set/train/{side}/p.tif", noise(30, 30, 2, dtype="uint16") % 2 * 4095)
    config = PairedData(folder=tmp_path / "set", value_range=(0, 4095), load_size=(47, 47), crop_size=(8, 8))
    cache = build(config, tmp_path)
    assert pair(cache, 0)[0].max() == 4095
    assert cache.a.spec.value_range == (0, 4095)
    with pytest.raises(DataError, match=r"values from 0 to 4095 leave \[0, 4000\].*value_range"):
        build(replace(config, value_range=(0, 4000)), tmp_path)


@pytest.mark.parametrize(("dtype", "high"), [("uint8", 200), ("uint16", 4095), ("float32", 1)])
def test_a_value_range_keeps_the_type_of_the_samples(tmp_path: Path, dtype: str, high: int) -> None:
    for side in ("a", "b"):
        (tmp_path / "set/train" / side).mkdir(parents=True)
        np.save(tmp_path / f"set/train/{side}/p.npy", (noise(30, 30, 2) % 2).astype(dtype) * np.array(high, dtype))
    for value_range in ((0.0, float(high)), (-0.5, high + 0.5)):  # the command line gives floats
        config = PairedData(folder=tmp_path / "set", value_range=value_range, load_size=(47, 47), crop_size=(8, 8))
        cache = build(config, tmp_path)
        assert (cache.a.spec.dtype, pair(cache, 0)[0].dtype) == (dtype, np.dtype(dtype))
        assert value_range[0] <= pair(cache, 0)[0].min() < pair(cache, 0)[0].max() <= value_range[1]


@pytest.mark.parametrize("bad", [np.nan, 1.5, -0.1])
def test_floats_beyond_their_range_are_told(tmp_path: Path, bad: float) -> None:
    pixels = np.full((6, 6, 1), 0.5, np.float32)
    np.save(tmp_path / "good.npy", pixels)
    pixels[2, 3] = bad
    for side in ("a", "b"):
        (tmp_path / "set/train" / side).mkdir(parents=True)
        np.save(tmp_path / f"set/train/{side}/p.npy", pixels)
    with pytest.raises((DataError, PolicyRefusal), match=r"value_range|not finite|NaN"):
        build(PairedData(folder=tmp_path / "set", **ALL_OF_IT), tmp_path)


def test_gray_files_among_colored_ones_are_repeated(tmp_path: Path) -> None:
    photographs(tmp_path / "set")
    save(tmp_path / "set/train/gray.png", noise(20, 24, 1))
    save(tmp_path / "set/train/alpha.png", noise(20, 24, 4))
    with pytest.warns(OpacityWarning, match="opacity was dropped from 1 picture of train; if that channel is data"):
        cache = build(PairedData(folder=tmp_path / "set", degrade="blur", **ALL_OF_IT), tmp_path)
    assert cache.b.spec.channels == 3
    gray = pair(cache, cache.a.names.index("gray"))[1]
    assert gray.shape == (20, 24, 3)
    np.testing.assert_array_equal(gray, np.repeat(noise(20, 24, 1), 3, axis=2))
    np.testing.assert_array_equal(pair(cache, cache.a.names.index("alpha"))[1], noise(20, 24, 4)[:, :, :3])


def test_a_fourth_channel_that_a_file_calls_opacity_is_told_of(tmp_path: Path) -> None:
    pixels = {index: noise(9, 16, 4, seed=index) for index in range(3)}
    (tmp_path / "set/train").mkdir(parents=True)
    for index, own in pixels.items():
        tifffile.imwrite(tmp_path / f"set/train/p{index}.tif", own)
    config = PairedData(folder=tmp_path / "set", layout="side_by_side", **ALL_OF_IT)
    with pytest.warns(OpacityWarning, match="from 3 pictures of train.*planarconfig='contig'") as told:
        assert build(config, tmp_path).a.spec.channels == 3
    assert len(told) == 1
    build(config, tmp_path)  # read from the cache, without warnings
    for index, own in pixels.items():  # as the warning said
        tifffile.imwrite(tmp_path / f"set/train/p{index}.tif", own, photometric="minisblack", planarconfig="contig")
    cache = build(config, tmp_path)
    np.testing.assert_array_equal(np.concatenate(pair(cache, 1), axis=1), pixels[1])


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    photographs(tmp_path / "set")
    for index in range(12):
        save(tmp_path / f"set/train/odd{index:02}.tif", noise(20, 24, 5, dtype="uint16"))
    photographs(tmp_path / "set", count=20)
    with pytest.raises(DataError, match=r"uint8 with 3 channels, but 12 are not.*odd00 \(uint16, 5.* and 2 more"):
        build(PairedData(folder=tmp_path / "set", degrade="blur", **ALL_OF_IT), tmp_path)


def test_pairs_that_cannot_be_used_are_named_together(tmp_path: Path) -> None:
    folders(tmp_path / "set", count=6)
    save(tmp_path / "set/train/b/p2.png", noise(5, 5))
    (tmp_path / "set/train/b/p4.png").write_bytes(b"no picture")
    told = r"2 of 6 pairs cannot be used:\n  p2: the sides differ.*10x12 and 5x5.*\n  p4: "
    with pytest.raises(DataError, match=told):
        build(PairedData(folder=tmp_path / "set", **ALL_OF_IT), tmp_path)
    assert not any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("degrade", ["reduce", "means", "wear", "second_order"])
def test_pictures_smaller_than_the_factor_are_named_even_if_they_are_cached(tmp_path: Path, degrade: Any) -> None:
    photographs(tmp_path / "set", split="val")
    config = PairedData(folder=tmp_path / "set", degrade="gray", strength=(4, 4), **ALL_OF_IT)
    reducing = replace(config, degrade=degrade)
    assert len(list(evaluation_pairs(build(reducing, tmp_path, "val"), reducing))) == 4
    save(tmp_path / "set/val/small.png", noise(3, 40))
    build(config, tmp_path, "val")
    for _ in range(2):
        with pytest.raises(
            DataError, match=rf"1 pictures are smaller than the factor 4 of {degrade}; .*small \(40x3\)"
        ):
            build(reducing, tmp_path, "val")


def test_an_odd_width_has_no_halves(tmp_path: Path) -> None:
    photographs(tmp_path / "set", width=25)
    with pytest.raises(DataError, match="even width"):
        build(PairedData(folder=tmp_path / "set", layout="side_by_side", **ALL_OF_IT), tmp_path)


def test_a_second_call_reads_no_pixels_but_the_first_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    read: list[str] = []
    original = decode.read_sides
    monkeypatch.setattr(decode, "read_sides", lambda entry: read.append(entry.name) or original(entry))
    assert len(build(config, tmp_path)) == 5
    assert read == ["p0"]


def test_a_changed_file_or_setting_makes_another_cache(tmp_path: Path) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    save(tmp_path / "set/train/b/p0.png", noise(12, 10, seed=99))
    np.testing.assert_array_equal(pair(build(config, tmp_path), 0)[1], noise(12, 10, seed=99))
    build(replace(config, resize="stretch", load_size=(24, 20), crop_size=(8, 8)), tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize(("size", "told"), [((12, 16), False), ((13, 16), True), ((12, 17), True)])
def test_pictures_that_are_enlarged_much_are_told(tmp_path: Path, size: tuple[int, int], *, told: bool) -> None:
    save(tmp_path / "set/train/p.png", noise(3, 4))
    config = PairedData(folder=tmp_path / "set", degrade="gray", load_size=size, crop_size=(8, 8))
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        build(config, tmp_path)
    remark = "train: enlarged more than 4 times; for small pictures set a smaller --load-size"
    assert any(str(one.message).startswith(remark) for one in issued) == told


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def wild(shape: tuple[int, int, int]) -> Callable[[Path], object]:
    """Shapes that ganvas never writes, with a valid checksum."""

    def damage(home: Path) -> None:
        shapes = np.array([shape] * 5, "<i4").tobytes()
        (home / "a.shapes").write_bytes(shapes)
        checks = json.loads((home / "checks.json").read_text()) | {"a.shapes": zlib.crc32(shapes)}
        (home / "checks.json").write_text(json.dumps(checks))

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "index": lambda home: (home / "index.json").write_text("{"),
    "deep index": lambda home: (home / "index.json").write_text("[" * 100_000),
    "a name": lambda home: flip(home / "index.json", (home / "index.json").read_bytes().index(b"p3") + 1),
    "short": lambda home: (home / "a.bin").write_bytes(b"12"),
    "long": lambda home: (home / "a.bin").write_bytes((home / "a.bin").read_bytes() + b"1"),
    "gone": lambda home: (home / "b.bin").unlink(),
    "shapes": lambda home: flip(home / "a.shapes", 5),
    "checksums": lambda home: flip(home / "b.sums", 1),
    "no checks": lambda home: (home / "checks.json").unlink(),
    "large shapes": wild((2**31 - 1, 2**31 - 1, 2**31 - 1)),
    "overflowing shapes": wild((2**30, 2**30, 16)),
    "negative shapes": wild((-3, 12, 10)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(tmp_path: Path, damage: str) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    before = (home / "a.shapes").read_bytes()
    DAMAGES[damage](home)
    np.testing.assert_array_equal(pair(build(config, tmp_path), 4)[0], noise(12, 10, seed=4))
    assert (home / "a.shapes").read_bytes() == before


def test_shapes_that_fill_the_file_in_another_way_are_never_read(tmp_path: Path) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    wild((10, 3, 12))(home)
    with pytest.raises(DataError, match="damaged"):
        pair(build(config, tmp_path), 4)
    np.testing.assert_array_equal(pair(build(config, tmp_path), 4)[0], noise(12, 10, seed=4))


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_flipped_bit_of_a_cached_picture_is_never_read(tmp_path: Path, side: str) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    flip(home / f"{side}.bin", 3 * 12 * 10 * 3 + 7)  # in the fourth picture
    cache = build(config, tmp_path)
    for index in (0, 1, 2, 4):
        np.testing.assert_array_equal(pair(cache, index)[0], noise(12, 10, seed=index))
    with pytest.raises(DataError, match=r"cached picture p3 is damaged.*run the command again to rebuild the cache"):
        pair(cache, 3)
    np.testing.assert_array_equal(pair(build(config, tmp_path), 3)[0], noise(12, 10, seed=3))


def test_a_picture_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = build(PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT), tmp_path)
    checked: list[int] = []
    original = side_module.checksum
    monkeypatch.setattr(side_module, "checksum", lambda planes: checked.append(1) or original(planes))
    for _ in range(3):
        assert pair(cache, 2)[0].shape == pair(cache, 2)[1].shape
    assert len(checked) == 2  # both sides


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    class Interrupt(Progress):
        def __call__(self, task: str, done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

    class Cancel(Progress):
        def __call__(self, task: str, done: int, total: int) -> None:
            self.cancel()

    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    with pytest.raises(KeyboardInterrupt):
        build_cache(config, "train", tmp_path / "cache", progress=Interrupt())
    with pytest.raises(Cancelled) as caught:  # its traceback would keep the threads alive
        build_cache(config, "train", tmp_path / "cache", progress=Cancel())
    assert not any((tmp_path / "cache").iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ganvas-decode")], caught


def test_the_folder_of_a_killed_build_is_removed_by_the_next(tmp_path: Path) -> None:
    seen = set[Path]()

    class Seen(Progress):
        def __call__(self, task: str, done: int, total: int) -> None:
            seen.update((tmp_path / "cache").iterdir())

    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build_cache(config, "train", tmp_path / "cache", progress=Seen())
    (left,) = seen
    left.mkdir()  # as if its process had been killed
    (left / "a.bin").write_bytes(b"half")
    build(replace(config, resize="stretch", load_size=(24, 20), crop_size=(8, 8)), tmp_path)
    assert not left.exists()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_cache_has_ordinary_permissions_since_users_may_share_it(tmp_path: Path) -> None:
    (tmp_path / "ordinary").mkdir()
    build(PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT), tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    assert home.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def forbid(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Forbid a method of all paths, as for files of another user; root, who may run the tests, is forbidden nothing."""

    def forbidden(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, method, forbidden)


def test_a_cache_that_cannot_be_replaced_is_an_error_before_a_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    (home / "checks.json").write_text("{")
    forbid(monkeypatch, "rename")
    monkeypatch.setattr(decode, "read_sides", None)
    with pytest.raises(InputError, match=f"{home}: Permission denied.*set GANVAS_CACHE to a folder of your own"):
        build(config, tmp_path)
    assert list((tmp_path / "cache").iterdir()) == [home]


def test_a_damaged_picture_in_the_cache_of_another_user_is_an_error_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(config := PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT), tmp_path)
    (home,) = (tmp_path / "cache").iterdir()
    flip(home / "a.bin", 7)
    forbid(monkeypatch, "unlink")
    with pytest.raises(InputError, match="set GANVAS_CACHE"):
        pair(build(config, tmp_path), 0)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    class Told(Progress):
        def __call__(self, task: str, done: int, total: int) -> None:
            told.append((task, done, total))

    config = PairedData(folder=folders(tmp_path / "set", count=3), **ALL_OF_IT)
    build_cache(config, "train", tmp_path / "cache", progress=Told())
    assert told == [("read train", 1, 3), ("read train", 2, 3), ("read train", 3, 3)]


def test_refused_pairs_are_left_out_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path / "set", count=40, height=6, width=6)
    config = PairedData(folder=tmp_path / "set", **ALL_OF_IT)
    bad = noise(6, 6, seed=7)[::-1]  # only on the degraded side
    gate(monkeypatch, lambda rgb: 0.9 if np.array_equal(rgb, bad) else 0.1)
    for _ in range(2):  # built, then read again
        cache = build(config, tmp_path)
        assert len(cache) == 39
        assert "p7" not in cache.a.names
        assert [(refusal.name, refusal.score) for refusal in cache.refusals] == [("p7", 0.9)]
    (home,) = (tmp_path / "cache").iterdir()
    planes = [picture.transpose(2, 0, 1).tobytes() for picture in (bad, noise(6, 6, seed=8)[::-1])]
    assert [plane in (home / "b.bin").read_bytes() for plane in planes] == [False, True]


def test_both_halves_of_one_file_are_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PairedData(folder=side_by_side(tmp_path / "set"), **ALL_OF_IT)
    gate(monkeypatch, lambda rgb: rgb.min() >= 128)
    with pytest.raises(PolicyRefusal):
        build(config, tmp_path)


def test_too_many_refusals_refuse_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    gate(monkeypatch, lambda rgb: 0.9)
    with pytest.raises(PolicyRefusal, match="data set"):
        build(config, tmp_path)
    assert not any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("score", [0.9, float("nan")])
def test_a_cache_does_not_outlive_a_gate_that_is_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float
) -> None:
    config = PairedData(folder=folders(tmp_path / "set"), **ALL_OF_IT)
    build(config, tmp_path)
    gate(monkeypatch, lambda rgb: score)
    with pytest.raises(PolicyRefusal):
        build(config, tmp_path)
    assert not any((tmp_path / "cache").iterdir())


def test_pictures_are_decoded_on_all_allowed_cores_and_written_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first three are read at the same time; the first is slow, and few others wait for it."""
    config = PairedData(folder=folders(tmp_path / "set", count=30), **ALL_OF_IT)
    read, threads = decode.read_sides, set[int]()
    begun: list[str] = []
    together = threading.Barrier(3)

    def slow_at_first(entry: Entry) -> tuple[Picture, ...]:
        begun.append(entry.name)
        threads.add(threading.get_ident())
        if len(begun) <= 3:
            together.wait()
        time.sleep(0.3 if entry.name == "p0" else 0)
        return read(entry)

    monkeypatch.setattr(decode, "read_sides", slow_at_first)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0, 1, 2}, raising=False)
    most_ahead: list[int] = []

    class Ahead(Progress):
        def __call__(self, task: str, done: int, total: int) -> None:
            most_ahead.append(len(begun) - done)

    build_cache(config, "train", tmp_path / "cache", progress=Ahead())
    cache = build(config, tmp_path)
    assert cache.a.names == sorted(cache.a.names)
    for index, name in enumerate(cache.a.names):
        np.testing.assert_array_equal(pair(cache, index)[0], noise(12, 10, seed=int(name[1:])))
    assert len(threads - {threading.get_ident()}) == 3
    assert max(most_ahead) <= 7


def _build_elsewhere(arguments: tuple[PairedData, Path]) -> bytes:
    content_gate.load_scorer = lambda: lambda rgb: 0.0
    cache = build_cache(arguments[0], "train", arguments[1])
    return b"".join(pair(cache, index)[0].tobytes() for index in range(len(cache)))


@pytest.mark.slow
def test_processes_that_build_at_once_share_one_cache(tmp_path: Path) -> None:
    config = PairedData(folder=folders(tmp_path / "set", count=20), **ALL_OF_IT)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_build_elsewhere, [(config, tmp_path / "cache")] * 2)
    assert first == second
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        config = PairedData(folder=folders(tmp_path / str(count), count=count, height=64, width=64), **ALL_OF_IT)
        tracemalloc.start()
        cache = build(config, tmp_path)
        for index in range(count):
            pair(cache, index)[0].sum()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(2)
    small, large = peak(8), peak(80)
    assert large - small < 72 * 2 * 64 * 64 * 3 / 8


@pytest.mark.realdata
def test_facades_are_kept_level_for_level_at_their_own_size(real_data: Path, tmp_path: Path) -> None:
    config = PairedData(folder=real_data / "facades", direction="b_to_a")
    cache = build(config, tmp_path, "val")
    label, photo = pair(cache, 0)
    with Image.open(real_data / f"facades/val/{cache.a.names[0]}.jpg") as picture:
        np.testing.assert_array_equal(np.concatenate([photo, label], axis=1), np.asarray(picture))


def test_another_look_of_the_gate_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PairedData(folder=photographs(tmp_path / "set"), degrade="gray", **ALL_OF_IT)
    build(config, tmp_path)
    before = set(tmp_path.rglob("index.json"))
    monkeypatch.setattr(content_gate, "VIEWS_VERSION", content_gate.VIEWS_VERSION + 1)
    build(config, tmp_path)
    assert len(set(tmp_path.rglob("index.json")) - before) == 1


def test_16_bit_files_of_12_bit_values_are_remarked_on_at_every_start(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / f"set/train/p{index}.tif", noise(9, 16, 3, seed=index, dtype="uint16") >> 4)
    config = PairedData(folder=tmp_path / "set", layout="side_by_side", **ALL_OF_IT)
    for _ in ("made", "found"):
        with pytest.warns(PictureWarning, match="16-bit values up to 4,0") as told:
            build(config, tmp_path)
        assert len(told) == 2
        assert "train: side a: " in str(told[0].message)
        assert "use 6.2 % of the range; train with --value-range 0 4095" in str(told[0].message)
    build(replace(config, value_range=(0.0, 4095.0)), tmp_path)  # as the warning said
    save(tmp_path / "set/train/p0.tif", noise(9, 16, 3, dtype="uint16"))
    build(config, tmp_path)


def test_color_profiles_are_remarked_on(tmp_path: Path) -> None:
    for index in range(2):
        (tmp_path / "set/train").mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(8, 16, seed=index)).save(tmp_path / f"set/train/p{index}.png", icc_profile=b"no profile")
    config = PairedData(folder=tmp_path / "set", layout="side_by_side", **ALL_OF_IT)
    with pytest.warns(PictureWarning, match=r"train: its color profile is damaged .* \(2 pictures\)") as told:
        build(config, tmp_path)
    assert len(told) == 1


def pairs(root: Path, channels: dict[str, tuple[int, int]], dtypes: dict[str, str] | None = None) -> PairedData:
    """Split -> numbers of channels of sides a and b."""
    for split, (a, b) in channels.items():
        dtype = (dtypes or {}).get(split, "uint8")
        suffix = "png" if dtype == "uint8" else "tif"
        for index in range(2):
            save(root / split / "a" / f"p{index}.{suffix}", noise(12, 10, a, seed=index, dtype=dtype))
            save(root / split / "b" / f"p{index}.{suffix}", noise(12, 10, b, seed=9 + index, dtype=dtype))
    return PairedData(folder=root, resize="none", crop_size=(8, 8))


def agreed(config: PairedData, home: Path) -> dict[Split, Cache]:
    splits: tuple[Split, ...] = ("train", "val")
    caches: dict[Split, Cache] = {split: build_cache(config, split, home) for split in splits}
    agree_across_splits(caches)
    return caches


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        ((3, 3), (1, 1), (3, 3)),  # the whole validation split is gray
        ((1, 1), (3, 3), (3, 3)),  # the whole training split is gray
        ((3, 3), (3, 1), (3, 3)),  # one side of the validation split is gray
        ((1, 3), (1, 3), (1, 3)),  # gray to color is intended
        ((1, 3), (3, 1), (3, 3)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_gray_splits_and_sides_are_repeated(
    tmp_path: Path, train: tuple[int, int], val: tuple[int, int], expected: tuple[int, int]
) -> None:
    config = pairs(tmp_path / "set", {"train": train, "val": val})
    for cache in agreed(config, tmp_path / "cache").values():
        assert (cache.a.spec.channels, cache.b.spec.channels) == expected
        batch = TrainLoader(cache, config, batch_size=2, seed=0).batch(0)
        assert (batch.a.shape[1], batch.b.shape[1]) == expected
        for _, given, made in evaluation_pairs(cache, config):
            assert (given.shape[1], made.shape[1]) == expected


def test_what_is_repeated_is_the_gray_picture(tmp_path: Path) -> None:
    config = pairs(tmp_path / "set", {"train": (3, 3), "val": (1, 1)})
    val = agreed(config, tmp_path / "cache")["val"]
    np.testing.assert_array_equal(val.sides["a"][0].transpose(1, 2, 0), np.repeat(noise(12, 10, 1, seed=0), 3, axis=2))


def test_the_direction_does_not_matter(tmp_path: Path) -> None:
    pairs(tmp_path / "set", {"train": (3, 1), "val": (1, 1)})
    config = PairedData(folder=tmp_path / "set", resize="none", crop_size=(8, 8), direction="b_to_a")
    val = agreed(config, tmp_path / "cache")["val"]
    assert (val.a.spec.channels, val.b.spec.channels) == (1, 3)


def test_single_pictures_are_repeated(tmp_path: Path) -> None:
    for split, channels in (("train", 3), ("val", 1)):
        save(tmp_path / "set" / split / "p.png", noise(12, 10, channels))
    config = PairedData(folder=tmp_path / "set", degrade="blur", resize="none", crop_size=(8, 8))
    val = agreed(config, tmp_path / "cache")["val"]
    assert {images.shape[1] for _, *images_of in evaluation_pairs(val, config) for images in images_of} == {3}


def test_unpaired_splits_are_repeated(tmp_path: Path) -> None:
    for folder, channels in {"trainA": 3, "trainB": 1, "valA": 1, "valB": 1}.items():
        save(tmp_path / "set" / folder / "p.png", noise(12, 10, channels))
    config = UnpairedData(folder=tmp_path / "set", resize="none", crop_size=(8, 8))
    splits: tuple[Split, ...] = ("train", "val")
    caches: dict[Split, Cache] = {split: build_cache(config, split, tmp_path / "cache") for split in splits}
    agree_across_splits(caches)
    assert [[side.spec.channels for side in cache.sides.values()] for cache in caches.values()] == [[3, 1], [3, 1]]
    agree_across_sides(caches.values())  # for methods that need equal channels on both sides
    assert [[side.spec.channels for side in cache.sides.values()] for cache in caches.values()] == [[3, 3], [3, 3]]


@pytest.mark.parametrize(
    ("val", "dtype", "problem"),
    [
        ((5, 3), "uint8", "side a .* train is uint8 with 3 channels, val is uint8 with 5 channels; convert"),
        ((3, 3), "uint16", "side a .* train is uint8 with 3 channels, val is uint16 with 3 channels; convert"),
    ],
)
def test_what_cannot_be_mended_is_an_error(tmp_path: Path, val: tuple[int, int], dtype: str, problem: str) -> None:
    config = pairs(tmp_path / "set", {"train": (3, 3), "val": (3, 3)}, {"val": dtype})
    for index in range(2 * (val != (3, 3))):
        (tmp_path / f"set/val/a/p{index}.png").unlink()
        save(tmp_path / f"set/val/a/p{index}.tif", noise(12, 10, val[0]))
    with pytest.raises(DataError, match=problem):
        agreed(config, tmp_path / "cache")
