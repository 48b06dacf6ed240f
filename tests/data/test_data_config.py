import subprocess
import sys
from typing import Any

import pytest

from ganvas.data.config import PairedData, UnpairedData
from ganvas.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"crop_size": (0, 4)}, "positive"),
        ({"crop_size": (300, 256)}, "load_size larger"),
        ({"resize": "shorter_side", "load_size": (200, 300), "crop_size": (256, 128)}, "shorter side"),
        ({"jitter": 1.0}, "jitter"),
        ({"rotate": True, "crop_size": (256, 128)}, "rotate needs square crops"),
        ({"strength": (9.0, 8.0)}, "order"),
        ({"evaluation_size": (0, 1)}, "evaluation_size"),
        ({"value_range": (1.0, 1.0)}, "value_range"),
        ({"degrade": "mosaic", "strength": (7.5, 8.0)}, "whole pixels"),
        ({"layout": "folders", "degrade": "gray"}, "layout single"),
        ({"layout": "single"}, "degrade"),
    ],
)
def test_settings_out_of_range_name_themselves(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        PairedData(**settings)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"crop_size": (0, 4)}, "positive"),
        ({"crop_size": (300, 256)}, "load_size larger"),
        ({"resize": "shorter_side", "load_size": (200, 300), "crop_size": (256, 128)}, "shorter side"),
        ({"evaluation_size": (0, 1)}, "evaluation_size"),
        ({"value_range": (1.0, 1.0)}, "value_range"),
    ],
)
def test_unpaired_settings_too(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        UnpairedData(**settings)


def test_small_pictures_may_keep_their_size_whatever_load_size_says() -> None:
    assert PairedData(resize="none", crop_size=(300, 300)).load_size == (286, 286)


def test_reading_the_settings_imports_no_torch() -> None:
    code = "import sys, ganvas.data.config; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
