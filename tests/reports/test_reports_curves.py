"""Curves of a run, read from its metrics log."""

from __future__ import annotations

import re
from pathlib import Path

from ganvas.reports.curves import curves, training_charts

ROWS = """\
{"kind": "training", "images": 1, "generator/l1": 0.5, "discriminator/real": 0.7, "learning_rate": 1e-3, "seconds": 2}
{"kind": "training", "images": 9, "generator/l1": 0.01, "discriminator/real": null, "images_per_second": 9}
{"kind": "validation", "images": 9, "psnr": 20.5, "ssim": null, "l1": 0.1, "spread": 0.3, "seconds": 4}
{"kind": "validation", "images": 12, "cycle_a_psnr": 30, "cycle_b_psnr": 31, "cycle_a_ssim": 0.9}
[1]
{"kind": "trai"""


def test_rows_that_a_crash_left_unfinished_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(ROWS, encoding="utf-8")
    found = curves(tmp_path)
    assert found["training"]["generator/l1"] == [(1.0, 0.5), (9.0, 0.01)]
    assert found["validation"]["psnr"] == [(9.0, 20.5)]
    assert "ssim" not in found["validation"]
    assert curves(tmp_path / "nowhere") == {}
    assert training_charts({}) == ""


def test_losses_share_a_chart_and_each_measure_has_its_own(tmp_path: Path) -> None:
    """Regression: the PSNR of round trips shared a chart with the losses, which it flattened."""
    (tmp_path / "metrics.jsonl").write_text(ROWS, encoding="utf-8")
    charts = training_charts(curves(tmp_path), of="runs/a").replace("<wbr>", "")
    titles = [
        "Training of runs/a: loss",
        *(f"Validation of runs/a: {m}" for m in ("PSNR (dB)", "L1", "SSIM")),
    ]
    assert re.findall("<h3>(.*?)</h3>", charts) == titles
    legends = re.findall('<ul class="legend">(.*?)</ul>', charts)
    assert [re.findall(r">([^<]+)</li>", legend) for legend in legends] == [
        ["generator/l1", "discriminator/real"],
        ["PSNR (dB)", "cycle_a_psnr", "cycle_b_psnr"],
        ["L1"],
        ["cycle_a_ssim"],
    ]
    assert "learning_rate" not in charts
    assert "spread" not in charts


def test_positive_losses_of_different_sizes_have_a_logarithmic_axis() -> None:
    far = {"training": {"g/l1": [(1.0, 100.0), (2.0, 0.1)]}}
    assert {"0.1", "1", "10", "100"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", training_charts(far)))
    negative = {"training": {"g/l1": [(1.0, 100.0), (2.0, -1.0)]}}
    assert "50" in re.findall(r"<text[^>]*>([^<]*)</text>", training_charts(negative))
