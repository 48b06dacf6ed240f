import numpy as np
import pytest
import torch

from ganvas.content_gate import gate
from ganvas.errors import ConfigError, ImageError, InputError, PolicyRefusal
from ganvas.image.files import read_image, read_label
from ganvas.image.label import SOURCE_TYPE
from ganvas.image.picture import PictureSpec
from ganvas.inference import sampling
from ganvas.inference.config import SampleConfig
from ganvas.inference.sampling import GRID_NAME, noise_seed, sample_files
from ganvas.methods import CycleGANConfig, DomainGANConfig, VAEConfig
from ganvas.methods.base import build
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

ONE_SIDE = VAEConfig(width=2, latent_size=4)
TWO_SIDES = DomainGANConfig(width=2, z_size=4)
DEEP = PictureSpec(dtype="uint16", channels=5, value_range=(0.0, 65535.0))


def write_run(folder, config=ONE_SIDE, spec=None, size=(16, 16)):
    """Write a run with large weights and trained norm statistics, so that other noise and statistics are visible."""
    spec = spec or PictureSpec()
    write_run_record(folder, RunRecord(method=config, input=spec, output=spec, image_size=size))
    torch.manual_seed(0)
    method = build(config, input_channels=spec.channels, output_channels=spec.channels, image_size=size)
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.mul_(4)
    save_snapshot(snapshot_path(folder, "last"), method.eval(), images_seen=1)
    return method


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def draw(run, out, **options):
    return sample_files(SampleConfig(run, out, device="cpu", **options), progress=False)


def test_pictures_and_a_grid_are_written_and_labeled(tmp_path):
    write_run(tmp_path / "run")
    report = draw(tmp_path / "run", tmp_path / "out", count=10)
    files = [f"{number:05d}.png" for number in range(10)]
    assert names(tmp_path / "out") == [*files, GRID_NAME]
    assert [path.name for path in report.written] == files
    assert all(read_label(path) == SOURCE_TYPE for path in (tmp_path / "out").iterdir())
    first = read_image(tmp_path / "out" / "00000.png").pixels
    assert first.shape == (16, 16, 3)
    grid = read_image(report.grid).pixels
    assert grid.shape == (2 * 16 + 4, 8 * 16 + 7 * 4, 3)
    assert np.array_equal(grid[:16, :16], first)
    assert str(report).startswith("10 pictures and")


@pytest.mark.usefixtures("no_folder_locks")
def test_pictures_are_sampled_where_folders_cannot_be_locked(tmp_path):
    write_run(tmp_path / "run")
    draw(tmp_path / "run", tmp_path / "out", count=1)
    assert names(tmp_path / "out") == ["00000.png", GRID_NAME]


@pytest.mark.usefixtures("no_folder_locks")
def test_a_failure_without_pictures_leaves_no_folder_where_folders_cannot_be_locked(tmp_path):
    write_run(tmp_path / "run", spec=DEEP)
    with pytest.raises(ImageError):
        draw(tmp_path / "run", tmp_path / "out", count=1, suffix=".png")
    assert not (tmp_path / "out").exists()


