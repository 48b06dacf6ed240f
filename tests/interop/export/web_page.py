"""Exported pages in a headless Chromium, for the tests of the web export."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

HANGS = 600_000  # milliseconds after which a step of a page that hangs fails; no measure of its speed
FLAGS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


def find_chromium() -> str:
    """Return the path of a Chromium; skip if there is none, unless GANVAS_REQUIRE_BROWSER is set."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if place := shutil.which(name):
            return place
    message = "no Chromium: apt-get install chromium"
    if os.environ.get("GANVAS_REQUIRE_BROWSER"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def chromium() -> Iterator[Callable[..., AbstractContextManager[Any]]]:
    """Yield a function from command-line flags to a context with a running browser."""
    path = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        yield lambda *flags: closing(play.chromium.launch(executable_path=path, args=[*FLAGS, *flags]))


class Quiet(SimpleHTTPRequestHandler):
    """Static server like `python -m http.server`, without its log."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address of a static server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class Visit:
    """Browser window with an exported page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(HANGS)
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, address: str) -> Visit:
        """Load the page and its model."""
        self.page.goto(address)
        self.page.wait_for_selector("#work[hidden]", state="attached")
        return self

    def give(self, picture: Path) -> Visit:
        """Choose a picture, and wait for the result or a problem."""
        self.page.set_input_files("#file", picture)
        self.page.wait_for_selector("#problem:not([hidden]), #result:not([hidden])")
        return self

    @property
    def problem(self) -> str:
        """Return the message of a refusal or failure; empty without one."""
        return self.page.inner_text("#problem") if self.page.is_visible("#problem") else ""

    @property
    def notes(self) -> str:
        return str(self.page.text_content("#notes"))

    @property
    def device(self) -> str:
        return str(self.page.text_content("#device"))

    def download(self, target: Path) -> Path:
        """Download the result."""
        assert not self.problem, self.problem
        with self.page.expect_download() as download:
            self.page.click("#download")
        download.value.save_as(target)
        return target


@contextmanager
def visiting(
    browser: Any, folder: Path, query: str = "", *, host: str = "127.0.0.1", **options: Any
) -> Iterator[Visit]:
    """Serve a page, open it in a new window, and check that it logs no error and sends no request elsewhere."""
    context = browser.new_context(**options)
    try:
        with served(folder) as loopback:
            address = loopback.replace("127.0.0.1", host)
            visit = Visit(context.new_page()).open(address + query)
            yield visit
            assert not visit.errors
            assert visit.requests
            assert all(url.startswith((address, f"blob:{address}", "data:")) for url in visit.requests), visit.requests
    finally:
        context.close()


def red_classifier(path: Path) -> Path:
    """Write a classifier with the interface of Open NSFW that scores bright red pictures as unsafe, others as safe."""
    weights = np.array([[0, -0.05], [0, -0.05], [0, 0.1]])  # blue, green, red
    return _classifier(path, weights, np.array([0, -8]), helper.make_node("Softmax", ["logits"], ["scores"]))


def constant_classifier(path: Path, score: float) -> Path:
    """Write a classifier that gives every picture the same score."""
    bias = np.array([1 - score, score])
    return _classifier(path, np.zeros((3, 2)), bias, helper.make_node("Identity", ["logits"], ["scores"]))


def _classifier(path: Path, weights: np.ndarray, bias: np.ndarray, end: onnx.NodeProto) -> Path:
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
        end,
    ]
    values = {"axes": np.array([1, 2]), "weights": weights.astype(np.float32), "bias": bias.astype(np.float32)}
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 224, 224, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return _save(graph, path)


def red_and_green_exchanged(path: Path) -> Path:
    """Write a network that swaps red and green."""
    node = helper.make_node("Gather", ["image", "order"], ["translation"], axis=1)
    shape = ["N", 3, "H", "W"]
    graph = helper.make_graph(
        [node],
        "exchange",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("translation", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array([1, 0, 2]), "order")],
    )
    return _save(graph, path)


def _save(graph: onnx.GraphProto, path: Path) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
