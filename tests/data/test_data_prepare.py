"""Preparation of pairs from a folder: degradations, splits, and resumption."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from ganvas.content_gate import gate
from ganvas.data import prepare, regions
from ganvas.data.config import PairedData, PrepareConfig
from ganvas.data.decode import OpacityWarning
from ganvas.data.layouts import find_entries
from ganvas.data.prepare import prepare_pairs
from ganvas.data.regions import read_boxes
from ganvas.data.splits import (
    BITS,
    MAX_DISTANCE,
    EmptySplitWarning,
    _close_pairs,
    assign_splits,
    fingerprint,
    group_duplicates,
)
from ganvas.errors import ConfigError, DataError, ImageError, InputError, PartialFailure, PolicyRefusal
from ganvas.image.cover import bicubic_resize, mosaic
from ganvas.image.files import PictureWarning, SkippedWarning, read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.localization import Evidence
from recorded_progress import RecordedProgress

Files = dict[str, bytes]


def scene(seed: int, height: int = 48, width: int = 64, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """Return smooth random blobs, which differ between seeds as photographs do."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (6, 8, channels)).astype(np.float32)
    smooth = np.clip(bicubic_resize(coarse, height, width), 0, 1)
    return smooth if dtype is np.float32 else np.rint(smooth * np.iinfo(dtype).max).astype(dtype)


