// A box that is narrower than its content scrolls sideways: only then keys must be able to reach it.
{
  const mark = () => {
    for (const box of document.querySelectorAll("pre, table, figure, .control [data-part]")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  new ResizeObserver(mark).observe(document.body);
  document.addEventListener("input", () => requestAnimationFrame(mark));
}
