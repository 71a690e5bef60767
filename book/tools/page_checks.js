// What book/tools/page_checks.py asks of a page from the inside; each function returns plain data.
(() => {
  const reached = new Set();
  let wanted = [];  // what can be pressed as the walk by keys begins
  document.addEventListener("focusin", ({target}) => reached.add(target), true);

  const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1']), [onclick], "
    + "audio[controls], video[controls], [contenteditable]";
  const MAY_SCROLL = "pre, table, figure, mjx-container";
  const PLAIN = "rgba(0, 0, 0, 0),none,1";
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

  // Relative luminance, 0 to 1, of red, green and blue from 0 to 255, and the contrast of two: as WCAG has them.
  const luminance = (rgb) => rgb.map((v) => v / 255)
    .map((v) => (v > 0.04045 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92))
    .reduce((sum, v, i) => sum + [0.2126, 0.7152, 0.0722][i] * v, 0);
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ground = (element) => {
    const [r, g, b, alpha = 1] = getComputedStyle(element).backgroundColor.match(/[\d.]+/g).map(Number);
    return alpha > 0.5 || !element.parentElement ? luminance([r, g, b]) : ground(element.parentElement);
  };

  // Whether what stands behind an image shines through, and a twentieth of its ink could be read on white but not there.
  const losesInk = (image) => {
    const width = Math.min(image.naturalWidth, 300), behind = ground(image);
    const height = Math.max(1, Math.round(width * image.naturalHeight / image.naturalWidth));
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(image, 0, 0, width, height);
    const {data} = canvas.getImageData(0, 0, width, height);
    let ink = 0, lost = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 128) continue;
      const own = luminance([...data.subarray(i, i + 3)]);
      ink += 1;
      if (contrast(own, 1) > 4.5 && contrast(own, behind) < 3) lost += 1;
    }
    return ink < 0.95 * width * height && lost > 0.05 * ink;
  };

  window.pageChecks = {
    name,
    height: (folder) => folder.closest("details, .toggle").offsetHeight,
    shown: (choice) => [...choice.closest("[data-mark]").querySelectorAll("[data-part]")]
      .map((part) => part.innerHTML.replace(/ alt="[^"]*"/g, "")).join(),
    steps: (choice) => Number(choice.querySelector("input").max)
      || choice.querySelectorAll("input").length - 1,

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

    lostInk: () => all("img").filter((e) => visible(e) && e.naturalWidth > 0 && losesInk(e))
      .map((e) => `dark on dark: ${e.alt || e.src.slice(-60)}`),

    // Marks one element for each pair of colours, size and weight of letters that is seen now.
    markColours: () => {
      const found = new Map(), grounds = new Map([[document.documentElement, ""]]);
      const ground = (e) => {
        if (!grounds.has(e)) {
          const {backgroundColor, backgroundImage, opacity} = getComputedStyle(e);
          const own = [backgroundColor, backgroundImage, opacity].join().replace(PLAIN, "");
          grounds.set(e, ground(e.parentElement) + own);
        }
        return grounds.get(e);
      };
      const written = (e) => e.matches("input, select, textarea")
        || [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      for (const e of all("body *").filter((e) => written(e) && visible(e))) {
        const {color, fontSize, fontWeight} = getComputedStyle(e);
        const around = getComputedStyle(e.parentElement).color;
        const key = [color, fontSize, fontWeight, around, ground(e)].join();
        if (!found.has(key)) found.set(key, e);
      }
      for (const e of found.values()) e.dataset.coloured = "";
    },
    // Of a large page, axe takes seconds for each form of it, so only what is marked is left.
    keepMarked: () => {
      const kept = new Set(all("style"));
      for (let e of all("[data-coloured]")) for (; e; e = e.parentElement) kept.add(e);
      all("body *").filter((e) => !kept.has(e)).forEach((e) => e.remove());
    },

    startKeyboard: () => {
      document.activeElement.blur();
      getSelection().removeAllRanges();
      scrollTo(0, 0);
      reached.clear();
      wanted = pressable();
    },
    reached: () => reached.size,
    // The contents beside the page unfold as one moves on; what shows only then is reached by going back.
    unreached: () => wanted.filter((e) => visible(e) && !isReached(e)).map(name),
  };
})();
