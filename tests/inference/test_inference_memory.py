"""Memory of tiled translation: the picture, the result and a few tiles, however large the picture is."""

from __future__ import annotations

import subprocess
import sys

import pytest

SMALL, LARGE = 640, 3072
PEAK = """
import sys
import warnings
from pathlib import Path
import numpy as np
import torch
from ganvas.content_gate import gate
from ganvas.image.picture import PictureSpec
from ganvas.runs.record import RunRecord
from ganvas.inference.translator import Translator
from ganvas.localization import open_nsfw
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build

torch.set_num_threads(1)
warnings.simplefilter("ignore")
# the real views and look of record, without the network
gate.load_scorer = lambda: gate._RecordedScorer(lambda rgb: float(open_nsfw.record_input(rgb).sum() * 0), "none")
size, norm, dtype = int(sys.argv[1]), sys.argv[2], sys.argv[3]
config = Pix2PixConfig(width=4, depth=2, norm=norm, dropout=0.0, adversarial_weight=0.0)
spec = PictureSpec(dtype=dtype)
record = RunRecord(method=config, input=spec, output=spec, image_size=(32, 32))
translator = Translator(build(config, input_channels=3, output_channels=3, image_size=(32, 32)).eval(), record)
image = np.full((size, size, 3), 99, dtype)
result = translator.tiled(image, tile=256)
assert result.shape == image.shape
status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the peak of the parent
print(1024 * int(status.split("VmHWM:")[1].split()[0]))
"""


def peak(size: int, norm: str, dtype: str) -> int:
    """Return the peak resident memory in bytes of a process that translates one picture."""
    command = [sys.executable, "-c", PEAK, str(size), norm, dtype]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted otherwise")
@pytest.mark.parametrize(
    ("norm", "dtype", "views"),
    [("instance", "uint8", 0), ("none", "uint16", 1)],
)
def test_memory_grows_by_the_picture_and_no_more(norm: str, dtype: str, views: int) -> None:
    """Blended tiles keep strips as wide as the picture; the gate gets a deep picture in 8 bits."""
    samples = 3 * (LARGE**2 - SMALL**2)
    given_and_made = 2 * samples * (2 if dtype == "uint16" else 1)
    grown = peak(LARGE, norm, dtype) - peak(SMALL, norm, dtype)
    assert grown < given_and_made + views * samples + 45e6  # one float32 copy of the picture would be 108e6
