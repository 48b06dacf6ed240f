"""A run as a function from image to image: any kind, size and depth, tiles, noise, and the gate."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inference_runs import EXACT, FIVE_DEEP, FLOAT, NOISY, tiny_method, tiny_record, write_tiny_run
from PIL import Image

from ganvas.content_gate import gate
from ganvas.errors import Cancelled, ConfigError, ImageError, PolicyRefusal
from ganvas.image.files import write_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.folder import translate_files
from ganvas.inference.tiling import Span, TilePlan, TilingWarning, plan_tiles, run_tiles
from ganvas.inference.translator import ConversionWarning, Translator
from ganvas.methods import CUTConfig, CycleGANConfig, Pix2PixConfig, Pix2PixHDConfig, SRResNetConfig
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record
from recorded_progress import RecordedProgress


def translator_of(record: RunRecord | None = None, **settings: int) -> Translator:
    record = record or tiny_record()
    return Translator(tiny_method(record), record, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (1, 1), (1, 50), (5, 3), (64, 33)])
def test_any_size_comes_out_as_it_went_in(size: tuple[int, int], rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert translator_of()(image).shape == image.shape


NETS: dict[str, Any] = {"width": 4, "discriminator_width": 4, "residual_blocks": 1}
REFLECTING: dict[str, Any] = {
    "pix2pix_hd": Pix2PixHDConfig(**NETS, discriminator_scales=1),
    "enhanced": Pix2PixHDConfig(**NETS, discriminator_scales=1, enhancers=1),
    "cyclegan": CycleGANConfig(**NETS),
    "cut": CUTConfig(**NETS),
}


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (16, 16)])
@pytest.mark.parametrize("name", REFLECTING)
def test_networks_that_reflect_their_smallest_features_take_any_size(
    name: str, size: tuple[int, int], rng: np.random.Generator
) -> None:
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    translator = translator_of(tiny_record(REFLECTING[name], image_size=(128, 128)))
    assert translator(image).shape == image.shape
    with pytest.raises(ConfigError, match="smaller than the smallest input"):
        translator.tiled(image, tile=translator.model.size_multiple)


def test_a_multiple_of_the_size_is_not_padded(rng: np.random.Generator) -> None:
    record = tiny_record(input=FLOAT, output=FLOAT)
    translator = translator_of(record)
    image = rng.random((32, 48, 3), dtype=np.float32)
    with torch.inference_mode():
        plain = translator.method.translate(torch.from_numpy(image).permute(2, 0, 1)[None] * 2 - 1)
    np.testing.assert_allclose(translator(image), (plain[0].permute(1, 2, 0).numpy() + 1) / 2, atol=1e-6)


def test_every_kind_gives_its_own_kind(tmp_path: Path, rng: np.random.Generator) -> None:
    translator = Translator.load(write_tiny_run(tmp_path / "run"), device="cpu")
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "picture.png"
    write_image(path, Picture(pixels))
    expected = translator(pixels)
    assert expected.dtype == np.uint8
    for given in (path, str(path), Picture(pixels)):
        result = translator(given)
        assert isinstance(result, Picture)
        np.testing.assert_array_equal(result.pixels, expected)
    pillow = translator(Image.fromarray(pixels))
    assert isinstance(pillow, Image.Image)
    np.testing.assert_array_equal(np.asarray(pillow), expected)
    assert translator(path).source == path


def test_gray_arrays_keep_two_axes(rng: np.random.Generator) -> None:
    gray = PictureSpec(channels=1)
    translator = translator_of(tiny_record(input=gray, output=gray))
    assert translator(rng.integers(0, 256, (20, 30), dtype=np.uint8)).shape == (20, 30)
    assert translator(Image.new("L", (30, 20), 90)).mode == "L"


def test_sixteen_bits_and_five_channels_in_and_out(tmp_path: Path, rng: np.random.Generator) -> None:
    translator = translator_of(tiny_record(input=FIVE_DEEP, output=FIVE_DEEP))
    path = tmp_path / "deep.tif"
    write_image(path, Picture(rng.integers(0, 65536, (21, 34, 5), dtype=np.uint16)))
    result = translator(path)
    assert (result.pixels.dtype, result.pixels.shape) == (np.uint16, (21, 34, 5))
    assert np.unique(result.pixels).size > 256


def test_value_range_is_the_models(rng: np.random.Generator) -> None:
    twelve = PictureSpec(dtype="uint16", channels=3, value_range=(0.0, 4095.0))
    translator = translator_of(tiny_record(input=twelve, output=twelve))
    image = rng.integers(0, 4096, (16, 16, 3), dtype=np.uint16)
    full = translator_of(tiny_record(input=replace(twelve, value_range=(0.0, 65535.0)), output=FLOAT))
    scaled = full((image * (65535 / 4095)).round().astype(np.uint16))
    np.testing.assert_allclose(translator(image) / 4095, scaled, atol=1e-3)
    with pytest.raises(ImageError, match="trained on uint16 with values 0 to 4095; use uint16"):
        translator(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize(("low", "high", "level"), [(0.0, 4095.0, 62194), (100.0, 65535.0, 99)])
def test_a_picture_beyond_the_models_value_range_is_refused(
    tmp_path: Path, rng: np.random.Generator, low: float, high: float, level: int
) -> None:
    ranged = PictureSpec(dtype="uint16", channels=3, value_range=(low, high))
    translator = translator_of(tiny_record(input=ranged, output=ranged))
    image = rng.integers(200, 4096, (16, 16, 3), dtype=np.uint16)
    translator(image)
    image[3, 4, 1] = level
    write_image(tmp_path / "x.png", Picture(image))
    said = (
        rf"x\.png: values from .*{level}.*, but the model was trained on uint16 with values {low:g} to {high:g}; scale"
    )
    with pytest.raises(ImageError, match=said):
        translator(tmp_path / "x.png")
    natural = PictureSpec(dtype="uint16", channels=3)
    translator_of(tiny_record(input=natural, output=natural))(tmp_path / "x.png")


def test_opacity_is_carried_through(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (20, 21, 4), dtype=np.uint8)
    translator = translator_of(tiny_record(output=PictureSpec(dtype="uint16", value_range=(0.0, 65535.0))))
    result = translator(Picture(pixels, has_alpha=True))
    assert result.has_alpha
    np.testing.assert_array_equal(result.pixels[:, :, 3], pixels[:, :, 3].astype(np.uint16) * 257)
    np.testing.assert_array_equal(translator(pixels)[:, :, 3], pixels[:, :, 3].astype(np.uint16) * 257)


def test_gray_is_repeated_for_an_rgb_model_and_said(rng: np.random.Generator) -> None:
    gray = rng.integers(0, 256, (20, 20, 1), dtype=np.uint8)
    translator = translator_of()
    with pytest.warns(ConversionWarning, match="gray was repeated"):
        result = translator(gray)
    np.testing.assert_array_equal(result, translator(np.repeat(gray, 3, axis=2)))


def test_other_depths_are_converted_full_range_and_said(rng: np.random.Generator) -> None:
    eight = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    translator = translator_of()
    with pytest.warns(ConversionWarning, match=r"uint16 was converted to the model's uint8"):
        deep = translator(eight.astype(np.uint16) * 257)
    assert np.abs(deep.astype(int) - translator(eight)).max() <= 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 5), np.uint8), "5 channels, but the model expects 3; convert it to RGB first"),
        (np.zeros((8, 8, 3, 1), np.uint8), r"expected an array \(H, W\)"),
        (np.full((8, 8, 3), 7.0), r"outside \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), "NaN or infinite"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
    ],
)
def test_what_cannot_be_taken_names_the_mend(image: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        translator_of()(image)


def test_the_same_picture_twice_gives_the_same_output(rng: np.random.Generator) -> None:
    image, other = rng.integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    translator = translator_of(tiny_record(NOISY))
    first = translator(image)
    before = torch.random.get_rng_state()
    translator(other)
    np.testing.assert_array_equal(translator(image), first)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not np.array_equal(translator_of(tiny_record(NOISY), seed=1)(image), first)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("generator", ["unet", "resnet"])
def test_tiles_equal_the_whole_picture_where_the_reach_is_finite(
    generator: str, upsampling: str, rng: np.random.Generator
) -> None:
    config = replace(EXACT, generator=generator, upsampling=upsampling, residual_blocks=1)
    translator = translator_of(tiny_record(config, input=FLOAT, output=FLOAT))
    image = rng.random((93, 131, 3), dtype=np.float32)
    whole = translator(image)
    for tile in (68, 80):
        np.testing.assert_allclose(translator.tiled(image, tile=tile), whole, rtol=0, atol=1e-3 * whole.std())


def test_tiles_too_small_for_the_reach_are_blended_and_said(rng: np.random.Generator) -> None:
    translator = translator_of(tiny_record(input=FLOAT, output=FLOAT))
    image = rng.random((70, 90, 3), dtype=np.float32)
    context = translator.method.context
    assert context is not None
    with pytest.warns(TilingWarning, match=f"depends on {context} pixels around it.*would be exact"):
        tiled = translator.tiled(image, tile=48, overlap=4)
    assert np.abs(tiled - translator(image)).mean() < 0.01


def test_tiles_of_a_normalised_network_are_blended_and_said(rng: np.random.Generator) -> None:
    translator = translator_of(tiny_record(replace(EXACT, norm="instance"), input=FLOAT, output=FLOAT))
    image = rng.random((70, 90, 3), dtype=np.float32)
    for overlap in (None, 0, 8):
        with pytest.warns(TilingWarning, match="depends on the whole picture"):
            tiled = translator.tiled(image, tile=32, overlap=overlap)
        assert tiled.shape == image.shape
        assert 0 <= tiled.min() <= tiled.max() <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(translator.tiled(image, tile=96), translator(image))  # one tile


def tiled(image: np.ndarray, plan: TilePlan, translate: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply `run_tiles` to an array, and check that every position is written once."""
    result = np.full_like(image, np.nan)

    def make(row: Span, column: Span) -> np.ndarray:
        return translate(image[:, row.start : row.stop, column.start : column.stop])

    def write(top: int, left: int, part: np.ndarray) -> None:
        place = result[:, top : top + part.shape[1], left : left + part.shape[2]]
        assert np.isnan(place).all()
        place[:] = part

    run_tiles(plan, make, write, channels=len(image))
    return result


