"""The web page of an exported run, in a real browser."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_runs import NOISY, write_tiny_run
from PIL import Image
from web_page import Visit, chromium, constant_classifier, red_and_green_exchanged, red_classifier, visiting

from ganvas.content_gate import THRESHOLD
from ganvas.errors import ConfigError
from ganvas.image.files import read_image, read_label, write_image
from ganvas.image.label import SOURCE_TYPE
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.tiling import TilingWarning
from ganvas.inference.translator import Translator
from ganvas.interop.export import web
from ganvas.interop.export.config import ExportConfig
from ganvas.interop.export.export import export_run, make_job
from ganvas.localization.open_nsfw import NSFWScorer, record_input
from ganvas.methods import SRResNetConfig

pytestmark = pytest.mark.skipif(find_spec("onnxscript") is None, reason="needs the extra export")

BLENDED = replace(NOISY, dropout=0.0)
GRAY = PictureSpec(channels=1)
ENLARGING: Any = SRResNetConfig(scale=2, width=4, num_blocks=1, norm="none")
RUNS: dict[str, Callable[[Path], Path]] = {
    "exact": write_tiny_run,
    "gray": lambda folder: write_tiny_run(folder, input=GRAY, output=GRAY),
    "blended": lambda folder: write_tiny_run(folder, BLENDED),
    "noisy": lambda folder: write_tiny_run(folder, NOISY),
    "enlarging": lambda folder: write_tiny_run(folder, ENLARGING),
}
SOFTWARE = " || adapter.info?.isFallbackAdapter"
Made = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classifier in place of Open NSFW that scores bright red as unsafe."""
    return red_classifier(tmp_path_factory.mktemp("classifier") / "red.onnx")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, classifier: Path) -> Made:
    """Return a function from the name of a method to its run and its page, which use the stub; each is created once."""
    made: dict[str, tuple[Path, Path]] = {}

    def make(name: str) -> tuple[Path, Path]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            run = RUNS[name](folder / "run")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(web, "gate_model", lambda: (classifier, sha256(classifier)))
                export_run(ExportConfig(run, folder / "page", format="web"))
            made[name] = run, folder / "page"
        return made[name]

    return make


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    with chromium() as launching:
        yield launching


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any]) -> Iterator[Any]:
    with launch() as running:
        yield running


