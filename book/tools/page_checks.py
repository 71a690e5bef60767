"""What must hold of an open page: each check returns one sentence for each fault it finds.

Knows a page in a browser; does not know which pages there are or how they are served.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from playwright.sync_api import Page, Request, TimeoutError

SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
GRAVE = {"serious", "critical"}
OF_COLOUR = ["color-contrast", "link-in-text-block"]
WEIGHED = {"document", "script", "stylesheet"}
MOST_KILOBYTES = 1000
MOST_SECONDS = 2.0
PATIENCE = 1000  # ms until something that was pressed has changed
FOLDED = "details:not([open]) > summary, .toggle-hidden .toggle-button"
FOUND = "#search-results ul.search li a"


class Traffic:
    """What a page asks for and complains about while it is open."""

    def __init__(self, page: Page, host: str, root: Path) -> None:
        self.host, self.root = host, root
        self.faults: list[str] = []
        self.weighed: set[Path] = set()
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.on("pageerror", lambda error: self._note(f"console error: {error.message}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._broke_off)
        page.on(
            "response", lambda got: got.status < 400 or self._failed(got.request, str(got.status))
        )

    def kilobytes(self) -> float:
        """The page's own text, its scripts and its styles, each gzipped."""
        return sum(map(gzipped, self.weighed)) / 1000

    def _note(self, fault: str) -> None:
        self.faults += [] if fault in self.faults else [fault]

    def _heard(self, kind: str, text: str) -> None:
        # A request that failed is noted as such.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self._note(f"console error: {text.splitlines()[0]}")

    def _local(self, asked: Request) -> bool:
        parts = urlsplit(asked.url)
        return parts.scheme in {"data", "blob"} or parts.netloc == self.host

    def _asked(self, asked: Request) -> None:
        if not self._local(asked):
            self._note(f"request to another host: {asked.url}")
        elif asked.resource_type in WEIGHED and asked.url.startswith("http"):
            self.weighed.add(self.root / unquote(urlsplit(asked.url).path).lstrip("/"))

    def _broke_off(self, asked: Request) -> None:
        # Of a sound, the browser reads no more than it needs.
        if asked.resource_type != "media":
            self._failed(asked, asked.failure)

    def _failed(self, asked: Request, why: str | None) -> None:
        # Of a file that is not there, the browser breaks off too.
        if self._local(asked) and not any(asked.url[:200] in fault for fault in self.faults):
            self._note(f"request failed ({why}): {asked.url[:200]}")


@cache
def gzipped(path: Path) -> int:
    """Bytes of a file, gzipped; 0 of one that does not exist, which is a fault of its own."""
    return len(gzip.compress(path.read_bytes(), 6)) if path.is_file() else 0


def is_ready(page: Page) -> None:
    """Wait until the page has its pictures and its formulas."""
    page.wait_for_load_state("networkidle")
    page.evaluate("async () => { await window.MathJax?.startup?.promise; }")


class Clock:
    """How long a page keeps its main thread busy: what stands between a reader and an answer.

    The thread's own time, so that a busy machine changes little.
    """

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime")


def too_much(kilobytes: float, seconds: float) -> list[str]:
    faults = []
    if kilobytes > MOST_KILOBYTES:
        faults.append(f"HTML, scripts and styles {kilobytes:.0f} kB, at most {MOST_KILOBYTES}")
    if seconds > MOST_SECONDS:
        faults.append(f"answers after {seconds:.1f} s of work, at most {MOST_SECONDS:.0f}")
    return faults


def sideways(page: Page) -> list[str]:
    """Only code, tables and formulas may scroll sideways, in boxes that a key can reach."""
    return page.evaluate("pageChecks.sideways()")


def violations(page: Page) -> list[str]:
    """What axe-core calls serious or critical, colours left out."""
    return axe(page, {"rules": {rule: {"enabled": False} for rule in OF_COLOUR}})


def pale(page: Page) -> list[str]:
    """Letters that stand out too little, by axe-core's rules."""
    return axe(page, {"runOnly": OF_COLOUR})


def axe(page: Page, options: dict) -> list[str]:
    """The grave violations that axe-core finds, a sentence for each rule."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options |= {"resultTypes": ["violations"], "preload": False}
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [
        f"{rule['id']}, {len(rule['nodes'])} times: {node['html'][:100]} ({first_reason(node)})"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"][:1]
    ]


def lost_ink(page: Page) -> list[str]:
    """Pictures that one looks through onto a ground as dark as their ink."""
    return page.evaluate("pageChecks.lostInk()")


def first_reason(node: dict) -> str:
    return next(each["message"] for kind in ("any", "all", "none") for each in node[kind])


def unfold(page: Page) -> list[str]:
    """Open all that is folded, by keyboard alone; each part must grow."""
    faults = []
    while folded := page.query_selector_all(f":is({FOLDED}):not([data-tried]):visible"):
        for each in folded:
            height = each.evaluate("(e) => { e.dataset.tried = ''; return pageChecks.height(e); }")
            each.press("Enter")
            try:
                grown = "([e, height]) => pageChecks.height(e) > height"
                page.wait_for_function(grown, arg=[each, height], timeout=PATIENCE)
            except TimeoutError:
                faults.append(f"does not unfold: {each.evaluate('(e) => pageChecks.name(e)')}")
    return faults


def controls(page: Page) -> list[str]:
    """Each choice of each control moves by keys, and changes what the control shows."""
    faults = []
    for choice in page.query_selector_all("[data-choice]"):
        choice.query_selector("input[type=range], input:checked").focus()
        page.keyboard.press("Home")  # a slider; buttons begin anywhere, and go round
        shown = {choice.evaluate("(e) => pageChecks.shown(e)")}
        for _ in range(choice.evaluate("(e) => pageChecks.steps(e)")):
            page.keyboard.press("ArrowRight")
            shown.add(choice.evaluate("(e) => pageChecks.shown(e)"))
        if len(shown) < 2:
            faults.append(f"changes nothing: {choice.evaluate('(e) => pageChecks.name(e)')}")
    return faults


def keyboard(page: Page) -> list[str]:
    """Tab alone, from the top of the page and round it, reaches everything that can be pressed.

    What unfolds late may be missed in a first round: rounds go on while they reach something new.
    """
    page.evaluate("pageChecks.startKeyboard()")
    left = page.evaluate("pageChecks.unreached()")
    a_round, reached = len(left), -1
    while left and reached < (reached := page.evaluate("pageChecks.reached()")):
        for _ in range(a_round):
            page.keyboard.press("Tab")
        left = page.evaluate("pageChecks.unreached()")
    return [f"Tab does not reach {name}" for name in left]


def search(page: Page, term: str) -> list[str]:
    """The page's own search leads to a page for `term`."""
    page.goto(urljoin(page.url, f"search.html?q={quote(term)}"))
    try:
        page.wait_for_selector(FOUND, timeout=10 * PATIENCE)
    except TimeoutError:
        return [f"search finds nothing for {term!r}"]
    return []
