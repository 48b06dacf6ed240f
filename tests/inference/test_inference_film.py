"""Translation of films: frames equal translated pictures, timestamps and sound stay, resumption gives equal bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from film_maker import make_film, pixels, spoil
from inference_runs import write_tiny_run
from onnx_models import write_network
from PIL import Image

from ganvas.content_gate import gate
from ganvas.errors import Cancelled, ConfigError, InputError, PartialFailure, PolicyRefusal, VideoError
from ganvas.image.files import SkippedWarning, write_image
from ganvas.image.label import SOURCE_TYPE
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference import film
from ganvas.inference.config import FilmOptions
from ganvas.inference.folder import TranslationReport, translate_files
from ganvas.inference.frames import run_frames
from ganvas.inference.translator import ConversionWarning, Translator
from ganvas.methods import SRResNetConfig
from ganvas.progress import reporting_to
from ganvas.runs.export_metadata import ExportMetadata
from ganvas.video import probe, read_film_label, read_video, write_video
from recorded_progress import RecordedProgress

REAL = (
    "vfr.mp4", "rotated.mp4", "ten_bit.mkv", "tracks.mp4", "anamorphic.ts", "odd_size.mkv", "webm.webm", "animated.gif",
    "animated.webp", "animated.png",
)  # fmt: skip
UNEVEN = [0, 300, 900, 1000, 2500, 2600]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run")


def translate(run: Path, source: Path, out: Path, **settings: object) -> TranslationReport:
    return translate_files(run, source, out, device="cpu", progress=False, **settings)  # type: ignore[arg-type]


def long_film(path: Path, frames: int = 30, **settings: object) -> Path:
    """Write a film with a key frame at every fifth frame, so with segments of a fifth of a second."""
    options = {"g": "5", "sc_threshold": "0", "preset": "ultrafast"}
    return make_film(path, frames=frames, options=options, **settings)  # type: ignore[arg-type]


def times(path: Path) -> list[Fraction]:
    info = probe(path)
    return [frame.pts * info.time_base for frame in read_video(info)]


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def bar(monkeypatch: pytest.MonkeyPatch, *barred: np.ndarray) -> None:
    """Let the gate refuse these pixels and nothing else."""
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: float(any(np.array_equal(rgb, b) for b in barred)))
    gate.forget_scorer()


def test_every_frame_is_translated_as_a_picture_at_its_time(run: Path, tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mkv", frames=6, codec="ffv1", pixel_format="bgr0", stamps=UNEVEN)
    report = translate(run, source, tmp_path / "made.mkv")
    assert report.written == [tmp_path / "made.mkv"]
    translator = Translator.load(run, device="cpu")
    made = list(read_video(tmp_path / "made.mkv"))
    for before, after in zip(read_video(source), made, strict=True):
        np.testing.assert_array_equal(after.picture.pixels, translator(before.picture).pixels)
    assert times(source) == times(tmp_path / "made.mkv")
    assert read_film_label(tmp_path / "made.mkv") == SOURCE_TYPE
    assert hidden(tmp_path) == []


def test_sound_and_metadata_stay_and_sound_can_be_dropped(run: Path, tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mp4", sound=("eng", "deu"), metadata={"title": "Summer"})
    translate(run, source, tmp_path / "made.mp4")
    translate(run, source, tmp_path / "mute.mp4", film=FilmOptions(sound=False))
    with av.open(tmp_path / "made.mp4") as made, av.open(source) as original, av.open(tmp_path / "mute.mp4") as mute:
        assert [s.language for s in made.streams.audio] == ["eng", "deu"]
        assert made.metadata["title"] == "Summer"
        assert len(mute.streams.audio) == 0
        packets = [[bytes(p) for p in one.demux(one.streams.audio[0]) if p.size] for one in (original, made)]
        assert packets[0] == packets[1]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_stays_one(run: Path, tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(pixels(number, 32, 48)) for number in range(3)]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], duration=[40, 200, 70], **options)
    translate(run, tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", film=FilmOptions(crf=20))
    before, after = list(read_video(tmp_path / f"a{suffix}")), list(read_video(tmp_path / f"b{suffix}"))
    assert [frame.duration for frame in before] == [frame.duration for frame in after]
    assert read_film_label(tmp_path / f"b{suffix}") == SOURCE_TYPE
    if suffix != ".gif":
        expected = Translator.load(run, device="cpu")(before[1].picture).pixels
        np.testing.assert_array_equal(after[1].picture.pixels[:, :, :3], expected[:, :, :3])


def test_a_folder_of_pictures_and_films(run: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    folder, out = tmp_path / "mixed", tmp_path / "out"
    for name in ("a.png", "c.jpg", "e.png"):
        write_image(folder / name, Picture(rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)))
    make_film(folder / "b.mp4", frames=3)
    make_film(folder / "d.MOV", frames=3)
    (folder / "still.gif").write_bytes(b"")
    Image.fromarray(pixels(0)).save(folder / "still.gif")
    (folder / "f.mp4").write_bytes(b"no film")
    with pytest.warns(SkippedWarning, match=r"still\.gif$"), pytest.raises(PartialFailure) as caught:
        translate(run, folder, out)
    assert set(caught.value.failures) == {"f.mp4"}
    assert {path.name for path in out.iterdir()} == {"a.png", "c.jpg", "e.png", "b.mp4", "d.MOV", "translate.jsonl"}
    rows = {row["name"]: row for row in map(json.loads, (out / "translate.jsonl").read_text().splitlines())}
    assert rows["b.mp4"].keys() == rows["a.png"].keys()
    assert len(rows["b.mp4"]["output"]) == len(rows["b.mp4"]["input"]) == 64
    (folder / "f.mp4").unlink()
    (folder / "still.gif").unlink()
    made = (out / "b.mp4").read_bytes()
    assert len(translate(run, folder, out).skipped) == 5
    assert {p.name for p in translate(run, folder, out, film=FilmOptions(crf=30)).written} == {"b.mp4", "d.MOV"}
    assert (out / "b.mp4").read_bytes() != made
    report = translate(run, folder, tmp_path / "other", suffix=".mkv")
    assert {p.name for p in report.written} == {"a.png", "b.mkv", "c.jpg", "d.mkv", "e.png"}
    assert {p.suffix for p in translate(run, folder, tmp_path / "third", suffix=".tif").written} == {
        ".tif", ".mp4", ".MOV",
    }  # fmt: skip


def test_an_unknown_file_in_the_place_of_a_film_is_kept(run: Path, tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mp4", frames=3)
    (tmp_path / "out").mkdir()
    make_film(tmp_path / "out" / "film.mp4", frames=2)
    kept = (tmp_path / "out" / "film.mp4").read_bytes()
    with pytest.raises(InputError, match="already exists and is not a translation"):
        translate(run, source, tmp_path / "out")
    assert (tmp_path / "out" / "film.mp4").read_bytes() == kept
    (tmp_path / "out" / "film.mp4").unlink()
    translate(run, source, tmp_path / "out")
    (tmp_path / "out" / "translate.jsonl").unlink()  # as if killed before the row was written
    assert len(translate(run, source, tmp_path / "out").written) == 1


def test_a_refused_frame_refuses_the_film_and_names_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "SECONDS", 0.1)
    source = long_film(tmp_path / "film.mp4")
    barred = list(read_video(source))[17].picture.pixels
    bar(monkeypatch, barred)
    with pytest.raises(PolicyRefusal, match=r"film\.mp4, frame 17 \(0\.680 s\)"):
        translate(run, source, tmp_path / "made.mp4")
    bar(monkeypatch, Translator.load(run, device="cpu")(list(read_video(source))[3].picture).pixels)
    with pytest.raises(PolicyRefusal, match=r"film\.mp4, frame 3 \(0\.120 s\) \(translated\)"):
        translate(run, source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.rglob("*.mp4")) == ["film.mp4"]
    assert hidden(tmp_path) == []


def test_every_frame_is_scored_going_in_and_coming_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = []
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: scored.append(rgb.copy()) or 0.0)
    gate.forget_scorer()
    source = make_film(tmp_path / "film.mp4", frames=5)
    translate(run, source, tmp_path / "made.mkv")
    seen = {one.tobytes() for one in scored}
    translator = Translator.load(run, device="cpu")
    for frame in read_video(source):
        assert frame.picture.pixels.tobytes() in seen
        assert translator(frame.picture).pixels.tobytes() in seen


def test_an_interrupted_film_goes_on_and_is_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "SECONDS", 0.1)
    source = long_film(tmp_path / "film.mp4", sound=("eng",))
    translate(run, source, tmp_path / "whole" / "made.mp4")
    network, calls = Translator._network, 0

    def interrupted(self: Translator, signed: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 13:
            raise KeyboardInterrupt
        return network(self, signed)

    monkeypatch.setattr(Translator, "_network", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate(run, source, tmp_path / "made.mp4")
    assert not (tmp_path / "made.mp4").exists()
    (folder,) = hidden(tmp_path)
    parts = sorted(folder.glob("*.part"))
    assert 1 <= len(parts) < 6
    translate(run, source, tmp_path / "made.mp4")
    assert calls < 13 + 30 - 5 + 8  # the finished segment was not translated again
    assert (tmp_path / "made.mp4").read_bytes() == (tmp_path / "whole" / "made.mp4").read_bytes()
    assert hidden(tmp_path) == []


@pytest.mark.slow
def test_parts_of_other_settings_or_damaged_ones_are_made_again(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "SECONDS", 0.1)
    source = long_film(tmp_path / "film.mp4")
    translate(run, source, tmp_path / "whole.mp4")
    joining = film.join_segments

    def interrupted(*args: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(film, "join_segments", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate(run, source, tmp_path / "made.mp4", seed=1)  # all parts exist already
    with pytest.raises(KeyboardInterrupt):
        translate(run, source, tmp_path / "made.mp4")
    (folder,) = hidden(tmp_path)
    parts = sorted(folder.glob("*.part"))
    assert len(parts) == 6
    parts[2].write_bytes(parts[2].read_bytes()[:-9])
    parts[3].with_suffix(".json").write_text('{"of_another_version": 1}')
    parts[4].with_suffix(".json").write_text('{"num_')
    monkeypatch.setattr(film, "join_segments", joining)
    translate(run, source, tmp_path / "made.mp4")
    assert (tmp_path / "made.mp4").read_bytes()[-200:] == (tmp_path / "whole.mp4").read_bytes()[-200:]
    assert times(tmp_path / "made.mp4") == times(source)


def test_a_full_disk_keeps_what_is_finished(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_film(tmp_path / "film.mp4", frames=3)

    def full(*args: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(film, "join_segments", full)
    with pytest.raises(OSError, match="No space"):
        translate(run, source, tmp_path / "made.mp4")
    assert len(list(hidden(tmp_path)[0].glob("*.part"))) == 1


def test_progress_is_by_frames_and_cancels(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "SECONDS", 0.1)
    source = long_film(tmp_path / "film.mp4")
    told = RecordedProgress()
    with reporting_to(told):
        translate_files(run, source, tmp_path / "made.mp4", device="cpu")
    frames = [(done, total) for task, done, total in told.reports if task == "frames"]
    assert frames[0] == (0, 30)
    assert frames[-1] == (30, 30)
    assert [done for done, _ in frames] == sorted(done for done, _ in frames)

    class Stopping(RecordedProgress):
        def __call__(self, task: str, done: int, total: int) -> None:
            if task == "frames" and done == 7:
                self.cancel()

    with reporting_to(Stopping()), pytest.raises(Cancelled):
        translate_files(run, source, tmp_path / "again.mp4", device="cpu")
    assert not (tmp_path / "again.mp4").exists()


def test_a_preview_is_the_beginning(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "SECONDS", 0.1)
    source = long_film(tmp_path / "film.mkv", sound=("eng",))
    translate(run, source, tmp_path / "made.mkv", film=FilmOptions(preview=0.5))
    assert len(times(tmp_path / "made.mkv")) == 13  # at 25 per second: 0.00 to 0.48 s
    with av.open(tmp_path / "made.mkv") as made:
        assert max(p.pts * p.time_base for p in made.demux(made.streams.audio[0]) if p.pts is not None) < 0.5
    with pytest.raises(ConfigError, match="preview 0 must be more"):
        FilmOptions(preview=0)


def test_damaged_frames_are_an_error_or_listed(run: Path, tmp_path: Path) -> None:
    source = spoil(make_film(tmp_path / "film.mp4", frames=12, options={"bf": "0"}), 6)
    with pytest.raises(VideoError, match=r"frame 6 .*--skip-damaged"):
        translate(run, source, tmp_path / "made.mp4")
    assert not (tmp_path / "made.mp4").exists()
    with pytest.warns(ConversionWarning, match=r"damaged frames, each replaced by the previous frame: 6 \(0\.240 s\)"):
        translate(run, source, tmp_path / "made.mp4", film=FilmOptions(skip_damaged=True))
    assert len(times(tmp_path / "made.mp4")) == 12


def test_hdr_is_refused_with_the_remedy(run: Path, tmp_path: Path) -> None:
    tags = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    source = make_film(tmp_path / "hdr.mkv", frames=2, codec="ffv1", pixel_format="yuv420p10le", tags=tags)
    with pytest.raises(VideoError, match=r"hdr\.mkv: in high dynamic range .*convert it first: ffmpeg"):
        translate(run, source, tmp_path / "made.mkv")


def test_hdr_goes_through_a_run_that_was_trained_on_it(tmp_path: Path) -> None:
    """Color tags, mastering display metadata and 10 bits are preserved; other transfer functions are refused."""
    tags = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    spec = PictureSpec(dtype="uint16", transfer="pq")
    run = write_tiny_run(tmp_path / "run", input=spec, output=spec)
    for name, codec in (("hdr.mkv", "ffv1"), ("hdr.mp4", "libx265")):
        options = {"x265-params": "log-level=none:max-cll=900,400"} if codec == "libx265" else {}
        source = make_film(
            tmp_path / name, frames=12, codec=codec, pixel_format="yuv420p10le", tags=tags, options=options
        )
        before = probe(source)
        translate(run, source, tmp_path / f"made-{name}")
        after = probe(tmp_path / f"made-{name}")
        assert before.color.hdr == "pq"
        assert (after.color, after.bit_depth, after.codec) == (before.color, 10, before.codec)
        assert after.hdr_metadata == before.hdr_metadata
        assert bool(after.hdr_metadata) == (codec == "libx265")
        levels = np.unique(next(iter(read_video(after))).picture.pixels)
        assert (np.abs(levels / 257 - np.rint(levels / 257)) > 0.1).any()  # between the levels of 8 bits
    plain = make_film(tmp_path / "plain.mp4", frames=2)
    with pytest.raises(VideoError, match=r"in standard range, and the run was trained in high dynamic range \(PQ\)"):
        translate(run, plain, tmp_path / "made.mp4")
    tags |= {"color_trc": 18}
    hlg = make_film(tmp_path / "hlg.mkv", frames=2, codec="ffv1", pixel_format="yuv420p10le", tags=tags)
    with pytest.raises(VideoError, match=r"\(HLG\), and the run was trained in high dynamic range \(PQ\); use films"):
        translate(run, hlg, tmp_path / "made.mkv")


def test_hdr_goes_through_the_export_of_such_a_run(tmp_path: Path) -> None:
    spec = PictureSpec(dtype="uint16", transfer="pq")
    metadata = ExportMetadata(
        version="0", run="hdr", method="Pix2Pix", direction="a_to_b", input=spec, output=spec, context=0,
        weights_sha256="0" * 64,
    )  # fmt: skip
    exported = write_network(tmp_path / "hdr.onnx", metadata=metadata.to_strings())
    tags = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    source = make_film(tmp_path / "hdr.mkv", frames=2, codec="ffv1", pixel_format="yuv420p10le", tags=tags)
    translate(exported, source, tmp_path / "made.mkv")
    assert probe(tmp_path / "made.mkv").color.hdr == "pq"
    with pytest.raises(VideoError, match=r"in standard range, and the run was trained in high dynamic range \(PQ\)"):
        translate(exported, make_film(tmp_path / "plain.mp4", frames=2), tmp_path / "made.mp4")


@pytest.mark.filterwarnings("ignore:uint16 was converted")
def test_ten_bits_stay_ten_with_a_deep_run_and_are_told_otherwise(run: Path, tmp_path: Path) -> None:
    source = make_film(tmp_path / "deep.mkv", frames=3, codec="ffv1", pixel_format="yuv444p10le")
    with pytest.warns(ConversionWarning, match="has 10 bits per pixel value, and the run generates 256 levels"):
        translate(run, source, tmp_path / "shallow.mkv")
    assert probe(tmp_path / "shallow.mkv").bit_depth == 10
    deep = PictureSpec(dtype="uint16")
    translate(write_tiny_run(tmp_path / "deep", input=deep, output=deep), source, tmp_path / "made.mkv")
    assert probe(tmp_path / "made.mkv").bit_depth == 10
    levels = np.unique(next(iter(read_video(tmp_path / "made.mkv"))).picture.pixels)
    assert (np.abs(levels / 257 - np.rint(levels / 257)) > 0.1).any()  # between the levels of 8 bits


def test_a_run_of_other_channels_is_refused_before_work(tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mp4", frames=2)
    gray = PictureSpec(channels=1)
    with pytest.raises(VideoError, match="frames have 3 channels, and the run expects 1; train one on RGB"):
        translate(write_tiny_run(tmp_path / "gray", input=gray, output=gray), source, tmp_path / "made.mp4")
    translate(write_tiny_run(tmp_path / "to_gray", output=gray), source, tmp_path / "made.mp4")
    odd = PictureSpec(dtype="uint16", channels=3, value_range=(0, 4095))
    with pytest.raises(VideoError, match="with values 0 to 4095, which no film format supports"):
        translate(write_tiny_run(tmp_path / "odd", output=odd), source, tmp_path / "other.mp4")


def test_a_film_grows_by_the_scale_of_the_method(tmp_path: Path) -> None:
    config = SRResNetConfig(width=4, num_blocks=1)
    run = write_tiny_run(tmp_path / "run", config)  # type: ignore[arg-type]
    translate(run, make_film(tmp_path / "film.mp4", frames=2, size=(24, 32)), tmp_path / "made.mp4")
    info = probe(tmp_path / "made.mp4")
    assert (info.height, info.width) == (24 * config.scale, 32 * config.scale)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("made.jpg", r"\.jpg cannot be written; use one of .*\.mkv"),
        ("made.wmv", r"\.wmv cannot be written; use one of .*\.mkv"),
        ("made.webm", "does not support"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(
    run: Path, tmp_path: Path, out: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translator, "translate_many", lambda *_args, **_more: pytest.fail("translated"))
    source = make_film(tmp_path / "film.mkv", frames=2, sound=("eng",))
    options = FilmOptions(codec="h264")
    with pytest.raises(InputError, match=message):
        translate(run, source, tmp_path / out, film=options)
    assert hidden(tmp_path) == []


def test_masks_are_for_pictures(run: Path, tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mkv", frames=2)
    write_image(tmp_path / "mask.png", Picture(np.full((48, 64, 1), 255, np.uint8)))
    with pytest.raises(ConfigError, match="--mask applies to pictures"):
        translate(run, source, tmp_path / "made.mkv", mask=tmp_path / "mask.png")


def test_from_python(run: Path, tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mkv", frames=5, codec="ffv1", pixel_format="bgr0")
    translator = Translator.load(run, device="cpu")
    write_video(tmp_path / "made.mkv", translator.translate_frames(read_video(source)), like=source)
    translate(run, source, tmp_path / "command.mkv")
    pairs = zip(read_video(tmp_path / "made.mkv"), read_video(tmp_path / "command.mkv"), strict=True)
    assert all(np.array_equal(a.picture.pixels, b.picture.pixels) for a, b in pairs)
    assert list(translator.translate_frames(iter(()))) == []


def test_few_frames_are_held_at_once(run: Path, tmp_path: Path) -> None:
    read, done, most = 0, 0, 0
    source = make_film(tmp_path / "film.mkv", frames=60)

    def frames() -> object:
        nonlocal read, most
        for frame in read_video(source):
            read += 1
            most = max(most, read - done)
            yield frame

    for _ in run_frames(Translator.load(run, device="cpu"), frames(), name="film"):  # type: ignore[arg-type]
        done += 1
    assert done == 60
    assert most <= 20


KILLED = """
import os, shutil, signal, sys, time
from pathlib import Path
import numpy as np
from ganvas.content_gate import gate
from ganvas.inference import film
from ganvas.inference.folder import translate_files

