"""Failed downloads, recognized by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from pathlib import Path

import pytest

from ganvas.filesystem.downloads import failed_download


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty: download"),
        (b"\n <!DOCTYPE html><title>Sign in</title>", "it is a web page"),
        (b"<html>404</html>", "it is a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (gzip.compress(b"weights", mtime=0), r"compressed \(gzip\); unpack it"),
        (bz2.compress(b"weights"), r"compressed \(bzip2\); unpack it"),
        (lzma.compress(b"weights"), r"compressed \(xz\); unpack it"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", r"compressed \(7z\); unpack it"),
    ],
)
def test_what_was_downloaded_instead_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "4x_Model.pth"
    path.write_bytes(content)
    found = failed_download(path)
    assert found is not None
    assert re.search(why, found)


@pytest.mark.parametrize("content", [b"PK\x03\x04archive", b"\x80\x02}q\x00.", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_models_are_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "4x_Model.pth"
    path.write_bytes(content)
    assert failed_download(path) is None
