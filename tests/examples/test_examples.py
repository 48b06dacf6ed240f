"""Programs in examples/: each of them runs."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ganvas

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_photos(folder: Path, rng: np.random.Generator) -> None:
    for split in ("train", "test"):
        pixels = rng.integers(0, 256, (80, 72, 3), dtype=np.uint8)
        ganvas.write_image(folder / split / "one.png", ganvas.Picture(pixels))


def test_train_and_translate(tmp_path: Path, rng: np.random.Generator) -> None:
    write_photos(tmp_path / "photos", rng)
    restored = load_example("train_and_translate").main(tmp_path / "photos", tmp_path / "out", epochs=16)
    assert ganvas.read_image(restored).pixels.shape == (80, 72, 3)


def test_class_activation_map(tmp_path: Path) -> None:
    photo = pytest.importorskip("ganvas.demonstration.photographs")
    cat = next(one for one in photo.PHOTOGRAPHS if one.name == "cat")
    name = load_example("class_activation_map").main(photo.locate_photograph(cat), tmp_path / "heat.png")
    assert "cat" in name
    assert ganvas.read_image(tmp_path / "heat.png").pixels.shape == (300, 451, 3)


def test_inverse_cdf(capsys: pytest.CaptureFixture[str]) -> None:
    wanted, found = load_example("inverse_cdf").main()
    np.testing.assert_allclose(found, wanted, atol=0.03)
    assert len(capsys.readouterr().out.splitlines()) == 12


def test_gan_on_a_ring(capsys: pytest.CaptureFixture[str]) -> None:
    found = load_example("gan_on_a_ring").main(steps=8)
    assert found.modes == 8
    assert capsys.readouterr().out.count("of 8 modes") == 4


def test_every_example_is_run_here() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
