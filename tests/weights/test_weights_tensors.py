"""Reader of numpy pickles: it reads what numpy writes, and executes nothing."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ganvas.errors import WeightsError
from ganvas.weights.tensors import read_numpy_pickle

FLOATS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def written(path, content, protocol=3):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize(
    "array", [FLOATS, FLOATS.T, FLOATS.astype(">f8"), FLOATS > 3, np.float16([1, 2]), np.int64([[7]]), np.zeros((0, 3))]
)
def test_arrays_come_back(tmp_path, array, protocol):
    content = {"network": {"kernel": array, "again": array}}
    read = read_numpy_pickle(written(tmp_path / "arrays.ckpt", content, protocol))
    for name in ("kernel", "again"):
        assert read["network"][name].dtype == array.dtype
        np.testing.assert_array_equal(read["network"][name], array)


class Call:
    """Object that pickles as a function call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize(
    "content",
    [
        Call(os.system, "touch hostile"),
        {"a": Call(os.system, "touch hostile")},
        {"a": Call(eval, "open('hostile', 'w')")},
        {"a": Call(__import__, "os")},
        {"a": Call(np.load, "hostile")},
        {"a": np.array([{"an": "object"}], dtype=object)},
        {"a": np.zeros(2, dtype=[("x", "f4")])},
        {"a": np.array(["text"])},
        {"a": Path("x")},
        {"a": [FLOATS]},
        {"a": 3},
        {3: FLOATS},
        [FLOATS],
    ],
    ids=range(13),
)
def test_anything_else_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "hostile.ckpt", content)
    with pytest.raises(WeightsError, match=r"hostile\.ckpt"):
        read_numpy_pickle(tmp_path / "hostile.ckpt")
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'touch hostile'\ntR.",
        b"(ios\nsystem\n(S'touch hostile'\no.",
        b"cnumpy\nndarray\n(dS'state'\nNsb.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"}(S'a'\ncnumpy.core.multiarray\n_reconstruct\n(tR(K\x01K\x05NK\x00S'x'\ntbs.",
        b"Pname\n.",
        b"\x80\x03}(X\x01\x00\x00\x00a",
        b"",
    ],
    ids=range(8),
)
def test_hand_made_pickles_are_refused(tmp_path, monkeypatch, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.ckpt").write_bytes(code)
    with pytest.raises(WeightsError, match=r"hostile\.ckpt"):
        read_numpy_pickle(tmp_path / "hostile.ckpt")
    assert not (tmp_path / "hostile").exists()


def test_a_shape_that_does_not_fit_its_bytes_is_refused(tmp_path):
    code = pickle.dumps({"a": FLOATS}, protocol=3).replace(b"K\x02K\x03K\x04", b"K\x02K\x03K\x05")
    (tmp_path / "broken.ckpt").write_bytes(code)
    with pytest.raises(WeightsError, match="damaged array"):
        read_numpy_pickle(tmp_path / "broken.ckpt")
