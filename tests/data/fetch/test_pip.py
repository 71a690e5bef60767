"""PyPI, played by a small index on this machine and asked by the real pip."""

import io
import json
import tarfile
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mmtutor.data.fetch import FetchError, client
from mmtutor.data.fetch.registry import Package
from tests.data.debs import member

PURE = "tiny_thing-1.0-py3-none-any.whl"
FOREIGN = "tiny_thing-1.0-cp312-cp312-win_amd64.whl"
SOURCE = "tiny_thing-1.0.tar.gz"


def download(name, version, file, folder):
    return client.download(Package("pypi", name, version, "", "", [""], file=file), folder)


def wheel() -> bytes:
    """A wheel that no Python can be old or new enough for."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        about = "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\nRequires-Python: <3\n"
        archive.writestr("tiny_thing-1.0.dist-info/METADATA", about + "Requires-Dist: no-such\n")
        archive.writestr("tiny_thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return out.getvalue()


def source(marker) -> bytes:
    """A source archive that leaves a trace where its code runs."""
    code = f"open({str(marker)!r}, 'w')\nimport setuptools\nsetuptools.setup(name='tiny-thing')\n"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for info, data in [member("tiny-thing-1.0/setup.py", code.encode())]:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Index(BaseHTTPRequestHandler):
    """The simple index, in JSON and in HTML, of `server.files`; counts what it is asked."""

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        files, asked = self.server.files, self.server.asked
        asked.append(self.path)
        kind, body = "application/octet-stream", files.get(name, b"")
        if self.path == "/wheels/tiny-thing/":
            if "json" in self.headers["Accept"] and "html" not in self.headers["Accept"]:
                kind = "application/vnd.pypi.simple.v1+json"
                entries = [{"filename": file, "url": f"../../files/{file}"} for file in files]
                body = json.dumps({"files": entries}).encode()
            else:
                kind = "text/html"
                links = [f'<a href="../../files/{file}">{file}</a>' for file in files]
                body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
        fails = len(asked) <= self.server.failures
        self.send_response(503 if fails else 200 if body else 404)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(b"" if fails else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def index(monkeypatch, tmp_path):
    with HTTPServer(("127.0.0.1", 0), Index) as server:
        server.asked, server.failures = [], 0
        server.files = {PURE: wheel(), FOREIGN: wheel(), SOURCE: source(tmp_path / "ran")}
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/wheels")
        monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        for name in ("FIND_LINKS", "EXTRA_INDEX_URL", "NO_INDEX"):
            monkeypatch.delenv(f"PIP_{name}", raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(client, "PAUSE", 0)
        yield server
        server.shutdown()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.mark.parametrize("file", [PURE, FOREIGN, SOURCE])
def test_the_very_file_comes_and_nothing_runs(file, index, folder, tmp_path):
    path = download("tiny-thing", "1.0", file, folder)
    assert path == folder / file
    assert path.read_bytes() == index.files[file]
    assert [entry.name for entry in folder.iterdir()] == [file]  # no dependency, nothing built
    assert not (tmp_path / "ran").exists()


def test_a_source_archive_is_asked_for_again_after_a_failure(index, folder):
    index.failures = 2
    assert download("tiny-thing", "1.0", SOURCE, folder).is_file()
    assert len(index.asked) == 4


@pytest.mark.parametrize("file", ["tiny_thing-2.0-py3-none-any.whl", "tiny_thing-2.0.tar.gz"])
def test_what_the_index_lacks_is_named(file, index, folder):
    with pytest.raises(FetchError, match=r"could not get tiny-thing 2\.0 .*--from"):
        download("tiny-thing", "2.0", file, folder)


def test_another_file_than_expected_is_named(index, folder):
    del index.files[FOREIGN], index.files[SOURCE]
    with pytest.raises(FetchError, match=f"pip brought {PURE} .*: expected {FOREIGN}"):
        download("tiny-thing", "1.0", FOREIGN, folder)


@pytest.mark.parametrize("file", [PURE, SOURCE])
def test_without_a_network_there_is_one_clear_sentence(file, index, folder, monkeypatch):
    index.server_close()
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(FetchError, match=r"could not get tiny-thing 1\.0 .*Is there a network"):
        download("tiny-thing", "1.0", file, folder)


def test_without_pip_there_is_one_clear_sentence(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(client, "_PIP", [str(tmp_path / "python"), "-m", "pip"])
    with pytest.raises(FetchError, match=r"there is no pip here.*ensurepip"):
        download("tiny-thing", "1.0", PURE, folder)