def test_blending_leaves_no_seam() -> None:
    image = np.broadcast_to(np.linspace(0, 1, 200, dtype=np.float32), (1, 160, 200))
    plan, _ = plan_tiles(160, 200, tile=64, overlap=8, multiple=4, context=None)
    steps = iter(np.linspace(-0.1, 0.1, len(plan.rows) * len(plan.columns)).astype(np.float32))
    result = tiled(image, plan, lambda tile: tile + next(steps))
    assert np.abs(np.diff(result[0] - image[0], axis=1)).max() < 0.2 / 8
    np.testing.assert_allclose(tiled(image, plan, lambda tile: tile), image, atol=1e-6)


@pytest.mark.parametrize("context", [None, 3])
def test_any_plan_puts_a_picture_together_again(context: int | None, rng: np.random.Generator) -> None:
    for _ in range(100):
        multiple = int(rng.choice([1, 2, 4]))
        height, width = (int(size) * multiple for size in rng.integers(1, 50, 2))
        tile = int(rng.integers(2 * multiple, 64))
        overlap = rng.choice([None, 0, int(rng.integers(0, max(1, tile // multiple * multiple // 2)))])
        image = rng.random((2, height, width), dtype=np.float32)
        plan, note = plan_tiles(height, width, tile=tile, overlap=overlap, multiple=multiple, context=context)
        result = tiled(image, plan, lambda tile: tile)
        np.testing.assert_allclose(result, image, rtol=0, atol=1e-6 if note else 0)


@pytest.mark.parametrize(("tile", "overlap"), [(2, None), (32, 16), (32, -1)])
def test_tiles_that_make_no_sense_are_refused(tile: int, overlap: int | None) -> None:
    with pytest.raises(ConfigError):
        translator_of().tiled(np.zeros((64, 64, 3), np.uint8), tile=tile, overlap=overlap)


def test_the_gate_sees_input_and_output(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    bright = np.full((20, 20, 3), 255, np.uint8)
    translator = translator_of()
    made = translator(bright)
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: float(rgb.mean() == 255))
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"^picture: refused"):
        translator(bright)
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: float(np.array_equal(rgb, made)))
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"picture \(translated\): refused"):
        translator(bright)


def test_unknown_devices_are_named() -> None:
    with pytest.raises(ConfigError, match="device 'abacus' is not available"):
        Translator(tiny_method(tiny_record()), tiny_record(), device="abacus")


BOTH = CycleGANConfig(width=4, residual_blocks=1, discriminator_width=4, receptive_field=16)


def test_the_way_back_swaps_what_goes_in_and_comes_out(tmp_path: Path, rng: np.random.Generator) -> None:
    record = tiny_record(BOTH, input=PictureSpec(), output=PictureSpec(dtype="uint16", channels=1))
    there, back = (Translator(tiny_method(record), record, direction=way) for way in ("a_to_b", "b_to_a"))
    color = rng.integers(0, 256, (20, 21, 3), dtype=np.uint8)
    gray = there(color)
    assert (gray.dtype, gray.shape) == (np.uint16, (20, 21, 1))
    again = back(gray)
    assert (again.dtype, again.shape) == (np.uint8, (20, 21, 3))
    assert back.record.input == record.output
    with pytest.raises(ImageError, match="3 channels, but the model expects 1"):
        back(color)


def test_a_direction_that_a_method_lacks_is_refused(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="a_to_b"):
        Translator.load(run, device="cpu", direction="b_to_a")
    image = np.zeros((8, 8, 3), np.uint8)
    write_image(tmp_path / "one.png", Picture(image))
    with pytest.raises(ConfigError, match="a_to_b"):
        translate_files(run, tmp_path / "one.png", tmp_path / "out", direction="b_to_a")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("any_bfloat16")
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_bfloat16_is_near_float32_and_repeats(tmp_path: Path, rng: np.random.Generator, dropout: float) -> None:
    run = write_tiny_run(tmp_path / "run", replace(NOISY, width=16, dropout=dropout))
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    full, half = (Translator.load(run, device="cpu", precision=name) for name in ("float32", "bfloat16"))
    made = half(image)
    np.testing.assert_array_equal(half(image), made)
    if not dropout:  # dropout draws other noise in bfloat16 on some processors
        assert 0 < np.abs(made.astype(int) - full(image)).mean() < 4  # weights 4 times as large as initial ones


def test_tiles_of_a_loaded_run_equal_the_whole_to_the_byte(tmp_path: Path, rng: np.random.Generator) -> None:
    translator = Translator.load(write_tiny_run(tmp_path / "run"), device="cpu")
    image = rng.integers(0, 256, (150, 170, 4), dtype=np.uint8)
    difference = translator.tiled(image, tile=68).astype(int) - translator(image)
    assert np.abs(difference).max() <= 1  # a value halfway between two levels
    assert (difference != 0).mean() < 1e-3
    np.testing.assert_array_equal(translator.tiled(image, tile=68)[:, :, 3], image[:, :, 3])


REACHING: dict[str, Any] = {
    "compact": SRResNetConfig(scale=2, generator="compact", width=8, num_blocks=2, norm="none"),
    "residual_unet": Pix2PixConfig(
        generator="residual_unet", width=8, unshuffle=2, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,),
        norm="none", dropout=0.0, adversarial_weight=0.0,
    ),
    "rrdb": SRResNetConfig(scale=1, generator="rrdb", width=4, growth=4, num_blocks=1, unshuffle=2, norm="none"),
}  # fmt: skip


@pytest.mark.parametrize("name", REACHING)
def test_tiles_of_every_generator_that_is_prepared_for_the_processor_are_exact(
    name: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    run, record = tmp_path / "run", tiny_record(REACHING[name])
    method = tiny_method(record, gain=1.0)
    with torch.no_grad():
        for parameter in method.parameters():  # the last weights of a residual generator are 0 at first
            parameter.add_(0.1 * torch.from_numpy(rng.standard_normal(parameter.shape)).float())
    write_run_record(run, record)
    save_snapshot(snapshot_path(run, "last"), method, images_seen=1)
    translator = Translator.load(run, device="cpu")
    assert translator.model.context == method.context
    picture = Picture(rng.integers(0, 256, (150, 130, 3)).astype(np.uint8))
    whole, tiled = translator(picture), translator.tiled(picture, tile=128)
    assert np.abs(whole.pixels.astype(int) - tiled.pixels).max() <= 1  # the shape of a tile chooses the algorithm
    assert whole.pixels.std() > 10


def test_tiles_are_reported_and_one_alone_is_not(tmp_path: Path) -> None:
    translator = Translator.load(write_tiny_run(tmp_path / "run"), device="cpu")
    tiled, whole = RecordedProgress(), RecordedProgress()
    picture = Picture(np.zeros((70, 40, 3), np.uint8))
    translator.translate_picture(picture, tile=48, progress=tiled)
    total = tiled.reports[0][2]
    assert total > 1
    assert tiled.reports == [("tiles", done, total) for done in range(1, total + 1)]
    translator.translate_picture(picture, progress=whole)
    assert not whole.reports


def test_a_cancelled_translation_stops_between_two_tiles(tmp_path: Path) -> None:
    translator = Translator.load(write_tiny_run(tmp_path / "run"), device="cpu")
    progress = RecordedProgress(lambda _task, done, _total: progress.cancel() if done == 2 else None)
    with pytest.raises(Cancelled):
        translator.translate_picture(Picture(np.zeros((70, 40, 3), np.uint8)), tile=48, progress=progress)
    assert len(progress.reports) == 2