def test_a_picture_depends_on_the_seed_and_its_number_alone(tmp_path):
    write_run(tmp_path / "run")
    draw(tmp_path / "run", tmp_path / "few", count=2, seed=3)
    torch.rand(5)
    draw(tmp_path / "run", tmp_path / "many", count=5, seed=3)
    draw(tmp_path / "run", tmp_path / "others", count=2, seed=4)
    for name in ("00000.png", "00001.png"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
        assert (tmp_path / "few" / name).read_bytes() != (tmp_path / "others" / name).read_bytes()
    assert (tmp_path / "few" / "00000.png").read_bytes() != (tmp_path / "few" / "00001.png").read_bytes()


def test_the_global_random_state_is_put_back(tmp_path):
    write_run(tmp_path / "run")
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    draw(tmp_path / "run", tmp_path / "out", count=1)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.usefixtures("any_bfloat16")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_is_what_the_method_draws(tmp_path, precision):
    method = write_run(tmp_path / "run")
    draw(tmp_path / "run", tmp_path / "out", count=2, seed=7, precision=precision)
    torch.manual_seed(noise_seed(7, 1))
    with torch.no_grad():
        (wanted,) = method.sample(1)
    levels = ((wanted[0].permute(1, 2, 0) + 1) * 127.5).numpy()
    found = read_image(tmp_path / "out" / "00001.png").pixels
    away = np.abs(found - levels)
    assert away.max() < 0.6 if precision == "float32" else away.mean() < 3


def test_of_two_sides_pictures_of_one_name_belong_together(tmp_path):
    method = write_run(tmp_path / "run", TWO_SIDES)
    report = draw(tmp_path / "run", tmp_path / "out", count=3)
    assert names(tmp_path / "out") == [f"{side}/{number:05d}.png" for side in "ab" for number in range(3)] + [GRID_NAME]
    assert len(report.written) == 6
    torch.manual_seed(noise_seed(0, 2))
    with torch.no_grad():
        drawn = method.sample(1)
    for side, images in zip("ab", drawn, strict=True):
        found = read_image(tmp_path / "out" / side / "00002.png").pixels
        assert np.abs(found - ((images[0].permute(1, 2, 0) + 1) * 127.5).numpy()).max() < 0.6


def test_deep_pictures_of_many_channels_become_tiff(tmp_path):
    write_run(tmp_path / "run", spec=DEEP)
    draw(tmp_path / "run", tmp_path / "out", count=1)
    assert names(tmp_path / "out") == ["00000.tif", GRID_NAME]
    picture = read_image(tmp_path / "out" / "00000.tif")
    assert (picture.pixels.dtype, picture.pixels.shape) == (np.uint16, (16, 16, 5))


def test_another_format_can_be_asked_for(tmp_path):
    write_run(tmp_path / "run")
    draw(tmp_path / "run", tmp_path / "out", count=1, suffix=".npy")
    assert names(tmp_path / "out") == ["00000.npy", "00000.npy.json", GRID_NAME]
    write_run(tmp_path / "deep", spec=DEEP)
    with pytest.raises(ImageError, match=r"write \.tif or \.npy"):
        draw(tmp_path / "deep", tmp_path / "none", count=1, suffix=".png")
    assert not (tmp_path / "none").exists()


def refuse(monkeypatch, refused):
    """Let the gate refuse the calls with these numbers."""
    calls = iter(range(1_000))
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 if next(calls) in refused else 0.1)
    gate.forget_scorer()


def test_a_refused_picture_is_left_out_and_named(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    refuse(monkeypatch, {1})
    with pytest.raises(PolicyRefusal, match="00001") as caught:
        draw(tmp_path / "run", tmp_path / "out", count=3)
    assert caught.value.exit_code == PolicyRefusal.exit_code
    assert names(tmp_path / "out") == ["00000.png", "00002.png", GRID_NAME]
    grid = read_image(tmp_path / "out" / GRID_NAME).pixels
    assert (grid[:, 20:36] == sampling.GRAY).all()
    assert not (grid[:, 40:56] == sampling.GRAY).all()


def test_of_a_pair_both_are_left_out(tmp_path, monkeypatch):
    write_run(tmp_path / "run", TWO_SIDES)
    refuse(monkeypatch, {0, 3})  # a of the first pair, b of the second
    with pytest.raises(PolicyRefusal, match="2 of 6 pictures") as caught:
        draw(tmp_path / "run", tmp_path / "out", count=3)
    assert "a/00000" in str(caught.value)
    assert "b/00001" in str(caught.value)
    assert names(tmp_path / "out") == ["a/00002.png", "b/00002.png", GRID_NAME]


def test_a_gate_that_fails_refuses_all(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("no such model")

    write_run(tmp_path / "run")
    monkeypatch.setattr(gate, "load_scorer", broken)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match="no such model"):
        draw(tmp_path / "run", tmp_path / "out", count=2)
    assert not (tmp_path / "out").exists()


def test_a_method_that_only_translates_says_what_draws(tmp_path):
    record = RunRecord(method=CycleGANConfig(), input=PictureSpec(), output=PictureSpec(), image_size=(32, 32))
    write_run_record(tmp_path / "run", record)
    with pytest.raises(ConfigError, match=r"CycleGAN translates .* use ganvas translate.*VAE"):
        draw(tmp_path / "run", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "mend"),
    [({"count": 0}, "at least 1"), ({"suffix": ".gif"}, "is not supported"), ({}, "another folder")],
)
def test_what_cannot_be_done_is_said_before_anything_is_drawn(tmp_path, monkeypatch, options, mend):
    write_run(tmp_path / "run")
    if not options:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "00000.png").touch()
    monkeypatch.setattr(sampling, "load_generators", None)
    with pytest.raises(InputError, match=mend):
        draw(tmp_path / "run", tmp_path / "out", **options)


def test_neighbouring_seeds_share_no_draws():
    seeds = {noise_seed(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400
    assert all(0 <= value < 2**63 for value in seeds)
