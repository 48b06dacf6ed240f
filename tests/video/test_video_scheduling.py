"""Encoders leave the scheduling policy of the process as it was."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from film_maker import make_film

from ganvas.video import WriteOptions, read_video, write_video
from ganvas.video.scheduling import TASKS, keep_scheduling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policies")


def policies() -> set[int]:
    return {os.sched_getscheduler(int(task.name)) for task in TASKS.iterdir()}


def test_the_policy_of_this_thread_and_of_new_ones_is_restored() -> None:
    usual = os.sched_getscheduler(0)
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait)
    with keep_scheduling():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        thread.start()
        assert os.sched_getscheduler(thread.native_id or 0) == os.SCHED_BATCH
    assert policies() == {usual}
    ending.set()
    thread.join()


def test_av1_for_root_runs_in_no_real_time_threads(tmp_path: Path) -> None:
    """SVT-AV1 asks for them where it may, and later processes inherit them."""
    film = make_film(tmp_path / "a.mp4", frames=5)
    usual, seen = os.sched_getscheduler(0), set()

    def frames() -> Iterator[object]:
        for frame in read_video(film):
            yield frame
            seen.update(policies())

    write_video(tmp_path / "b.mkv", frames(), like=film, options=WriteOptions(codec="av1"))
    assert seen == policies() == {usual}
