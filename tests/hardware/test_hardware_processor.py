"""The load of other programs, from counters as proc(5) describes them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ganvas.hardware.processor import OtherLoad


@pytest.mark.parametrize(
    ("others", "threads", "none_left"), [(0.0, 2, False), (0.2, 2, False), (1.0, 2, True), (1.0, 1, False)]
)
def test_cores_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float, threads: int, none_left: bool
) -> None:
    """Ten seconds on two cores, 15 of processor time our own."""
    clock, own, tick = [100.0], [50.0], os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: own[0])
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    stat = tmp_path / "stat"
    stat.write_text(f"cpu {1000 * tick} 0 0 77 0 0 0 0 0 0\ncpu0 1 2 3\n")
    load = OtherLoad(stat)
    clock[0], own[0] = 110.0, 65.0
    stat.write_text(f"cpu {1015 * tick} 0 {int(5 * others * tick)} 99 5 0 0 {int(5 * others * tick)} 0 0\n")
    assert load.leaves_no(threads) == none_left


@pytest.mark.parametrize("text", [None, "", "cpu\n", "cpu a b c d e f g h\n"])
def test_a_system_without_counters_is_taken_to_be_busy(tmp_path: Path, text: str | None) -> None:
    stat = tmp_path / "stat"
    if text is not None:
        stat.write_text(text)
    assert OtherLoad(stat).leaves_no(1)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc/stat")
def test_the_real_counters_are_read() -> None:
    load = OtherLoad()
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    assert not load.leaves_no(-(10**6))  # no other program keeps a million cores busy
