"""A control in a real JupyterLab, by keyboard, in a real browser. Outside CI: `make live`."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

from book.tools.browser import chromium

PATIENCE = 150  # seconds for a server or a kernel to start
CELL = '''
from mmtutor.notebook.plots import panels
from mmtutor.notebook.widgets import Control

def line(slope, sign, word):
    """A straight line"""
    figure, (axis,) = panels(1, size=(2, 1))
    axis.plot([0, 1], [0, slope if sign == "up" else -slope])
    return figure, f"{word} goes {sign} by {slope}"

Control(line, typed="word", slope=[1, 2, 3], sign=["up", "down"], word=["cat", "dog"])
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that has the notebook above, and nothing of this user's."""
    folder = tmp_path_factory.mktemp("lab")
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    page.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(page, folder / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own |= {f"JUPYTERLAB_{kind}_DIR": str(folder / kind) for kind in ("SETTINGS", "WORKSPACES")}
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"]
    environment = {k: v for k, v in os.environ.items() if k != "MMTUTOR_PAGE"} | own
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api", server, folder / "log")
            yield f"http://127.0.0.1:{port}/lab/tree/live.ipynb"
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(address, server, log):
    for _ in range(2 * PATIENCE):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"JupyterLab does not answer: {log.read_text()}")


@pytest.fixture(scope="module")
def control(lab):
    """The control after its cell has run, in a page whose errors fail the test."""
    with sync_playwright() as playwright:
        options = {"executable_path": chromium(), "args": ["--no-sandbox"]}
        with playwright.chromium.launch(**options) as browser:
            page, errors = browser.new_page(viewport={"width": 1280, "height": 1000}), []
            page.set_default_timeout(1000 * PATIENCE)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(lab)
            # Where the cell is run before the kernel is there, JupyterLab asks which one to take.
            which = page.locator(".jp-Dialog .jp-mod-accept")
            page.add_locator_handler(which, lambda: which.click())
            page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
            page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.press("Shift+Enter")
            drawn = page.locator(".jp-OutputArea img")
            expect(drawn).to_be_visible(timeout=1000 * PATIENCE)
            yield page.locator(".jp-OutputArea .widget-vbox").first
            assert errors == []


def picture(control):
    return control.locator("img").get_attribute("src")


def test_a_slider_moves_by_key_and_the_kernel_draws_anew(control):
    said, before = control.locator(".widget-html-content").last, picture(control)
    expect(said).to_have_text("cat goes up by 1")
    control.locator(".noUi-handle").focus()
    control.page.keyboard.press("ArrowRight")
    expect(said).to_have_text("cat goes up by 2", timeout=20_000)
    assert picture(control) != before
    alt = "A straight line (slope = 2, sign = up, word = cat)"
    assert control.locator("img").get_attribute("alt") == alt


def test_a_button_is_pressed_by_key(control):
    said, before = control.locator(".widget-html-content").last, picture(control)
    control.get_by_role("button", name="down").focus()
    control.page.keyboard.press("Space")
    expect(said).to_have_text("cat goes down by 2", timeout=20_000)
    assert picture(control) != before


def test_words_that_no_page_has_prepared_are_typed(control):
    control.locator("input[type=text]").fill("")
    control.locator("input[type=text]").press_sequentially("owl")
    expect(control.locator(".widget-html-content").last).to_have_text("owl goes down by 2")
