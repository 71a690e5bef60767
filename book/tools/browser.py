"""Open every page of a rendered book in Chromium, and list what is wrong with it.

    python -m book.tools.browser               # the whole book
    python -m book.tools.browser 5-labs index  # the pages whose names hold one of these words

Each page is opened once and looked at in three widths, light and dark: errors, requests, weight,
time, folded parts, controls, keyboard, sideways scroll, and what axe-core finds. No host but the
local one can be reached. `page_checks` knows what is asked of a page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from playwright.sync_api import Browser, Error, Page, sync_playwright

from book.tools import page_checks as checks
from book.tools.layout import Book

NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_OTHER_HOST = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
WIDTHS, HEIGHT = (1280, 390, 360), 800
THEMED = "(theme) => (document.documentElement.dataset.theme ?? theme) === theme"
SLOW = 120_000  # ms for a step, after which it has failed, though the machine be busy
THEMES = ("light", "dark")
SEARCHED = ("attention", "注意力")


class Report(NamedTuple):
    """What was seen of one page."""

    page: str
    kilobytes: float
    seconds: float
    faults: list[str]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="browser", description=__doc__)
    parser.add_argument("words", nargs="*", help="only pages whose names hold one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    html = Book(options.root).html
    chosen = [p for p in pages(html) if any(w in p for w in options.words or [""])]
    if not chosen:
        print(f"browser: no such page in {html}; `make book` renders the book", file=sys.stderr)
        return 1
    began = time.monotonic()
    reports = look(html, chosen, options.jobs)
    for report in reports:
        print(f"{report.page:45} {report.kilobytes:5.0f} kB {report.seconds:5.1f} s")
    faults = [f"{report.page}: {fault}" for report in reports for fault in report.faults]
    for fault in faults:
        print(f"browser: {fault}", file=sys.stderr)
    took = time.monotonic() - began
    print(f"browser: {len(reports)} pages, {len(faults)} faults, {took:.0f} s")
    return 1 if faults else 0


def pages(html: Path) -> list[str]:
    """The pages of the book, without the theme's own templates; large ones first."""
    found = [p for p in html.rglob("*.html") if "_static" not in p.relative_to(html).parts]
    found.sort(key=lambda path: (-path.stat().st_size, path))
    return [path.relative_to(html).as_posix() for path in found]


def chromium() -> str | None:
    """The browser of this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def look(html: Path, chosen: list[str], jobs: int = 1) -> list[Report]:
    """Look at pages below `html`, with a browser for each of the `jobs`."""
    waiting: SimpleQueue[str] = SimpleQueue()
    for page in chosen:
        waiting.put(page)
    with served(html) as host, ThreadPoolExecutor(jobs) as pool:
        work = [pool.submit(worker, waiting, host, html) for _ in range(jobs)]
        return sorted(report for each in work for report in each.result())


def worker(waiting: SimpleQueue[str], host: str, html: Path) -> list[Report]:
    """Look at the waiting pages, one after another, in a browser of its own."""
    reports = []
    options = {"executable_path": chromium(), "args": [NO_OTHER_HOST]}
    with sync_playwright() as playwright, playwright.chromium.launch(**options) as browser:
        while True:
            try:
                name = waiting.get_nowait()
            except Empty:
                return reports
            try:
                reports.append(look_at(browser, host, html, name))
            except Error as error:  # a page that does not answer is a fault of that page
                why = str(error).partition("\n")[0]
                reports.append(Report(name, 0, 0, [f"could not be tried to the end: {why}"]))


@contextmanager
def served(html: Path) -> Iterator[str]:
    """Serve a folder on this machine alone; gives `127.0.0.1:port`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=html)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many files, as real servers have it

    def log_message(self, *_: object) -> None:
        pass


def look_at(browser: Browser, host: str, html: Path, name: str) -> Report:
    """Open one page, and try it in every width and theme."""
    context = browser.new_context(
        viewport={"width": WIDTHS[0], "height": HEIGHT},
        color_scheme="light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(SLOW)
    context.add_init_script(checks.SCRIPT)
    page = context.new_page()
    traffic, clock = checks.Traffic(page, host, html), checks.Clock(page)
    page.goto(f"http://{host}/{name}")
    checks.is_ready(page)
    kilobytes, seconds = traffic.kilobytes(), clock.seconds()
    faults = [*checks.too_much(kilobytes, seconds), *checks.unfold(page), *checks.controls(page)]
    faults += [*checks.keyboard(page), *checks.violations(page), *laid_out(page)]
    faults += [*traffic.faults, *coloured(page)]
    if name == "search.html":
        faults += [fault for term in SEARCHED for fault in checks.search(page, term)]
    context.close()
    return Report(name, kilobytes, seconds, faults)


def laid_out(page: Page) -> list[str]:
    """Sideways scroll and lost ink in each width and theme."""
    return [
        f"{form}: {fault}"
        for form in forms(page)
        for fault in [*checks.sideways(page), *(checks.lost_ink(page) if "dark" in form else ())]
    ]


def coloured(page: Page) -> list[str]:
    """Pale letters in each width and theme; spoils the page."""
    for _ in forms(page):
        page.evaluate("pageChecks.markColours()")
    page.evaluate("pageChecks.keepMarked()")
    return [f"{form}: {fault}" for form in forms(page) for fault in checks.pale(page)]


def forms(page: Page) -> Iterator[str]:
    """Give the page each width and theme in turn, and the name of that form."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            page.wait_for_function(THEMED, arg=theme)
            yield f"{width} px, {theme}"


if __name__ == "__main__":
    sys.exit(main())
