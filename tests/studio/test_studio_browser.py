"""Page of the studio in a real browser: mouse, touch, keyboard, refusals, cancellation, phone width, accessibility."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from studio_page import LIMITS, make_run, png
from studio_workers import refuse_red
from test_studio_trainings import begun_run

from ganvas.image.files import read_label
from ganvas.image.picture import Picture
from ganvas.reports import html
from ganvas.reports.chart import line_chart
from ganvas.reports.display import display, gallery
from ganvas.reports.ranking import Ranking
from ganvas.studio import StudioConfig
from ganvas.studio.app import make_app
from ganvas.studio.job_requests import Studio
from ganvas.studio.serve import Listening, opened_studio

pytestmark = pytest.mark.slow
OPEN_CANVAS = "canvas[aria-busy=false]"  # with its picture
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def needed(what: str) -> None:
    """Skip if a browser is missing, unless CI requires it."""
    if os.environ.get("GANVAS_REQUIRE_BROWSER"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is not here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        needed("playwright")
    if CHROMIUM is None:
        needed("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Studio]]:
    """Start a studio with a run, a training and a report below its root, whose gate refuses red pictures."""
    root = tmp_path_factory.mktemp("root")
    make_run(root / "tiny")
    os.utime(begun_run(root / "begun") / "metrics.jsonl", (0, 0))  # else it looks like a training elsewhere
    (root / "report.html").write_text(sample_report(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANVAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
        config = StudioConfig(root=root, port=0)
        with Listening(config) as listening, opened_studio(config, LIMITS, prepare=refuse_red) as studio:
            app = listening.guarded(make_app(studio))
            server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", ws="none"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening.socket]})
            thread.start()
            yield listening.url, studio
            server.should_exit = True
            thread.join()


def sample_report() -> str:
    """Return a report as written by `ganvas evaluate`, with more pictures than it shows."""
    ranking = Ranking([f"a_long_name_of_a_picture_{index:03}" for index in range(30)], 8)
    pictures = [Picture(np.full((96, 128, 3), level, np.uint8)) for level in (90, 100, 110)]
    shown = {name: display(pictures[:2], pictures[2], ["20.00 dB", "30.00 dB"]) for name in ranking.shown}
    sections = [
        ("Pictures", gallery(shown, ["Input", "Output", "Target"], ranking)),
        ("Training", line_chart({"l1": [(0, 1.0), (9, 0.5)]}, "images seen", "loss", title="Training: loss")),
        ("Each picture", html.table(["", "PSNR (dB)"], [["first", 20.5]])),
    ]
    return html.page("A report", html.paragraph("Words"), sections)


Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, served: tuple[str, Studio]) -> Iterator[Opened]:
    """Return a function that opens a page; at the end, check that it sent no external request and logged no error."""
    url, studio = served
    contexts, outside, errors = [], list[str](), list[str]()

    def open_page(section: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on(
            "request", lambda request: request.url.startswith((url, "blob:", "data:")) or outside.append(request.url)
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url + section)
        page.locator("h1").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    for upload in studio.storage.all():
        studio.storage.remove(upload.id)
    assert outside == []
    assert errors == []


def add(page: Any, *contents: tuple[str, bytes]) -> None:
    files = [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in contents]
    page.locator(".drop input[type=file]").set_input_files(files)
    for name, _ in contents:
        page.locator(".tray").get_by_text(name).wait_for()


def line_of(studio: Studio, name: str) -> dict[str, Any]:
    (upload,) = [one for one in studio.storage.all() if one.name == name]
    line: dict[str, Any] = upload.review["line"]
    return line


def test_a_mask_is_painted_and_covered_and_reviewed(opened: Opened, served: tuple[str, Studio]) -> None:
    page = opened()
    add(page, ("cat.png", png(size=(120, 80))))
    page.get_by_role("button", name="Rectangle").click()
    drag(page, (0.3, 0.45), (0.6, 0.55))
    page.get_by_role("button", name="Redact this file").click()
    page.locator(".result .pane").wait_for()
    line = line_of(served[1], "cat.png")
    ((left, top, right, bottom),) = line["region"]["boxes"]
    assert 30 < left < 42
    assert 66 < right < 78
    assert top < 40 < bottom
    # Painted strokes are restored when the page is opened again.
    page.reload()
    page.get_by_role("button", name="Redact this file").click()
    page.locator(".job.done").nth(1).wait_for(state="attached")
    assert page.get_by_role("button", name="Undo").is_enabled()
    assert line_of(served[1], "cat.png")["region"]["boxes"] == [[left, top, right, bottom]]
    # Undo removes the rectangle, and a brush covers another place.
    page.get_by_role("button", name="Undo").click()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Brush").click()
    drag(page, (0.1, 0.5), (0.2, 0.5))
    page.get_by_role("button", name="Redact this file").click()
    page.locator(".job.done").nth(2).wait_for(state="attached")
    assert line_of(served[1], "cat.png")["region"]["boxes"][0][0] < 20
    page.get_by_role("link", name="Review and download").click()
    card = page.locator(".card")
    assert card.locator("img.veiled").count() == 1
    needed = page.get_by_text("Enter your name for the log first.")
    card.get_by_role("button", name="Sign off").click()
    needed.wait_for()
    page.get_by_label("Your name for the log").fill("Kim")
    needed.wait_for(state="hidden")
    card.get_by_role("button", name="Sign off").click()
    page.get_by_text("original viewed: no").wait_for()
    card.get_by_role("button", name="Take back").click()
    card.get_by_role("button", name="Show the original").click()
    assert card.locator("img.veiled").count() == 0
    card.get_by_role("button", name="Sign off").click()
    page.get_by_text("Signed off by Kim").wait_for()
    page.get_by_text("original viewed: yes").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all with the log").click()
    assert download.value.suggested_filename == "redacted.zip"


def test_a_sign_off_of_nothing_is_confirmed_and_nothing_redacted_is_no_download(opened: Opened) -> None:
    page = opened("#redact/review")
    everything = page.get_by_text("Download all with the log")
    assert everything.get_attribute("href") is None
    page.get_by_role("link", name="Mark and cover").click()
    add(page, ("bare.png", png()))
    page.get_by_role("button", name="Redact this file").click()
    page.locator(".result").get_by_text("Nothing was painted, nothing is covered.").wait_for()
    page.get_by_role("link", name="Review and download").click()
    assert everything.get_attribute("href") == "/api/review.zip"
    page.get_by_label("Your name for the log").fill("Kim")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="Sign off").click()
    assert asked == ["Nothing is covered in bare.png. Sign it off anyway?"]
    assert page.get_by_text("Signed off by").count() == 0
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Sign off").click()
    page.get_by_text("Signed off by Kim").wait_for()


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the canvas, in fractions of its width and height."""
    page.locator(OPEN_CANVAS).scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=5)
    page.mouse.up()