run, source, folder = map(Path, sys.argv[1:4])
gate.load_scorer = lambda: lambda rgb: 0.0
film.SECONDS = 0.1


def translate(out, seconds):
    "Translate in a separate process, killed this many seconds after the run is loaded; return how long it worked."
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        planned = film.plan_segments
        film.plan_segments = lambda *args, **more: (os.write(writing, b"!"), planned(*args, **more))[1]
        translate_files(run, source, out, device="cpu", progress=False)
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    started = time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > started + seconds:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.002)
    return time.monotonic() - started


whole = translate(folder / "whole.mp4", 1e9)
expected = (folder / "whole.mp4").read_bytes()
for number, moment in enumerate(np.random.default_rng(0).uniform(0, 1, int(sys.argv[4]))):
    out = folder / str(number) / "made.mp4"
    translate(out, moment * whole)
    assert not out.exists() or out.read_bytes() == expected
    kept = len([*out.parent.rglob("*.part")])
    translate(out, 1e9)
    assert out.read_bytes() == expected
    assert [path.name for path in out.parent.iterdir()] == ["made.mp4"]
    print(kept)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(run: Path, tmp_path: Path) -> None:
    source = long_film(tmp_path / "film.mp4", frames=40, sound=("eng",))
    words = [sys.executable, "-c", KILLED, run, source, tmp_path, "20"]
    kept = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    assert len(kept) == 20
    assert len(set(kept)) > 2  # finished segments of different numbers existed


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
@pytest.mark.filterwarnings("ignore::ganvas.inference.translation.ConversionWarning")
def test_real_films(run: Path, real_data: Path, tmp_path: Path, name: str) -> None:
    source, out = real_data / "video" / name, tmp_path / name
    translate(run, source, out, film=FilmOptions(preview=1.0))
    before, after = probe(source), probe(out)
    given = [frame for frame in read_video(before) if frame.time < before.start + 1.0]
    made = list(read_video(after))
    assert len(given) == len(made)
    assert all(
        abs((a.time - given[0].time) - (b.time - made[0].time)) < 0.011 for a, b in zip(given, made, strict=True)
    )
    assert (after.height, after.width, after.bit_depth) == (before.height, before.width, before.bit_depth)
    assert (after.orientation, after.sample_aspect_ratio) == (before.orientation, before.sample_aspect_ratio)
    assert read_film_label(out) == SOURCE_TYPE


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["cut_short.mp4", "damaged.mp4", "audio_only.mp4", "not_a_film.mp4", "hdr10.mp4"])
def test_real_films_that_fail(run: Path, real_data: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(VideoError, match=name):
        translate(run, real_data / "video" / name, tmp_path / name)
    assert list(tmp_path.glob("*.mp4")) == []
