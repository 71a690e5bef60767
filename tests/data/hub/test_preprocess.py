"""A hub that answers, one that does not, and what is said then."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mmtutor.data.hub import preprocess as hub
from mmtutor.data.hub.flickr30k import load_flickr30k
from mmtutor.data.hub.preprocess import (
    HubUnreachableError,
    hub_reachable,
    say_if_unreachable,
)


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", lambda *_: False)


class NotFound(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


def test_a_hub_that_answers_is_reachable_whatever_it_answers(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), NotFound) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert reachable_at(server.server_port, monkeypatch, seconds=10)


def test_a_closed_port_and_a_silent_server_are_not_reachable(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not reachable_at(port, monkeypatch, seconds=0.3)
    assert not reachable_at(port, monkeypatch, seconds=10)


def reachable_at(port, monkeypatch, seconds):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return hub_reachable(seconds)


def test_offline_mode_asks_nobody(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_probe", lambda *_: pytest.fail("the hub was asked"))
    assert not hub_reachable()
    with pytest.raises(HubUnreachableError):
        load_flickr30k("nobody/flickr30k")


def test_without_a_network_one_sentence_is_said_and_the_chapter_goes_on(capsys, no_network):
    with say_if_unreachable():
        load_flickr30k()
        pytest.fail("loaded without a network")
    said = (
        "nlphuji/flickr30k could not be reached; pass a local folder, or try again with a network\n"
    )
    assert capsys.readouterr().out == said


def test_without_the_extra_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "find_spec", lambda name: None if name == "transformers" else name)
    with pytest.raises(ImportError, match=r"^transformers not installed; .* \"mmtutor\[hub\]\"$"):
        load_flickr30k(tmp_path)


def test_other_errors_are_not_hidden():
    with pytest.raises(ValueError, match="something else"), say_if_unreachable():
        raise ValueError("something else")
