"""Mutated files and decompression bombs for fault injection (benchmarks/faults.py)."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from ganvas.data.config import PairedData
from ganvas.data.layouts import has_split
from ganvas.data.regions import read_boxes
from ganvas.errors import GanvasError, InputError, problem_of
from ganvas.image.files import read_image, write_image
from ganvas.interop.reference_checkpoint import read_reference
from ganvas.localization import load_classifier
from ganvas.runs.record import load_generators, snapshot_path
from measure.fault_lab import Lab, picture, run

SECONDS = 20
"""A file that takes longer counts as a hang."""
MEMORY = 1.5e9
"""Number of bytes that reading a bomb may allocate."""
Read = Callable[[Path], NDArray[np.generic] | None]
"""Function that reads a file; returns the pixels of a picture, None for other files."""


def _pixels(path: Path) -> NDArray[np.generic]:
    return read_image(path).pixels


def _boxes(path: Path) -> None:
    read_boxes(path)


def _split(path: Path) -> None:
    has_split(PairedData(folder=path.parent, split_file=path), "train")


def _run_record(path: Path) -> None:
    _load(path, "run.json")


def _snapshot(path: Path) -> None:
    _load(path, "snapshots/last.safetensors")


def _load(path: Path, place: str) -> None:
    folder = path.with_suffix(".run")
    shutil.copytree(path.parents[1] / "originals" / "run", folder, dirs_exist_ok=True)
    shutil.copyfile(path, folder / place)
    try:
        load_generators(folder)
    except GanvasError as error:
        _check_named(error, folder)
        raise InputError(f"{path}: {error}") from error
    finally:
        shutil.rmtree(folder)


def _state(path: Path) -> None:
    folder = path.with_suffix(".run")
    shutil.copytree(path.parents[1] / "trained", folder)
    shutil.copyfile(path, folder / "state.safetensors")
    ended = run(["resume", str(folder), "--epochs", "5"])
    shutil.rmtree(folder)
    if ended.code not in (0, 2, 4):  # 4: a weight became NaN, which is reported
        raise AssertionError(f"resume ends with {ended.code}: {ended.said[-300:]}")
    if ended.code:
        raise InputError(f"{path}: {ended.said}")


def _classifier(path: Path) -> None:
    load_classifier(str(path))


def _checkpoint(path: Path) -> None:
    read_reference(path)


READERS: dict[str, Read] = {
    "png": _pixels, "jpg": _pixels, "webp": _pixels, "bmp": _pixels, "npy": _pixels, "tif": _pixels,
    "deflate.tif": _pixels, "lzw.tif": _pixels, "jpeg.tif": _pixels, "16.png": _pixels,
    "boxes.json": _boxes, "boxes.csv": _boxes, "split.json": _split, "run.json": _run_record,
    "snapshot.safetensors": _snapshot, "state.safetensors": _state, "classifier.onnx": _classifier,
    "checkpoint.pth": _checkpoint,
}  # fmt: skip
FORMATS = tuple(READERS)
CHECKED = ("png", "16.png", "deflate.tif")
"""Formats with a checksum over all pixels, of which no mutant may be read as another picture."""


def read_mutants(name: str, lab: Lab, folder: Path, *, count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Mutate a valid file `count` times and read each mutant in a child; return counts of outcomes, and problems."""
    folder = lab.home / folder.name
    folder.mkdir(exist_ok=True)
    good = _good_file(name, lab)
    count = max(count // 20, 5) if name == "state.safetensors" else count
    report, done, counts, problems = folder / "report.jsonl", 0, Counter[str](), list[str]()
    while done < count:  # if a child dies at a file, the next child continues after it
        report.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _read_each(name, good, folder, report, range(done, count), seed)
        _, status = os.waitpid(child, 0)
        rows = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        for row in rows:
            counts[row["outcome"]] += 1
            if row["outcome"] == "fault" or (row["outcome"] == "otherwise" and name in CHECKED):
                problems.append(f"seed {seed}, mutant {row['number']}: {row['outcome']} {row.get('why', '')}")
        done += len(rows)
        if code := os.waitstatus_to_exitcode(status):
            problems.append(f"seed {seed}, mutant {done}: the process ended with {code}")
            counts["fault"] += 1
            done += 1
    return {"files": count, **{key: counts[key] for key in ("refused", "same", "otherwise")}}, problems


def _read_each(name: str, good: Path, folder: Path, report: Path, numbers: range, seed: int) -> None:
    """Read the mutants with these numbers, in a child, and report the outcome of each."""
    data, read = good.read_bytes(), READERS[name]
    expected = read(good)
    signal.signal(signal.SIGALRM, _give_up)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with report.open("a") as file:
        for number in numbers:
            path = folder / f"{number}.{name}"
            path.write_bytes(mutate(data, random.Random(f"{seed} {name} {number}")))
            signal.alarm(SECONDS)
            row = {"number": number, **_outcome(read, path, expected)}
            signal.alarm(0)
            file.write(json.dumps(row) + "\n")
            file.flush()
            path.unlink()
    os._exit(0)


def _give_up(_number: int, _frame: object) -> None:
    raise TimeoutError(f"reading takes more than {SECONDS} s")


def _outcome(read: Read, path: Path, expected: NDArray[np.generic] | None) -> dict[str, str]:
    try:
        found = read(path)
    except GanvasError as error:
        try:
            _check_named(error, path)
        except AssertionError as problem:
            return {"outcome": "fault", "why": str(problem)}
        return {"outcome": "refused"}
    except BaseException as error:  # noqa: BLE001
        return {"outcome": "fault", "why": f"{type(error).__name__}: {error}"[:300]}
    return {"outcome": "same" if expected is None or np.array_equal(found, expected) else "otherwise"}


def _check_named(error: GanvasError, path: Path) -> None:
    if str(path) not in str(error):
        raise AssertionError(f"the error does not name the file: {problem_of(error)[:200]}")


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Flip bits of a file, or overwrite, cut, insert or duplicate parts, once or a few times."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at, length = chance.randrange(max(len(made), 1)), chance.randint(1, 16)
        way = chance.randrange(7)
        if way <= 1 and made:
            made[at] ^= 1 << chance.randrange(8)
        elif way == 2:
            made[at : at + length] = chance.randbytes(length)
        elif way == 3:
            del made[at:]
        elif way == 4:
            made[at:at] = chance.randbytes(length)
        elif way == 5:
            made[at:at] = made[at : at + 50 * length]
        else:
            made[at : at + length] = chance.choice((b"\x00", b"\xff", b"9")) * length
    return bytes(made)


def _good_file(name: str, lab: Lab) -> Path:
    path = lab.home / "good" / f"good.{name}"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        _write_good(name, path, lab)
    return path


def _write_good(name: str, path: Path, lab: Lab) -> None:
    one = picture(1).pixels
    if name in ("png", "jpg", "webp", "bmp", "npy"):
        write_image(path, picture(1))
    elif name == "16.png":
        path.write_bytes(imagecodecs.png_encode(one.astype(np.uint16) * 257))
    elif name.endswith("tif"):
        compression = {"deflate.tif": "zlib", "lzw.tif": "lzw", "jpeg.tif": "jpeg"}.get(name)
        tifffile.imwrite(path, one, photometric="rgb", compression=compression)
    elif name.startswith("boxes.csv"):
        path.write_text("name,left,top,right,bottom\n" + "".join(f"{n}.png,1,2,{n + 3},9\n" for n in range(20)))
    elif name == "boxes.json":
        shutil.copyfile(lab.originals / "boxes.json", path)
    elif name == "split.json":
        path.write_text(json.dumps({"train": ["0", "1"], "val": ["2"], "test": ["3"]}))
    elif name == "run.json":
        shutil.copyfile(lab.originals / "run" / "run.json", path)
    elif name == "snapshot.safetensors":
        shutil.copyfile(snapshot_path(lab.originals / "run", "last"), path)
    elif name == "state.safetensors":
        run(["train", *lab.commands()["train"](lab.home / "trained")])
        shutil.copyfile(lab.home / "trained" / "state.safetensors", path)
    elif name == "classifier.onnx":
        path.write_bytes(_classifier_bytes())
    else:
        shutil.copyfile(lab.originals / "latest_net_D.pth", path)


def _classifier_bytes() -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    weights = {"w": draw.normal(size=(8, 3, 3, 3)), "head": draw.normal(size=(5, 8))}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    outs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5])]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "tiny", ends, outs, tensors)
    model = helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def bombs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write small files that declare enormous contents."""
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    black = zlib.compress(bytes(60_000 * 3 + 1) * 400, 9)
    made = {
        "PNG of 60,000 x 60,000": b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", black),
        "BMP of 60,000 x 60,000": b"BM" + struct.pack("<IHHIIiiHH24x", 100, 0, 0, 54, 40, 60_000, 60_000, 1, 24),
        ".npy of a terabyte": _npy_header((10**6, 10**6, 1)),
        "JSON nested 10^7 deep": b"[" * 10_000_000,
    }  # fmt: skip
    suffixes = {"PNG": ".png", "BMP": ".bmp", ".npy": ".npy", "JSON": ".json"}
    for name, data in made.items():
        path = folder / f"bomb{suffixes[name.split()[0]]}"
        path.write_bytes(data)
        yield name, path
    path = folder / "rows.tif"
    tifffile.imwrite(path, picture(1).pixels, photometric="rgb", compression="zlib", rowsperstrip=32)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(10**9)
    yield "TIFF of 10^9 rows", path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _npy_header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def read_bomb(path: Path) -> tuple[dict[str, str | float], str | None]:
    """Read a bomb in a child; return the outcome, seconds and memory, and the problem if there is one."""
    reader, writer = os.pipe()
    started, child = time.monotonic(), os.fork()
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(SECONDS)
        outcome = _outcome(_boxes if path.suffix == ".json" else _pixels, path, None)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        os.write(writer, json.dumps({**outcome, "memory": grown}).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    if status or not text:
        return {"outcome": "died"}, f"the process ended with {os.waitstatus_to_exitcode(status)}"
    found = json.loads(text)
    row = {"outcome": found["outcome"], "seconds": round(time.monotonic() - started, 2)}
    row["MB"] = round(found["memory"] / 1e6)
    bad = found["outcome"] == "fault" or found["memory"] > MEMORY
    return row, f"{found}" if bad else None