def test_keyboard_alone_is_enough(opened: Opened, served: tuple[str, Studio], tmp_path: Path) -> None:
    page = opened()
    page.on("filechooser", lambda _: None)  # so that Chromium reports dialogs before the Enter
    (tmp_path / "keys.png").write_bytes(png(size=(120, 80)))
    tab_to(page, "input[type=file]")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "keys.png")
    page.locator(".tray li").wait_for()
    page.locator(OPEN_CANVAS).wait_for()
    tab_to(page, "canvas")
    for key in ("r", "Enter", "ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    tab_to(page, "button.primary")
    page.keyboard.press("Enter")
    page.locator(".result .pane").wait_for()
    ((left, top, *_),) = line_of(served[1], "keys.png")["region"]["boxes"]
    assert (left, top) == (60, 40)


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element of the selector has the focus, which must be visible there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_a_translation_is_compared_with_the_slider(opened: Opened) -> None:
    page = opened("#translate")
    add(page, ("good.png", png(size=(64, 48))))
    page.get_by_label("tiny").check()
    page.get_by_label("begun/run").uncheck()
    page.get_by_role("button", name="Translate this file").click()
    slider = page.get_by_role("slider", name="Divider")
    slider.wait_for()
    assert slider.get_attribute("aria-valuenow") == "50"
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "60"
    width = page.locator(".layer-1 img").bounding_box()["width"]
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator(".layer-1 img").bounding_box()["width"] > 1.3 * width
    with page.expect_download() as download:
        page.get_by_role("link", name="Download tiny").click()
    assert read_label(download.value.path()) is not None


def test_a_folder_is_translated_and_downloaded(opened: Opened, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "one.png").write_bytes(png())
    (folder / "more" / "two.png").write_bytes(png())
    (folder / ".DS_Store").write_bytes(b"no picture")
    page = opened("#translate")
    page.get_by_label("Choose a folder").set_input_files(folder)
    page.get_by_role("button", name="Remove one.png").wait_for()
    assert page.locator(".tray li").count() == 2
    page.get_by_label("tiny").check()
    page.get_by_role("button", name="Translate all files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all 2 from tiny").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sorted(archive.namelist()) == ["one.png", "two.png"]
        archive.extractall(tmp_path / "results")
    assert read_label(tmp_path / "results" / "two.png") is not None


def test_a_refusal_is_told(opened: Opened) -> None:
    page = opened("#translate")
    add(page, ("red.png", png((230, 20, 20), size=(64, 48))))
    page.get_by_label("tiny").check()
    page.get_by_role("button", name="Translate this file").click()
    page.locator(".work .problem").first.wait_for()
    assert "refused: Open NSFW scores it 0.950" in page.locator(".work .problem").first.inner_text()
    assert page.locator(".pane").count() == 0


def test_a_job_is_cancelled(opened: Opened, served: tuple[str, Studio]) -> None:
    page = opened()
    add(page, ("any.png", png()))
    page.get_by_role("button", name="Mosaic").click()
    page.get_by_role("button", name="Measure how much it hides").click()
    page.locator("#jobs-button").click()
    page.locator("#jobs").get_by_role("button", name="Cancel").click()
    page.locator(".job.cancelled").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("#jobs").wait_for(state="hidden")
    page.get_by_role("button", name="Redact this file").click()  # the queue continues
    page.locator(".result .pane").wait_for()


def test_a_press_elsewhere_closes_the_jobs(opened: Opened) -> None:
    page = opened()
    page.locator("#jobs-button").click()
    page.locator("#jobs").click()
    assert page.locator("#jobs").is_visible()
    page.locator("h1").first.click()
    page.locator("#jobs").wait_for(state="hidden")
    assert page.locator("#jobs-button").get_attribute("aria-expanded") == "false"


def test_a_training_is_watched_resumed_and_stopped(opened: Opened) -> None:
    page = opened("#train")
    page.get_by_role("link", name="begun/run").click()
    page.locator(".chart svg text").first.wait_for()
    for width in (390, 1200):  # text keeps its size, and none is cut off
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            "() => [...document.querySelectorAll('.chart svg')]"
            ".every((one) => Math.abs(one.getScreenCTM().a - 1) < 0.01)"
        )
        assert page.evaluate(
            "() => [...document.querySelectorAll('.chart svg text')].every((one) => one.getBoundingClientRect().right"
            " <= one.closest('svg').getBoundingClientRect().right)"
        )
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("starting", exact=True).wait_for()
    assert page.get_by_text("Time left").count() == page.get_by_text("Speed").count() == 0
    page.get_by_text("training", exact=True).wait_for()
    images = page.locator("dt", has_text="Images").locator("xpath=following-sibling::dd")
    before = images.inner_text()
    while images.inner_text() == before:
        page.wait_for_timeout(200)
    page.get_by_role("button", name="Stop and save").click()
    page.get_by_text("interrupted; the state is saved").wait_for()
    assert page.get_by_role("button", name="Resume").is_visible()
    preview = page.get_by_role("slider", name="Preview")
    assert "Preview grid after" in page.locator("img.preview").get_attribute("alt")
    assert preview.is_visible()


