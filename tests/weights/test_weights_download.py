"""Downloads from a local server that cuts connections, sends wrong bytes and refuses."""

import errno
import hashlib
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from urllib.request import Request

import pytest
from weights_server import Server, serving

from ganvas.errors import WeightsError
from ganvas.weights import download as module
from ganvas.weights.download import Download, download, open_rest, version_mark

CONTENT = bytes(range(256)) * 1000
OTHER = CONTENT[::-1]


def wanted(server, content=CONTENT):
    return Download(address=server.address, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def target(tmp_path):
    return tmp_path / "weights.bin"


def leftovers(target):
    return sorted(path.name for path in target.parent.iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_only_once(target):
    with serving(Server(CONTENT)) as server:
        download(wanted(server), target, progress=False)
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]
    assert leftovers(target) == ["weights.bin"]


def test_a_bar_is_drawn(target, capfd):
    with serving(Server(CONTENT)) as server:
        download(wanted(server), target)
    assert "weights.bin (kB)" in capfd.readouterr().err


def test_a_cut_connection_is_resumed(target):
    with serving(Server(CONTENT, cuts=[100_000, 50_000])) as server:
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_what_a_call_left_the_next_one_resumes(target):
    with serving(Server(CONTENT, cuts=[100_000], statuses=[])) as server:
        server.etag = '"kept"'
        first = wanted(server)
        cut_then_down(server, first, target)
        assert leftovers(target) == [".weights.bin.part", ".weights.bin.version"]
        download(first, target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"
    assert leftovers(target) == ["weights.bin"]


def cut_then_down(server, first, target):
    """A connection cut halfway, and a server that then stops responding."""
    answer = server.send_from

    def down_afterwards(handler, start):
        server.statuses += [503] * 3
        answer(handler, start)

    server.send_from = down_afterwards
    with pytest.raises(WeightsError, match="503"):
        download(first, target, progress=False)
    server.send_from = answer
    server.statuses.clear()


def test_another_version_is_not_mixed_in(target):
    target.with_name(".weights.bin.part").write_bytes(OTHER[:1000])
    target.with_name(".weights.bin.version").write_text('"older"')
    with serving(Server(CONTENT)) as server:
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_resumed_file_that_does_not_verify_is_fetched_whole(target):
    target.with_name(".weights.bin.part").write_bytes(OTHER[:1000])
    target.with_name(".weights.bin.version").write_text('"first"')
    with serving(Server(CONTENT)) as server:
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_starts_again(target):
    target.with_name(".weights.bin.part").write_bytes(CONTENT * 2)
    target.with_name(".weights.bin.version").write_text('"first"')
    with serving(Server(CONTENT, statuses=[416])) as server:
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("manner", [{"ranges": False}, {"etag": None}])
def test_a_server_that_cannot_resume_starts_again(target, manner):
    with serving(Server(CONTENT, cuts=[9000], **manner)) as server:
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT


def test_wrong_bytes_are_removed(target):
    with serving(Server(OTHER)) as server, pytest.raises(WeightsError, match="expected") as caught:
        download(wanted(server), target, progress=False)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert leftovers(target) == []


@pytest.mark.parametrize("content", [CONTENT + b"more", b"x" * (4 << 20)])
def test_a_file_too_long_is_given_up(target, content):
    with serving(Server(content)) as server, pytest.raises(WeightsError, match="more than"):
        download(wanted(server), target, progress=False)
    assert leftovers(target) == []


def test_a_missing_page_is_not_asked_for_twice(target):
    with serving(Server(CONTENT, statuses=[404, 404])) as server, pytest.raises(WeightsError, match="404"):
        download(wanted(server), target, progress=False)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(target):
    with serving(Server(CONTENT, statuses=[503, 429])) as server:
        download(wanted(server), target, progress=False)
    assert target.read_bytes() == CONTENT


def test_nobody_there(target):
    with serving(Server(CONTENT)) as server:
        absent = wanted(server)
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        download(absent, target, progress=False)
    assert leftovers(target) == []


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/weights.bin", "data:,weights"])
def test_redirects_to_other_schemes_are_refused(target, location):
    with serving(Server(CONTENT, location=location)) as server, pytest.raises(WeightsError):
        download(wanted(server), target, progress=False)
    assert leftovers(target) == []


def test_redirects_to_the_same_scheme_are_followed(target):
    with serving(Server(CONTENT)) as server, serving(Server(b"", location=server.address)) as front:
        download(Download(address=front.address, size=len(CONTENT), sha256=wanted(server).sha256), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_other_schemes_are_refused(target, address):
    with pytest.raises(WeightsError, match="only http"):
        download(Download(address=address, size=1, sha256=""), target, progress=False)


def test_a_full_disk_is_named_and_left_clean(target, monkeypatch):
    class Full(module.FileIO):
        def write(self, data):
            if self.tell() > 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(data)[:1000])

    monkeypatch.setattr(module, "FileIO", Full)
    with serving(Server(CONTENT)) as server, pytest.raises(WeightsError, match=r"No space left.*GANVAS_CACHE"):
        download(wanted(server), target, progress=False)
    assert leftovers(target) == []
    assert len(server.asked) == 1


def test_too_little_room_is_said_before_anything_is_fetched(target):
    with serving(Server(CONTENT)) as server, pytest.raises(WeightsError, match="MB are needed"):
        download(Download(address=server.address, size=1 << 60, sha256=""), target, progress=False)
    assert server.asked == []


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX's")
def test_the_systems_own_limit(target):
    code = """
import resource, sys
from pathlib import Path
from ganvas.errors import WeightsError
from ganvas.weights.download import Download, download
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    download(Download(address=sys.argv[1], size=256_000, sha256=""), Path(sys.argv[2]), progress=False)
except WeightsError as problem:
    sys.exit(0 if "GANVAS_CACHE" in str(problem) else 3)
"""
    with serving(Server(CONTENT)) as server:
        command = [sys.executable, "-c", code, server.address, str(target)]
        assert subprocess.run(command, check=False).returncode == 0
    assert leftovers(target) == []


def test_several_at_once_fetch_it_once(target):
    with serving(Server(CONTENT)) as server, ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(download, wanted(server), target, progress=False) for _ in range(4)]:
            done.result()
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]


def test_several_processes_fetch_it_once(target):
    code = """
import sys
from pathlib import Path
from ganvas.weights.download import Download, download
download(Download(address=sys.argv[1], size=int(sys.argv[2]), sha256=sys.argv[3]), Path(sys.argv[4]), progress=False)
"""
    with serving(Server(CONTENT)) as server:
        file = wanted(server)
        command = [sys.executable, "-c", code, file.address, str(file.size), file.sha256, str(target)]
        processes = [subprocess.Popen(command) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]


@pytest.mark.parametrize("address", ["http://example.org/w", "file:///etc/hostname", "ftp://example.org/w"])
def test_https_never_steps_down(address):
    with pytest.raises(WeightsError, match="only redirects to https"):
        module._SafeRedirect().redirect_request(Request("https://example.org/w"), None, 302, "", Message(), address)


def test_a_silent_server_is_left(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.bin"
        with pytest.raises(OSError, match="timed out"):
            open_rest(address, start=0, mark="")


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": '"strong"', "Last-Modified": "Mon"}, '"strong"'),
        ({"ETag": 'W/"weak"', "Last-Modified": "Mon"}, "Mon"),
        ({"ETag": 'W/"weak"'}, ""),
        ({}, ""),
    ],
)
def test_only_a_strong_mark_lets_a_file_be_resumed(headers, mark):
    message = Message()
    for name, value in headers.items():
        message[name] = value
    assert version_mark(message) == mark
