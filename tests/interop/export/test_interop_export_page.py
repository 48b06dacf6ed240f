"""Programs in docs/export.md: they run, and their pictures equal those of the run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from inference_runs import EXACT, write_tiny_run

import ganvas
from ganvas import api
from ganvas.image.picture import Picture

PAGE = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.slow
def test_the_ten_lines_for_onnx_runtime_give_the_pictures_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata that the page names equal those of the file."""
    (program,) = (text for text in programs() if "InferenceSession" in text)
    assert len([line for line in program.splitlines() if line]) <= 10
    run = write_tiny_run(tmp_path / "runs" / "flowers", EXACT)
    picture = Picture(np.random.default_rng(0).integers(0, 256, (37, 21, 3)).astype(np.uint8))
    ganvas.write_image(tmp_path / "photo.png", picture)
    result = api.export(run, tmp_path / "flowers.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "docs/export.md", "exec"), {})
    theirs = ganvas.read_image(tmp_path / "translation.png").pixels.astype(int)
    assert np.abs(theirs - ganvas.load(run, device="cpu")(picture).pixels).max() <= 1

    keys = {key.removeprefix("ganvas.") for key in result.metadata.to_strings()}
    listed = PAGE.split("The metadata of the file ")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", listed)) - {"blended"} == keys - {"format", "version", "notice"}