@pytest.mark.parametrize("width", [390, 1200])
def test_a_report_works_inside_the_page(opened: Opened, width: int) -> None:
    """Without scripts: pictures enlarge, links lead to the median and the best, and tables of values open."""
    page = opened("#reports", viewport={"width": width, "height": 900})
    page.get_by_role("link", name="A report").click()
    page.get_by_role("heading", name="A report").wait_for()
    report = page.frame_locator("iframe.report")
    report.get_by_text("Words").wait_for()
    best = report.get_by_role("heading", name="Best: 29 to 30 of 30")
    report.get_by_role("link", name="Best by PSNR").click()
    assert 0 <= best.bounding_box()["y"] <= 900
    picture = report.get_by_role("checkbox", name="Enlarge a_long_name_of_a_picture_029, Output", exact=True)
    picture.check(force=True)
    assert report.locator("input:checked + img").bounding_box()["width"] > 0.8 * min(width - 60, 1100)
    picture.uncheck(force=True)
    report.get_by_text("Values").click()
    report.get_by_role("rowheader", name="l1").wait_for()
    assert report.locator("html").evaluate("root => root.scrollWidth - root.clientWidth") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_in_a_report(opened: Opened, scheme: str) -> None:
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        needed("axe-playwright-python")
    page = opened("#train", color_scheme=scheme, bypass_csp=True)
    page.set_content(sample_report())
    violations = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["target"]) for one in violations if one["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize("section", ["#redact", "#redact/review", "#translate", "#train", "#reports"])
def test_a_phone_is_wide_enough(opened: Opened, section: str) -> None:
    page = opened(section, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_touch_paints(opened: Opened, served: tuple[str, Studio]) -> None:
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True)
    add(page, ("touch.png", png(size=(120, 80))))
    page.locator(OPEN_CANVAS).tap()
    page.get_by_role("button", name="Redact this file").click()
    page.locator(".result .pane").wait_for()
    ((left, top, right, bottom),) = line_of(served[1], "touch.png")["region"]["boxes"]
    assert left < 60 < right
    assert top < 40 < bottom


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened: Opened, scheme: str) -> None:
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        needed("axe-playwright-python")
    page = opened(color_scheme=scheme, bypass_csp=True)
    add(page, ("axe.png", png(size=(64, 48))))
    page.get_by_role("button", name="Redact this file").click()
    page.locator(".result .pane").wait_for()
    page.locator("#jobs-button").click()
    found = {}
    for section in ("redact", "redact/review", "translate", "train", "reports"):
        page.evaluate("section => { location.hash = section; }", section)
        page.wait_for_timeout(500)
        violations = Axe().run(page).response["violations"]
        found[section] = [
            (one["id"], [node["target"] for node in one["nodes"]][:3])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
    assert not any(found.values()), found
