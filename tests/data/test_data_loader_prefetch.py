"""Prefetching loader, which loads one batch ahead: it yields the same batches as the plain loader."""

import threading
from pathlib import Path

import pytest
import torch
from data_sets import folders

from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.loader import Batch, Prefetched, TrainLoader


class Counting:
    """Loader of numbers that records its calls."""

    batch_size, epoch_size, device = 3, 10, torch.device("cpu")

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.made = threading.Semaphore(0)

    def batch(self, images_seen: int) -> Batch:
        self.asked.append((images_seen, threading.get_ident()))
        if images_seen > 90:
            raise ValueError(f"nothing after {images_seen}")
        images = torch.full((3, 1, 1, 1), float(images_seen))
        self.made.release()
        return Batch(images, images)


@pytest.mark.parametrize("enabled", [True, False])
def test_it_gives_the_loaders_batches_in_any_order(tmp_path: Path, enabled: bool) -> None:
    data = PairedData(folder=folders(tmp_path / "set"), resize="none", crop_size=(8, 8), jitter=0.2)
    loader = TrainLoader(build_cache(data, "train", tmp_path / "cache"), data, batch_size=4, seed=1)
    with Prefetched(loader, enabled=enabled) as ahead:
        assert (ahead.batch_size, ahead.epoch_size, ahead.device.type) == (4, 5, "cpu")
        for seen in (0, 4, 8, 100, 104, 4, 4, 8):
            batch, expected = ahead.batch(seen), loader.batch(seen)
            assert torch.equal(batch.a, expected.a)
            assert torch.equal(batch.b, expected.b)


def test_the_next_batch_is_made_before_it_is_asked_for() -> None:
    loader = Counting()
    with Prefetched(loader) as ahead:
        for seen in (30, 33, 36):
            assert ahead.batch(seen).a[0].item() == seen
        for _ in range(4):
            loader.made.acquire()
    assert [seen for seen, _ in loader.asked] == [30, 33, 36, 39]
    assert len({thread for _, thread in loader.asked} | {threading.get_ident()}) == 2


def test_an_error_is_raised_where_the_batch_is_asked_for() -> None:
    with Prefetched(Counting()) as ahead:
        assert ahead.batch(90).a[0].item() == 90
        with pytest.raises(ValueError, match="nothing after 93"):
            ahead.batch(93)
        assert ahead.batch(60).a[0].item() == 60


def test_off_there_is_no_thread() -> None:
    loader = Counting()
    with Prefetched(loader, enabled=False) as ahead:
        ahead.batch(0)
    assert loader.asked == [(0, threading.get_ident())]


@pytest.mark.gpu
def test_a_gpu_gets_the_same_batches(tmp_path: Path) -> None:
    data = PairedData(folder=folders(tmp_path / "set"), resize="none", crop_size=(8, 8))
    cache = build_cache(data, "train", tmp_path / "cache")
    here = TrainLoader(cache, data, batch_size=4, seed=1)
    with Prefetched(TrainLoader(cache, data, batch_size=4, seed=1, device="cuda")) as ahead:
        for seen in range(0, 400, 4):
            batch, expected = ahead.batch(seen), here.batch(seen)
            assert torch.equal(batch.a.cpu(), expected.a)
            assert torch.equal(batch.b.cpu(), expected.b)