@functools.cache
def dish(seed: int) -> np.ndarray:
    """Return a round dish with spots: the same layout with different content for each seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:128, 0:128]
    radius = np.hypot(x - 64, y - 64)
    image = np.where(radius < 58, 150 - 40 * (radius / 58) ** 2, 20.0)
    for _ in range(int(random.integers(20, 60))):
        across, down = random.uniform(25, 103, 2)
        image -= 25 * np.exp(-((x - across) ** 2 + (y - down) ** 2) / 6)
    return np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8)[:, :, None]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(20):
        write_image(tmp_path / "photos" / f"{seed:02}.png", Picture(scene(seed)))
    return tmp_path / "photos"


def manifest(out: Path) -> dict[str, list[dict[str, object]]]:
    record: dict[str, list[dict[str, object]]] = json.loads((out / "manifest.json").read_text())
    return record


def content(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(out: Path, pair: dict[str, object], side: str) -> np.ndarray:
    return read_image(out / str(pair[side])).pixels


class TestPairs:
    def test_layout_and_counts(self, photos: Path, tmp_path: Path) -> None:
        prepared = prepare_pairs(PrepareConfig(photos, tmp_path / "out", strength=(4, 4)))
        assert prepared.counts == {"train": 16, "val": 2, "test": 2}
        for split, count in prepared.counts.items():
            entries = find_entries(PairedData(folder=tmp_path / "out"), split)
            assert len(entries) == count

    @pytest.mark.usefixtures("no_folder_locks")
    def test_pairs_are_written_and_continued_where_folders_cannot_be_locked(self, tmp_path: Path) -> None:
        write_image(tmp_path / "photos" / "x.png", Picture(scene(1)))
        config = PrepareConfig(tmp_path / "photos", tmp_path / "out", strength=(4, 4))
        prepare_pairs(config)
        (tmp_path / "out" / ".prepare.jsonl").write_text("")
        for folder in ("train", "manifest.json"):
            (tmp_path / "out" / folder).rename(tmp_path / folder)
        prepare_pairs(config)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            ".prepare.jsonl",
            "manifest.json",
            "train",
        ]

    def test_everywhere_is_the_whole_mosaic(self, photos: Path, tmp_path: Path) -> None:
        prepare_pairs(PrepareConfig(photos, tmp_path / "out", strength=(4, 4)))
        for pair in manifest(tmp_path / "out")["pairs"]:
            source = read_image(photos / str(pair["source"])).pixels
            np.testing.assert_array_equal(pixels(tmp_path / "out", pair, "b"), source)
            difference = pixels(tmp_path / "out", pair, "a").astype(int) - mosaic(source, 4)
            assert np.abs(difference).max() <= 1

    @pytest.mark.parametrize("degrade", ["mosaic", "downscale", "blur", "gray", "edges"])
    def test_only_the_boxes_change(self, photos: Path, tmp_path: Path, degrade: str) -> None:
        boxes = {f"{seed:02}.png": [[5, 7, 31, 33], [-4, 40, 10, 60]] for seed in range(20)}
        (tmp_path / "boxes.json").write_text(json.dumps(boxes))
        config = PrepareConfig(
            photos, tmp_path / "out", degrade=degrade, strength=(3, 5), where="boxes", boxes=tmp_path / "boxes.json"
        )  # type: ignore[arg-type]
        prepare_pairs(config)
        for pair in manifest(tmp_path / "out")["pairs"]:
            assert pair["region"] == [[5, 7, 31, 33], [0, 40, 10, 48]]
            changed = (pixels(tmp_path / "out", pair, "a") != pixels(tmp_path / "out", pair, "b")).any(axis=2)
            inside = Box(5, 7, 31, 33).mask(48, 64) | Box(0, 40, 10, 48).mask(48, 64)
            assert not changed[~inside].any()
            assert changed[inside].mean() > 0.5

    def test_what_lies_outside_a_box_does_not_leak_into_it(self, tmp_path: Path) -> None:
        for name, level in (("dark", 0), ("light", 255)):
            image = scene(1)
            image[~Box(16, 16, 40, 40).mask(48, 64)] = level
            write_image(tmp_path / "photos" / f"{name}.png", Picture(image))
        (tmp_path / "boxes.csv").write_text("name,left,top,right,bottom\ndark.png,16,16,40,40\nlight.png,16,16,40,40\n")
        config = PrepareConfig(
            tmp_path / "photos",
            tmp_path / "out",
            degrade="blur",
            strength=(6, 6),
            where="boxes",
            boxes=tmp_path / "boxes.csv",
        )
        prepare_pairs(config)
        dark, light = (
            pixels(tmp_path / "out", pair, "a")[16:40, 16:40] for pair in manifest(tmp_path / "out")["pairs"]
        )
        np.testing.assert_array_equal(dark, light)

    @pytest.mark.parametrize(
        ("suffix", "dtype", "channels"),
        [(".tif", np.uint16, 5), (".png", np.uint16, 3), (".tif", np.float32, 1), (".npy", np.uint8, 7)],
    )
    def test_depth_and_channels_stay(self, tmp_path: Path, suffix: str, dtype: type, channels: int) -> None:
        image = scene(3, channels=channels, dtype=dtype)
        write_image(tmp_path / "photos" / f"x{suffix}", Picture(image))
        (tmp_path / "boxes.json").write_text(json.dumps({f"x{suffix}": [[8, 8, 40, 40]]}))
        config = PrepareConfig(
            tmp_path / "photos", tmp_path / "out", where="boxes", boxes=tmp_path / "boxes.json", strength=(8, 8)
        )
        prepare_pairs(config)
        (pair,) = manifest(tmp_path / "out")["pairs"]
        a, b = (pixels(tmp_path / "out", pair, side) for side in "ab")
        np.testing.assert_array_equal(b, image)
        assert (a.dtype, a.shape) == (image.dtype, image.shape)
        np.testing.assert_array_equal(a[:8], b[:8])
        assert len(np.unique(a[8:16, 8:16, 0])) == 1
        assert (pair["dtype"], pair["channels"]) == (np.dtype(dtype).name, channels)

    def test_float_values_beyond_one_are_not_cut(self, tmp_path: Path) -> None:
        write_image(tmp_path / "photos" / "x.tif", Picture(scene(3, dtype=np.float32) * 40 - 3))
        prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out", strength=(2, 2)))
        (pair,) = manifest(tmp_path / "out")["pairs"]
        assert np.abs(pixels(tmp_path / "out", pair, "a") - pixels(tmp_path / "out", pair, "b")).mean() < 2

    def test_opacity_goes_and_jpeg_becomes_png(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        Image.fromarray(scene(1)).save(tmp_path / "photos" / "x.jpg", quality=80)
        Image.fromarray(np.dstack([scene(2), np.full((48, 64), 9, np.uint8)])).save(tmp_path / "photos" / "y.png")
        with pytest.warns(OpacityWarning, match=r"dropped from 1 picture of .*photos; .* photometric='minisblack'"):
            prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out"))
        pairs = manifest(tmp_path / "out")["pairs"]
        assert [str(pair["b"]).split("/")[-1] for pair in pairs] == ["x.png", "y.png"]
        assert pixels(tmp_path / "out", pairs[1], "b").shape == (48, 64, 3)

    def test_a_turned_photograph_is_prepared_upright(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(scene(1)).save(tmp_path / "photos" / "x.png", exif=exif)
        prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out"))
        (pair,) = manifest(tmp_path / "out")["pairs"]
        assert (pair["height"], pair["width"]) == (64, 48)

    def test_strengths_are_drawn_for_each_picture_and_by_seed(self, photos: Path, tmp_path: Path) -> None:
        drawn = []
        for number, seed in enumerate((0, 0, 1)):
            prepare_pairs(PrepareConfig(photos, tmp_path / f"{number}", strength=(2, 9), seed=seed))
            drawn.append([pair["strength"] for pair in manifest(tmp_path / f"{number}")["pairs"]])
        assert drawn[0] == drawn[1] != drawn[2]
        assert len(set(drawn[0])) >= 4
        assert {2, 9} >= {min(drawn[0]), max(drawn[0])} or (min(drawn[0]) >= 2 and max(drawn[0]) <= 9)

    def test_pairs_among_the_photographs_would_be_photographs_next_time(self, photos: Path) -> None:
        for out in (photos, photos / "pairs"):
            with pytest.raises(InputError, match="use an output folder outside it"):
                prepare_pairs(PrepareConfig(photos, out))
        assert not (photos / "pairs").exists()

    def test_folders_below_count(self, photos: Path, tmp_path: Path) -> None:
        write_image(photos / "roses" / "00.png", Picture(scene(77)))
        for _ in range(2):
            prepare_pairs(PrepareConfig(photos, tmp_path / "pairs"))
        pairs = manifest(tmp_path / "pairs")["pairs"]
        assert len(pairs) == 21
        assert pairs[-1]["name"] == "roses__00"


class BrightSide:
    """Classifier of two classes that responds to brightness."""

    class_names = ("dark", "bright")
    activation = "softmax"

    def evidence(self, rgb: np.ndarray) -> Evidence:
        height, width = rgb.shape[:2]
        features = bicubic_resize(rgb[:, :, :1].astype(np.float32) / 255, 12, 16).transpose(2, 0, 1)
        score = float(rgb.max() > 128)
        head = np.array([[0.0], [1.0]], np.float32)
        return Evidence(
            np.array([1 - score, score], np.float32), features, head, np.zeros(2, np.float32), Box(0, 0, width, height)
        )

    dense_evidence = evidence


class TestClassifierRegions:
    def prepare(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, class_name: str | None
    ) -> dict[str, list[dict[str, object]]]:
        monkeypatch.setattr("ganvas.localization.load_classifier", lambda name: BrightSide())
        for name, level in (("lamp", 255), ("night", 90)):
            image = np.zeros((48, 64, 3), np.uint8)
            image[8:24, 32:52] = level
            write_image(tmp_path / "photos" / f"{name}.png", Picture(image))
        config = PrepareConfig(
            tmp_path / "photos", tmp_path / "out", where="classifier", class_name=class_name, strength=(16, 16)
        )
        prepare_pairs(config)
        return manifest(tmp_path / "out")

    def test_the_region_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        record = self.prepare(tmp_path, monkeypatch, None)
        (left, top, right, bottom), *others = record["pairs"][0]["region"]  # type: ignore[misc]
        assert not others
        assert np.abs(np.array([left - 32, top - 8, right - 52, bottom - 24])).max() <= 4

    def test_a_picture_without_the_class_is_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        record = self.prepare(tmp_path, monkeypatch, "bright")
        assert [pair["name"] for pair in record["pairs"]] == ["lamp"]
        assert record["left_out"] == ["night.png"]

    def test_an_unknown_class_is_told_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match="bright"):
            self.prepare(tmp_path, monkeypatch, "brigt")
        assert not (tmp_path / "out").exists()


class TestDuplicates:
    @pytest.mark.parametrize(
        "change",
        [
            lambda image: image[:, ::-1],
            lambda image: bicubic_resize(image, 31, 40),
            lambda image: np.clip(image * 0.7 + 20, 0, 255).astype(np.uint8),
            lambda image: np.clip(image + np.random.default_rng(0).normal(0, 8, image.shape), 0, 255).astype(np.uint8),
            lambda image: image.astype(np.uint16) * 257,
            lambda image: image.mean(axis=2, keepdims=True).astype(np.uint8),
            lambda image: bicubic_resize(image, 31, 40)[:, ::-1],
        ],
        ids=["mirrored", "smaller", "flatter", "noisy", "deeper", "gray", "smaller and mirrored"],
    )
    def test_a_copy_is_one(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        for seed in range(20):
            prints = [fingerprint(Picture(image)) for image in (scene(seed), change(scene(seed)), scene(seed + 100))]
            assert group_duplicates(prints) == [0, 0, 2]

    def test_different_pictures_are_none(self) -> None:
        assert group_duplicates([fingerprint(Picture(scene(seed))) for seed in range(150)]) == list(range(150))

    def test_chains_are_one_group(self) -> None:
        base = fingerprint(Picture(scene(0)))
        masks = [np.uint64((1 << (12 * step)) - 1) for step in range(4)]  # 24 bits from one to the next
        steps = [replace(base, hashes=base.hashes ^ mask) for mask in masks]
        assert group_duplicates(steps, max_distance=24) == [0, 0, 0, 0]
        assert group_duplicates(steps, max_distance=23) == [0, 1, 2, 3]

    def test_the_distance_is_far_from_chance(self) -> None:
        assert MAX_DISTANCE < BITS / 6

    def test_none(self) -> None:
        assert group_duplicates([]) == []

    def test_pictures_of_one_layout_are_none(self) -> None:
        prints = [fingerprint(Picture(dish(seed))) for seed in range(40)]
        pairs = _close_pairs(np.stack([one.hashes for one in prints]), MAX_DISTANCE)
        assert len(pairs) > 700  # of 780: their hashes count as copies
        assert group_duplicates(prints) == list(range(40))

    @pytest.mark.parametrize("seed", [3, 17])
    def test_a_copy_among_pictures_of_one_layout_is_found(self, seed: int) -> None:
        original = dish(seed)
        noisy = np.clip(original + np.random.default_rng(0).normal(0, 5, original.shape), 0, 255).astype(np.uint8)
        copies = [original[:, ::-1], bicubic_resize(original, 70, 70), noisy]
        prints = [fingerprint(Picture(image)) for image in (*map(dish, range(20)), *copies)]
        assert group_duplicates(prints) == [*range(20), seed, seed, seed]

    def test_frames_of_a_film_stay_together(self) -> None:
        wide = np.concatenate([scene(seed) for seed in range(4)], axis=1)
        frames = [np.ascontiguousarray(wide[:, step : step + 80]) for step in range(20)]
        assert len(set(group_duplicates([fingerprint(Picture(frame)) for frame in frames]))) == 1

    @pytest.mark.realdata
    def test_the_copies_among_the_flowers_are_found_and_nothing_else(self, real_data: Path) -> None:
        paths = sorted((real_data / "flowers").rglob("*.jpg"))
        groups = group_duplicates([fingerprint(read_image(path)) for path in paths])
        pairs = [(paths[first].stem[-4:], path.stem[-4:]) for path, first in zip(paths, groups, strict=True)]
        # Two are exact copies, two are mirrored (the sunflower also retouched), as judged by eye.
        copies = [("0090", "0100"), ("0242", "0243"), ("0484", "0498"), ("0729", "0735")]
        assert [pair for pair in pairs if pair[0] != pair[1]] == copies


class TestSplits:
    def test_pictures_of_one_layout_get_all_splits(self, tmp_path: Path) -> None:
        for seed in range(20):
            write_image(tmp_path / "photos" / f"{seed}.png", Picture(dish(seed)))
        config = PrepareConfig(tmp_path / "photos", tmp_path / "out", val_fraction=0.2, test_fraction=0.2)
        assert prepare_pairs(config).counts == {"train": 12, "val": 4, "test": 4}

    def test_a_split_emptied_by_near_duplicates_is_told(self, tmp_path: Path) -> None:
        for level in range(10):  # one picture at ten brightnesses
            write_image(tmp_path / "photos" / f"{level}.png", Picture((scene(0) * (0.5 + level / 20)).astype(np.uint8)))
        with pytest.warns(EmptySplitWarning, match=r"10 of 10 .* so val and test got none; .* --no-grouping"):
            prepared = prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out"))
        assert prepared.counts == {"train": 10, "val": 0, "test": 0}
        prepared = prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "other", grouping=False))
        assert prepared.counts == {"train": 8, "val": 1, "test": 1}

    def test_copies_to_the_byte_share_their_split_in_any_case(self, tmp_path: Path) -> None:
        for seed in range(20):
            write_image(tmp_path / "photos" / f"{seed // 2}_{seed % 2}.png", Picture(scene(seed // 2)))
        config = PrepareConfig(
            tmp_path / "photos", tmp_path / "out", grouping=False, val_fraction=0.3, test_fraction=0.3
        )
        prepared = prepare_pairs(config)
        split_of = {pair["name"]: pair["split"] for pair in json.loads(prepared.manifest.read_text())["pairs"]}
        assert all(split_of[f"{index}_0"] == split_of[f"{index}_1"] for index in range(10))

    def test_a_split_emptied_by_equal_pictures_is_told_without_the_option_that_is_given(self, tmp_path: Path) -> None:
        for number in range(10):
            write_image(tmp_path / "photos" / f"{number}.png", Picture(scene(0)))
        with pytest.warns(
            EmptySplitWarning, match=r"equal pictures share a split, and 10 of 10 .*; add other pictures"
        ):
            prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out", grouping=False))

    def test_copies_share_their_split(self, tmp_path: Path) -> None:
        for seed in range(16):
            write_image(tmp_path / "photos" / f"{seed}.png", Picture(scene(seed)))
            write_image(tmp_path / "photos" / f"{seed}_mirrored.png", Picture(scene(seed)[:, ::-1]))
            Image.fromarray(scene(seed)).resize((50, 40)).save(tmp_path / "photos" / f"{seed}_small.jpg")
        config = PrepareConfig(tmp_path / "photos", tmp_path / "out", val_fraction=0.25, test_fraction=0.25)
        prepared = prepare_pairs(config)
        record = manifest(tmp_path / "out")
        splits = {str(pair["name"]): pair["split"] for pair in record["pairs"]}
        for seed in range(16):
            assert splits[f"{seed}"] == splits[f"{seed}_mirrored"] == splits[f"{seed}_small"]
        assert prepared.counts == {"train": 24, "val": 12, "test": 12}
        assert len(record["near_duplicates"]) == 16

    def test_neither_order_nor_names_matter(self) -> None:
        keys = [f"key {index}" for index in range(50)]
        split = dict(
            zip(keys, assign_splits(keys, range(50), val_fraction=0.2, test_fraction=0.1, seed=3), strict=True)
        )
        turned = keys[::-1]
        again = dict(
            zip(turned, assign_splits(turned, range(50), val_fraction=0.2, test_fraction=0.1, seed=3), strict=True)
        )
        other = dict(
            zip(keys, assign_splits(keys, range(50), val_fraction=0.2, test_fraction=0.1, seed=4), strict=True)
        )
        assert split == again != other
        assert sorted(split.values()) == ["test"] * 5 + ["train"] * 35 + ["val"] * 10

    def test_a_group_too_large_for_the_small_splits_is_trained_on(self) -> None:
        splits = assign_splits(
            [str(index) for index in range(20)],
            [0] * 15 + list(range(15, 20)),
            val_fraction=0.1,
            test_fraction=0.1,
            seed=0,
        )
        assert splits[:15] == ["train"] * 15
        assert sorted(splits[15:]) == ["test", "test", "train", "val", "val"]

    def test_none_to_share(self) -> None:
        assert assign_splits(["a"], [0], val_fraction=0.0, test_fraction=0.0, seed=0) == ["train"]


class TestGate:
    @pytest.fixture
    def refusing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 if rgb[0, 0, 0] == 255 else 0.1)
        gate.forget_scorer()

    def add_refused(self, photos: Path, count: int) -> None:
        for index in range(count):
            image = scene(200 + index)
            image[0, 0, 0] = 255
            write_image(photos / f"bad{index}.png", Picture(image))

    def test_a_refused_picture_is_left_out_and_listed(self, photos: Path, tmp_path: Path, refusing: None) -> None:
        for path in photos.glob("*.png"):
            image = read_image(path).pixels
            image[0, 0, 0] = 0
            write_image(path, Picture(image))
        self.add_refused(photos, 1)
        prepared = prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert [refusal.name for refusal in prepared.refused] == ["bad0.png"]
        assert manifest(tmp_path / "out")["refused"][0]["score"] == 0.9
        assert not any("bad0" in name for name in content(tmp_path / "out") if name != "manifest.json")

    def test_over_five_per_cent_nothing_is_written(self, photos: Path, tmp_path: Path, refusing: None) -> None:
        self.add_refused(photos, 4)
        with pytest.raises(PolicyRefusal, match="more than 5%"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    def test_without_a_model_nothing_is_written(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing() -> gate.Scorer:
            raise OSError("gone")

        monkeypatch.setattr(gate, "load_scorer", missing)
        gate.forget_scorer()
        with pytest.raises(PolicyRefusal):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    def test_what_an_earlier_run_wrote_is_asked_about_again(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 1.0)
        gate.forget_scorer()
        with pytest.raises(PolicyRefusal):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))


class TestGoingOn:
    def test_a_bad_file_is_named_and_the_rest_is_done(self, photos: Path, tmp_path: Path) -> None:
        (photos / "05.png").write_bytes((photos / "05.png").read_bytes()[:60])
        (photos / "x7.jpg").write_bytes(b"")
        with pytest.raises(PartialFailure) as failure:
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert sorted(failure.value.failures) == ["05.png", "x7.jpg"]
        assert (failure.value.total, failure.value.exit_code) == (21, 5)
        record = manifest(tmp_path / "out")
        assert len(record["pairs"]) == 19
        assert sorted(record["failed"]) == ["05.png", "x7.jpg"]

    def test_all_bad(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "x.png").write_bytes(b"no picture")
        with pytest.raises(DataError, match="none of the pictures"):
            prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out"))

    def test_an_interrupted_run_goes_on(self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        prepare_pairs(PrepareConfig(photos, tmp_path / "whole"))
        written: list[Path] = []
        write = write_image

        def interrupted(path: Path, picture: Picture) -> None:
            if len(written) == 13:
                raise KeyboardInterrupt
            written.append(path)
            write(path, picture)

        monkeypatch.setattr("ganvas.data.pair_folder.write_image", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert not (tmp_path / "out" / "manifest.json").exists()
        journal = tmp_path / "out" / ".prepare.jsonl"
        journal.write_bytes(journal.read_bytes()[:-20])  # the last line is truncated too
        rewritten: list[Path] = []
        monkeypatch.setattr(
            "ganvas.data.pair_folder.write_image", lambda path, picture: (rewritten.append(path), write(path, picture))
        )
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert len(rewritten) == 2 * 20 - 12
        whole, resumed = content(tmp_path / "whole"), content(tmp_path / "out")
        assert {name: data for name, data in whole.items() if name != ".prepare.jsonl"} == {
            name: data for name, data in resumed.items() if name != ".prepare.jsonl"
        }

    def test_again_writes_no_pair(self, photos: Path, tmp_path: Path) -> None:
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*.png"):
            os.utime(path, (1, 1))
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert {path.stat().st_mtime for path in (tmp_path / "out").rglob("*.png")} == {1}

    def test_a_changed_source_is_prepared_anew_and_strays_go(self, photos: Path, tmp_path: Path) -> None:
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        write_image(photos / "03.png", Picture(scene(300)))
        (photos / "04.png").unlink()
        for seed in range(40, 60):
            write_image(photos / f"{seed}.png", Picture(scene(seed)))
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        prepare_pairs(PrepareConfig(photos, tmp_path / "new"))
        again, new = content(tmp_path / "out"), content(tmp_path / "new")
        again.pop(".prepare.jsonl"), new.pop(".prepare.jsonl")
        assert again == new

    def test_other_settings_need_another_folder(self, photos: Path, tmp_path: Path) -> None:
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        with pytest.raises(DataError, match="other settings"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out", degrade="blur"))

    def test_a_folder_with_something_else_is_left_alone(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("mine")
        with pytest.raises(DataError, match="contains other files"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert content(tmp_path / "out") == {"thesis.txt": b"mine"}

    def test_progress_is_reported(self, photos: Path, tmp_path: Path) -> None:
        progress = RecordedProgress()
        prepare_pairs(PrepareConfig(photos, tmp_path / "out"), progress=progress)
        assert progress.reports[1] == ("inspecting pictures", 1, 20)
        assert progress.reports[-1] == ("writing pairs", 20, 20)


class TestMistakes:
    def test_no_pictures(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        with pytest.raises(InputError, match="no pictures"):
            prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out"))

    def test_two_files_of_one_name(self, photos: Path, tmp_path: Path) -> None:
        Image.fromarray(scene(5)).save(photos / "05.jpg")
        with pytest.raises(DataError, match=r"05\.jpg, 05\.png"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))

    def test_boxes_of_pictures_that_are_not_there(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "boxes.json").write_text('{"00.png": [], "99.png": [[0, 0, 4, 4]]}')
        with pytest.raises(DataError, match=r"99\.png"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out", where="boxes", boxes=tmp_path / "boxes.json"))

    def test_a_box_wholly_off_fails_its_picture_and_none_leaves_it_out(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "boxes.json").write_text('{"00.png": [[64, 0, 70, 9]], "01.png": [[0, 0, 9, 9]], "02.png": []}')
        with pytest.raises(PartialFailure, match="is outside"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out", where="boxes", boxes=tmp_path / "boxes.json"))
        record = manifest(tmp_path / "out")
        assert [pair["name"] for pair in record["pairs"]] == ["01"]
        assert len(record["left_out"]) == 18

    def test_boxes_on_names_the_size(self) -> None:
        with pytest.raises(ImageError, match="64 x 48"):
            regions.boxes_on(Picture(scene(0)), [Box(0, 48, 3, 50)])

    @pytest.mark.parametrize(
        "settings",
        [
            {"strength": (0, 4)},
            {"strength": (5, 4)},
            {"val_fraction": 0.5, "test_fraction": 0.5},
            {"val_fraction": -0.1},
            {"where": "boxes"},
            {"boxes": Path("b.json")},
            {"least_score": 1.5},
            {"strength": (4.2, 4.8)},
            {"class_name": "zebra"},
        ],
    )
    def test_settings_out_of_range(self, settings: dict[str, object]) -> None:
        with pytest.raises(ConfigError):
            PrepareConfig(Path("photos"), Path("out"), **settings)  # type: ignore[arg-type]

    @pytest.mark.parametrize("error", [RuntimeError("can't allocate memory"), MemoryError()])
    def test_too_little_memory_for_one_picture_stops_no_other(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        whole = prepare.degrade_each

        def choosy(name: Any, images: torch.Tensor, strengths: list[float]) -> torch.Tensor:
            if images.shape[-1] == 8:
                raise error
            return whole(name, images, strengths)

        monkeypatch.setattr(prepare, "degrade_each", choosy)
        write_image(photos / "narrow.png", Picture(scene(99, width=8)))
        with pytest.raises(PartialFailure, match=r"1 of 21 failed:\n  narrow\.png: .*emory"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))
        assert len(manifest(tmp_path / "out")["pairs"]) == 20

    def test_a_file_exchanged_after_the_gates_look_makes_no_pair(self, photos: Path, tmp_path: Path) -> None:
        def exchange(what: str, done: int, total: int) -> None:
            if (what, done) == ("inspecting pictures", total):
                write_image(photos / "07.png", Picture(scene(99)))

        with pytest.raises(PartialFailure, match=r"1 of 20 failed:\n.*07\.png: changed during"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"), progress=RecordedProgress(exchange))
        assert not [name for name in content(tmp_path / "out") if "07" in name]

    def test_what_is_no_picture_is_told(self, photos: Path, tmp_path: Path) -> None:
        (photos / "deep").mkdir()
        (photos / "deep" / "film.gif").write_bytes(b"GIF89a")
        with pytest.warns(SkippedWarning, match=r"deep/film\.gif"):
            prepare_pairs(PrepareConfig(photos, tmp_path / "out"))

    def test_the_module_shows_only_its_verb(self) -> None:
        assert prepare.__all__ == ["Prepared", "prepare_pairs"]


class TestBoxesFile:
    def test_json_and_csv_agree(self, tmp_path: Path) -> None:
        (tmp_path / "b.json").write_text('{"a.jpg": [[-1.5, 2, 3.2, 4], [5, 6, 7, 8]], "b.jpg": []}')
        (tmp_path / "b.csv").write_text(
            "\ufeffname,left,top,right,bottom\na.jpg, -1.5,2,3.2,4\na.jpg,5,6,7,8\n\nb.jpg,,,,\n"
        )
        expected = {"a.jpg": [Box(-2, 2, 4, 4), Box(5, 6, 7, 8)], "b.jpg": []}
        assert read_boxes(tmp_path / "b.json") == read_boxes(tmp_path / "b.csv") == expected

    @pytest.mark.parametrize(
        "text",
        [
            "nothing",
            "[1]",
            '{"a": 1}',
            '{"a": [1]}',
            '{"a": [[1, 2, 3]]}',
            '{"a": [[1, 2, 3, "x"]]}',
            '{"a": [[5, 2, 3, 9]]}',
            '{"a": [[1, 2, 3, true]]}',
            '{"a": [[1, 2, NaN, 9]]}',
            '{"a": [[1, 2, Infinity, 9]]}',
            '{"a": ["1234"]}',
            '{"a": [{"left": 1}]}',
            '[["a", [[1, 2, 3, 4]]]]',
        ],
    )
    def test_a_wrong_json_is_told(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(InputError, match=r"b\.json"):
            read_boxes(tmp_path / "b.json")

    @pytest.mark.parametrize("text", ["a.jpg,1,2,3\n", "a.jpg,4,2,3,9\n", "a.jpg,1,2,x,9\n", "a,1,2,3,4,5\n"])
    def test_a_wrong_csv_is_told(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "b.csv").write_text(text)
        with pytest.raises(InputError, match=r"b\.csv"):
            read_boxes(tmp_path / "b.csv")

    @pytest.mark.parametrize(
        ("box", "says"),
        [
            ([0.25, 0.25, 0.75, 0.75], "pixels"),
            ([0, 0, 1, 1], "pixels"),
            ([-0.02, 0.1, 1.03, 0.9], "pixels"),
            ([500, 300, 120, 80], "width, height"),
            ([100, 400, 50, 300], "expected left, top, right, bottom"),
        ],
    )
    @pytest.mark.parametrize("others", [[], [[10, 20, 30, 40]]])
    def test_another_unit_or_order_is_told(
        self, tmp_path: Path, box: list[float], says: str, others: list[list[float]]
    ) -> None:
        (tmp_path / "b.json").write_text(json.dumps({"a.jpg": [*others, box]}))
        rows = [f"a.jpg,{','.join(map(str, row))}" for row in (*others, box)]
        (tmp_path / "b.csv").write_text("\n".join(rows))
        for name in ("b.json", "b.csv"):
            with pytest.raises(InputError, match=rf"b\.{name[2:]}: a.jpg: .*{says}"):
                read_boxes(tmp_path / name)

    def test_axes_exchanged_are_told(self) -> None:
        picture = Picture(np.zeros((40, 60, 3), np.uint8))
        with pytest.raises(ImageError, match="rows and columns swapped"):
            regions.boxes_on(picture, [Box(5, 20, 30, 58)])
        for good in (Box(20, 5, 58, 30), Box(20, 5, 58, 43), Box(-5, 10, 70, 70)):  # inside, slightly outside, far off
            assert regions.boxes_on(picture, [good])

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            read_boxes(tmp_path / "b.json")


def test_values_of_few_bits_are_remarked_on(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    levels = scene(1).astype(np.uint16) * 16
    tifffile.imwrite(tmp_path / "photos" / "x.tif", levels, photometric="rgb")
    with pytest.warns(
        PictureWarning, match=r"photos: the pictures: 16-bit values up to .* train with --value-range 0 4095"
    ):
        prepare_pairs(PrepareConfig(tmp_path / "photos", tmp_path / "out"))