@pytest.fixture
def page_of(exported: Made, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function from the name of a method to a copy of its page, which a test may change."""
    return lambda name: Path(shutil.copytree(exported(name)[1], tmp_path / "page"))


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """Write a picture with gradients, edges and noise as a JPEG file."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 60, (90, 130, 3)) + np.linspace(0, 190, 130).astype(int)[None, :, None]
    pixels[20:60, 30:80] = (40, 160, 70)
    return write_image_at(tmp_path / "photograph.jpg", pixels.astype(np.uint8))


def write_image_at(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_settings(page: Path, **values: Any) -> None:
    settings = json.loads((page / "ganvas.json").read_text(encoding="utf-8"))
    (page / "ganvas.json").write_text(json.dumps(settings | values), encoding="utf-8")


def difference(first: Picture, second: Picture) -> int:
    assert first.pixels.shape == second.pixels.shape
    return int(np.abs(first.pixels.astype(int) - second.pixels).max())


class TestFolder:
    """Files of the page, without a browser."""

    def test_it_holds_the_page_the_model_the_gate_and_the_runtime(
        self, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = tmp_path / "page"
        page.mkdir()
        monkeypatch.setattr(web, "gate_model", lambda: (classifier, sha256(classifier)))
        monkeypatch.setattr(web, "write_onnx", lambda job, folder: [red_and_green_exchanged(folder / "model.onnx")])
        job = make_job(ExportConfig(write_tiny_run(tmp_path / "run"), page, format="web"))
        written = web.write_web(job, page)
        assert written[-1] == page / "index.html"
        assert {path for path in page.rglob("*") if path.is_file()} == set(written)
        names = {path.relative_to(page).as_posix() for path in written}
        assert {"app.js", "worker.js", "style.css", "model.onnx", "open-nsfw.onnx", "LICENSES.txt"} <= names
        assert {"ort/ort.webgpu.min.js", "ort/ort-wasm-simd-threaded.asyncify.wasm"} <= names
        settings = json.loads((page / "ganvas.json").read_text(encoding="utf-8"))
        assert settings["gate"]["sha256"] == sha256(classifier) == sha256(page / "open-nsfw.onnx")
        for part in ("model", "gate", "runtime"):
            assert settings[part]["bytes"] == (page / settings[part]["file"]).stat().st_size
        assert (page / settings["runtime"]["loader"]).is_file()
        method = job.translator.method
        assert (settings["size_multiple"], settings["context"]) == (method.size_multiple, method.context)
        assert settings["label"]["DigitalSourceType"] == SOURCE_TYPE
        assert (page / "check.bin").stat().st_size == 2 * 3 * settings["check"]["height"] * settings["check"]["width"]

    def test_no_file_names_another_host(self) -> None:
        for asset in web.ASSETS.iterdir():
            if asset.name.endswith((".js", ".html", ".css")):
                text = asset.read_text(encoding="utf-8")
                assert "http://" not in text, asset.name
                assert "https://" not in text, asset.name

    def test_the_gate_is_open_nsfw(self) -> None:
        path, expected = web.gate_model()
        assert sha256(path) == expected

    def test_the_threshold_is_the_projects(self) -> None:
        assert f"const THRESHOLD = {THRESHOLD};" in (web.ASSETS / "gate.js").read_text(encoding="utf-8")

    def test_a_damaged_runtime_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "_unpacked", lambda folder, name: b"something else")
        with pytest.raises(web.ExportError, match="install ganvas again"):
            web.write_runtime(tmp_path / "ort")

    @pytest.mark.parametrize(
        "spec", [PictureSpec(channels=2), PictureSpec(dtype="uint16", value_range=(0, 4095))], ids=["two", "12-bit"]
    )
    def test_pictures_that_no_browser_has_are_refused(self, tmp_path: Path, spec: PictureSpec) -> None:
        run = write_tiny_run(tmp_path / "run", input=spec, output=spec)
        with pytest.raises(ConfigError, match="export it as onnx"):
            export_run(ExportConfig(run, tmp_path / "page", format="web"))
        assert not (tmp_path / "page").exists()


@pytest.mark.slow
class TestTranslation:
    """Results equal those of the translator."""

    def test_a_picture(self, browser: Any, exported: Made, photograph: Path, tmp_path: Path) -> None:
        run, page = exported("exact")
        with visiting(browser, page) as visit:
            written = visit.give(photograph).download(tmp_path / "out.png")
            assert "WebAssembly" in visit.device
            assert visit.page.evaluate("crossOriginIsolated")
            threads = visit.page.evaluate("Math.min(navigator.hardwareConcurrency, 8)")
            assert f"processor, {threads} thread" in visit.device
            assert visit.page.is_visible("text=Synthetic.")
        assert difference(read_image(written), Translator.load(run, device="cpu")(photograph)) <= 1
        assert read_label(written) == SOURCE_TYPE
        assert Image.open(written).text["Source"].endswith("(run)")

    @pytest.mark.parametrize("way", ["no service worker", "plain http"])
    def test_one_thread_computes_where_browsers_share_no_memory(
        self, launch: Callable[..., Any], exported: Made, photograph: Path, tmp_path: Path, way: str
    ) -> None:
        """There are no headers, and no service worker adds them: it is forbidden, or the context is not secure."""
        run, page = exported("exact")
        options = {"service_workers": "block"} if way == "no service worker" else {"host": "plain.test"}
        with (
            launch("--host-resolver-rules=MAP plain.test 127.0.0.1") as browser,
            visiting(browser, page, **options) as visit,
        ):
            written = visit.give(photograph).download(tmp_path / "out.png")
            assert not visit.page.evaluate("crossOriginIsolated")
            assert visit.page.evaluate("isSecureContext") == (way == "no service worker")
            assert "processor, 1 thread (WebAssembly)" in visit.device
        assert difference(read_image(written), Translator.load(run, device="cpu")(photograph)) <= 1

    @pytest.mark.realdata
    def test_real_photographs(self, browser: Any, exported: Made, real_data: Path, tmp_path: Path) -> None:
        run, page = exported("exact")
        translator = Translator.load(run, device="cpu")
        with visiting(browser, page) as visit:
            for number, path in enumerate(sorted((real_data / "bsds500" / "test").glob("*.jpg"))[:3]):
                written = visit.give(path).download(tmp_path / f"{number}.png")
                assert difference(read_image(written), translator(path)) <= 2

    @pytest.mark.parametrize(("name", "tile", "is_noted"), [("exact", 64, False), ("blended", 48, True)])
    def test_tiles(
        self, browser: Any, exported: Made, page_of: Any, tmp_path: Path, name: str, tile: int, is_noted: bool
    ) -> None:
        pixels = np.random.default_rng(2).integers(0, 256, (97, 161, 3)).astype(np.uint8)
        picture = write_image_at(tmp_path / "large.png", pixels)
        page = page_of(name)
        change_settings(page, tile=tile)
        with visiting(browser, page) as visit:
            written = visit.give(picture).download(tmp_path / "out.png")
            assert ("tiles" in visit.notes) == is_noted
        translator = Translator.load(exported(name)[0], device="cpu")
        with pytest.warns(TilingWarning, match="whole picture") if is_noted else nullcontext():
            wanted = translator.tiled(read_image(picture), tile=tile)
        assert difference(read_image(written), wanted) <= 1

    def test_a_graphics_processor(
        self, launch: Callable[..., Any], exported: Made, page_of: Any, photograph: Path, tmp_path: Path
    ) -> None:
        """Software WebGPU, which the page does not select by itself, and a device with wrong results."""
        page = page_of("exact")
        script = (page / "network.js").read_text(encoding="utf-8")
        assert SOFTWARE in script
        (page / "network.js").write_text(script.replace(SOFTWARE, ""), encoding="utf-8")
        flags = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
        with launch(*flags) as browser:
            with visiting(browser, page) as visit:
                if "WebGPU" not in visit.device:
                    pytest.skip("this Chromium has no WebGPU in software")
                written = visit.give(photograph).download(tmp_path / "out.png")
            wanted = Translator.load(exported("exact")[0], device="cpu")(photograph)
            assert difference(read_image(written), wanted) <= 2
            check = bytearray((page / "check.bin").read_bytes())
            check[-1] ^= 128
            (page / "check.bin").write_bytes(check)
            with visiting(browser, page) as visit:
                assert "WebAssembly" in visit.device
                assert "differs from ganvas by" in visit.device

    def test_enlargement(self, browser: Any, exported: Made, photograph: Path, tmp_path: Path) -> None:
        run, page = exported("enlarging")
        with visiting(browser, page) as visit:
            written = visit.give(photograph).download(tmp_path / "out.png")
        assert difference(read_image(written), Translator.load(run, device="cpu")(photograph)) <= 1

    def test_noise_that_is_switched_off_is_told(self, browser: Any, exported: Made) -> None:
        with visiting(browser, exported("noisy")[1]) as visit:
            assert "switched off" in visit.page.text_content("#about")

    def test_transparency_and_the_colors_under_it(self, browser: Any, exported: Made, tmp_path: Path) -> None:
        random = np.random.default_rng(3)
        pixels = random.integers(0, 256, (40, 50, 4)).astype(np.uint8)
        pixels[:20, :, 3], pixels[30:, :, 3] = 0, 255
        picture = write_image_at(tmp_path / "transparent.png", pixels)
        run, page = exported("exact")
        with visiting(browser, page) as visit:
            written = visit.give(picture).download(tmp_path / "out.png")
            approximate = "approximate" in visit.notes
        found, wanted = read_image(written), Translator.load(run, device="cpu")(read_image(picture))
        assert found.has_alpha
        assert (found.alpha == wanted.alpha).all()
        assert approximate or difference(found, wanted) <= 1

    def test_orientation(self, browser: Any, exported: Made, photograph: Path, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = write_image_at(tmp_path / "turned.jpg", np.asarray(Image.open(photograph)), exif=exif, quality=95)
        run, page = exported("exact")
        with visiting(browser, page) as visit:
            written = visit.give(turned).download(tmp_path / "out.png")
        wanted = Translator.load(run, device="cpu")(turned)
        assert wanted.pixels.shape[:2] == (130, 90)
        assert difference(read_image(written), wanted) <= 2

    def test_gray_models_take_gray_pictures_alone(
        self, browser: Any, exported: Made, photograph: Path, tmp_path: Path
    ) -> None:
        gray = write_image_at(tmp_path / "gray.png", np.asarray(Image.open(photograph).convert("L")))
        run, page = exported("gray")
        with visiting(browser, page) as visit:
            assert "takes gray" in visit.give(photograph).problem
            written = visit.give(gray).download(tmp_path / "out.png")
        wanted = Translator.load(run, device="cpu")(gray)
        assert wanted.pixels.shape[2] == 1
        assert difference(read_image(written), wanted) <= 1

    def test_sixteen_bits_are_told(self, browser: Any, exported: Made, tmp_path: Path) -> None:
        pixels = np.random.default_rng(4).integers(0, 65536, (20, 30, 3)).astype(np.uint16)
        write_image(tmp_path / "deep.png", Picture(pixels))
        with visiting(browser, exported("exact")[1]) as visit:
            visit.give(tmp_path / "deep.png").download(tmp_path / "out.png")
            assert "gives 8 of them" in visit.notes

    def test_files_that_cannot_be_taken_are_told_why(
        self, browser: Any, page_of: Any, photograph: Path, tmp_path: Path
    ) -> None:
        page = page_of("exact")
        change_settings(page, most_pixels=90 * 130 - 1)
        (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
        with visiting(browser, page) as visit:
            assert "at most 0 million" in visit.give(photograph).problem
            visit.page.reload()
            visit.page.wait_for_selector("#work[hidden]", state="attached")
            assert "cannot decode" in visit.give(tmp_path / "broken.png").problem


@pytest.mark.slow
class TestGate:
    """The gate of the page refuses what the project's gate refuses, and fails closed."""

    def test_a_refused_picture_is_not_translated(self, browser: Any, exported: Made, tmp_path: Path) -> None:
        red = write_image_at(tmp_path / "red.png", np.full((40, 40, 3), (255, 0, 0), np.uint8))
        with visiting(browser, exported("exact")[1]) as visit:
            assert "refuses this picture: Open NSFW scores it 1.000, above 0.8" in visit.give(red).problem
            assert visit.page.get_attribute("#after", "src") is None
            assert visit.page.get_attribute("#download", "href") is None

    def test_a_refused_result_is_not_shown(self, browser: Any, page_of: Any, tmp_path: Path) -> None:
        green = write_image_at(tmp_path / "green.png", np.full((40, 40, 3), (0, 255, 0), np.uint8))
        page = page_of("exact")
        red_and_green_exchanged(page / "model.onnx")
        with visiting(browser, page) as visit:
            assert "refuses this picture" in visit.give(green).problem
            assert visit.page.get_attribute("#after", "src") is None

    @pytest.mark.parametrize("fault", ["missing", "changed", "no hash", "no number", "above 1", "other input"])
    def test_it_fails_closed(self, browser: Any, page_of: Any, photograph: Path, fault: str) -> None:
        page = page_of("exact")
        model = page / "open-nsfw.onnx"
        settings = json.loads((page / "ganvas.json").read_text(encoding="utf-8"))["gate"]
        match fault:
            case "missing":
                model.unlink()
            case "changed":
                constant_classifier(model, 0.0)
            case "no hash":
                constant_classifier(model, 0.0)
                change_settings(page, gate=settings | {"sha256": None})
            case "no number" | "above 1":
                constant_classifier(model, float("nan") if fault == "no number" else 1.5)
                change_settings(page, gate=settings | {"sha256": sha256(model)})
            case "other input":
                red_and_green_exchanged(model)
                change_settings(page, gate=settings | {"sha256": sha256(model)})
        with visiting(browser, page, query="?gate=off&threshold=1#gate=off") as visit:
            assert "refused" in visit.give(photograph).problem
            assert visit.page.get_attribute("#after", "src") is None
            assert visit.page.get_attribute("#download", "href") is None

    @pytest.mark.parametrize("fault", ["worker.js", "gate.js", "model.onnx", "damaged"])
    def test_a_page_that_cannot_start_says_so_for_each_picture(
        self, browser: Any, page_of: Any, photograph: Path, fault: str
    ) -> None:
        page = page_of("exact")
        if fault == "damaged":
            (page / "model.onnx").write_bytes((page / "model.onnx").read_bytes()[:200])
        else:
            (page / fault).unlink()
        with visiting(browser, page) as visit:
            visit.page.wait_for_selector("#problem:not([hidden])")
            for _ in range(2):
                visit.page.evaluate("document.getElementById('problem').textContent = ''")
                visit.page.set_input_files("#file", photograph)
                visit.page.wait_for_selector("#problem:not([hidden]):not(:empty)")
                assert "xport" in visit.problem
                assert "again" in visit.problem
                assert not visit.page.is_visible("#work")
                assert not visit.page.is_visible("#result")

    @pytest.mark.real_gate
    @pytest.mark.realdata
    def test_scores_are_those_of_the_project(self, browser: Any, page_of: Any, real_data: Path, tmp_path: Path) -> None:
        page, scorer = page_of("exact"), NSFWScorer()
        model, expected = web.gate_model()
        shutil.copyfile(model, page / "open-nsfw.onnx")
        change_settings(page, gate={"file": "open-nsfw.onnx", "bytes": model.stat().st_size, "sha256": expected})
        score = """async (pixels) => {
            const [{ recordInput, admit }, { load, readSettings }] =
                await Promise.all([import("./gate.js"), import("./network.js")]);
            const rgba = Uint8ClampedArray.from(atob(pixels.data), (byte) => byte.charCodeAt(0));
            const { classify } = await load(await readSettings(), () => {});
            const picture = { pixels: rgba, width: pixels.width, height: pixels.height, gray: false };
            const input = recordInput(rgba, pixels.width, pixels.height);
            return [(await admit(picture, classify)).score, [...input]];
        }"""
        with visiting(browser, page) as visit:
            for path in sorted((real_data / "bsds500" / "test").glob("*.jpg"))[:3]:
                rgb = read_image(path).as_rgb8()
                found, input_ = visit.page.evaluate(score, as_rgba(rgb))
                assert (np.array(input_, np.float32) == record_input(rgb).ravel()).all()
                assert found == pytest.approx(scorer(rgb), abs=1e-4)


def as_rgba(rgb: np.ndarray) -> dict[str, Any]:
    import base64

    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    return {"data": base64.b64encode(rgba.tobytes()).decode(), "width": rgb.shape[1], "height": rgb.shape[0]}


@pytest.mark.slow
class TestUse:
    """Interaction with the page."""

    def test_cancel(self, browser: Any, page_of: Any, photograph: Path, tmp_path: Path) -> None:
        large = write_image_at(tmp_path / "large.png", np.zeros((1500, 2000, 3), np.uint8))
        page = page_of("exact")
        change_settings(page, tile=32)
        with visiting(browser, page) as visit:
            visit.page.set_input_files("#file", large)
            visit.page.wait_for_selector(r"#work:has(:text-matches('tile \\d+ of')) #left:text-matches('left')")
            visit.page.click("#cancel")
            visit.page.wait_for_selector("#work[hidden]", state="attached")
            assert not visit.page.is_visible("#result")
            assert not visit.problem
            visit.give(photograph).download(tmp_path / "out.png")

    def test_with_the_keyboard_alone(self, browser: Any, exported: Made, photograph: Path) -> None:
        with visiting(browser, exported("exact")[1]) as visit:
            page = visit.page
            page.on("filechooser", lambda chooser: chooser.set_files(photograph))
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == "choose"
            page.keyboard.press("Enter")
            page.wait_for_selector("#result:not([hidden])")
            assert page.evaluate("document.activeElement.id") == "download"
            page.keyboard.press("Shift+Tab")
            assert page.evaluate("document.activeElement.id") == "position"
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            assert page.get_attribute("#position", "aria-valuetext") == "53 % before, 47 % after"
            page.keyboard.press("Tab")
            with page.expect_download():
                page.keyboard.press("Enter")

    def test_paste_and_drop(self, browser: Any, exported: Made) -> None:
        give = """(kind) => new Promise((resolve) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 30 });
            canvas.getContext("2d").fillRect(0, 0, 20, 20);
            canvas.toBlob((blob) => {
                const data = new DataTransfer();
                data.items.add(new File([blob], "given.png", { type: "image/png" }));
                const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: data, bubbles: true })
                    : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
                document.body.dispatchEvent(event);
                resolve();
            });
        })"""
        for kind in ("paste", "drop"):
            with visiting(browser, exported("exact")[1]) as visit:
                visit.page.evaluate(give, kind)
                visit.page.wait_for_selector("#result:not([hidden])")
                assert visit.page.get_attribute("#download", "download") == "given-synthetic.png"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_a_narrow_window(self, browser: Any, exported: Made, photograph: Path, scheme: str) -> None:
        options = {"viewport": {"width": 390, "height": 800}, "color_scheme": scheme, "bypass_csp": True}
        with visiting(browser, exported("exact")[1], **options) as visit:
            visit.page.click("summary")
            for _ in ("empty", "with a result"):
                assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
                assert not violations(visit)
                visit.give(photograph)


def violations(visit: Visit) -> list[Any]:
    """Return the violations of WCAG 2.2 AA that axe finds: contrast, names, roles."""
    sync_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = sync_playwright.Axe().run(visit.page).response["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]
