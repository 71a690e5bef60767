// What book/tools/page_checks.py asks of a page from the inside; each function returns plain data.
(() => {
  let busyUntil = 0;  // end of the last task that held the page up for more than 50 ms
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) busyUntil = task.startTime + task.duration;
  }).observe({type: "longtask", buffered: true});

  const reached = new Set();
  document.addEventListener("focusin", ({target}) => reached.add(target), true);

  const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex], [onclick], "
    + "audio[controls], video[controls], [contenteditable]";
  const MAY_SCROLL = "pre, table, div.math";
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (element) => element.checkVisibility({visibilityProperty: true})
    && element.getClientRects().length > 0;
  const name = (element) => {
    const words = (element.getAttribute("aria-label") || element.textContent).trim();
    const kind = [element.localName, ...element.classList].join(".").slice(0, 60);
    return `${kind} "${words.replace(/\s+/g, " ").slice(0, 40)}"`;
  };
  const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);

  // Links and controls, and what looks as if it could be pressed without being or holding one.
  const pressable = () => all(CONTROLS).filter((e) => !e.disabled && e.type !== "hidden")
    .concat(all("body *").filter((e) => getComputedStyle(e).cursor === "pointer"
      && getComputedStyle(e.parentElement).cursor !== "pointer"
      && !e.closest(`${CONTROLS}, label`) && !e.querySelector(CONTROLS)))
    .filter(visible);

  const isReached = (element) => reached.has(element) || (element.type === "radio"
    && all("input[type=radio]").some((e) => e.name === element.name && reached.has(e)));

  window.pageChecks = {
    name,
    height: (folder) => folder.closest("details, .toggle").offsetHeight,
    shown: (choice) => [...choice.closest("[data-mark]").querySelectorAll("[data-part]")]
      .map((part) => part.innerHTML).join(),
    steps: (choice) => Number(choice.querySelector("input").max)
      || choice.querySelectorAll("input").length - 1,

    interactive: () => Math.max(
      busyUntil, performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd) / 1000,

    sideways: () => {
      const root = document.scrollingElement, faults = [];
      if (root.scrollWidth > root.clientWidth) {
        const beyond = all("body *").filter((e) => visible(e) && !e.parentElement.closest(MAY_SCROLL)
          && e.getBoundingClientRect().right + scrollX > root.clientWidth + 1);
        const most = beyond.filter((e) => !beyond.some((other) => e !== other && e.contains(other)));
        faults.push(`the page scrolls sideways, by ${root.scrollWidth - root.clientWidth} px: `
          + most.slice(0, 3).map(name).join(", "));
      }
      for (const e of all("body *")) {
        if (e.scrollWidth <= e.clientWidth + 1 || !scrolls(e) || !visible(e)) continue;
        if (!e.matches(MAY_SCROLL)) faults.push(`scrolls sideways: ${name(e)}`);
        else if (e.tabIndex < 0) faults.push(`scrolls, but keys cannot reach it: ${name(e)}`);
      }
      return faults;
    },

    startKeyboard: () => {
      document.activeElement.blur();
      getSelection().removeAllRanges();
      scrollTo(0, 0);
      reached.clear();
    },
    reached: () => reached.size,
    unreached: () => pressable().filter((e) => !isReached(e)).map(name),
  };
})();
