// Shows what a term means when it is pointed at, focused or tapped; `terms.py` marks the terms.
const [tip, chinese, meaning] = ["div", "span", "span"].map((tag) => document.createElement(tag));
Object.assign(tip, { id: "term-tip", role: "tooltip", hidden: true });
chinese.lang = "zh";
tip.append(chinese, " ", meaning);
document.body.append(tip);
let shown = null, later = 0, tapped = false;

const hide = () => {
  tip.hidden = true;
  shown?.removeAttribute("aria-describedby");
  shown = null;
};
const show = (term) => {
  hide();
  shown = term;
  chinese.textContent = term.dataset.chinese;
  meaning.textContent = term.dataset.meaning;
  term.setAttribute("aria-describedby", tip.id);
  tip.hidden = false;
  const { left, top, bottom } = term.getClientRects()[0];
  const fits = bottom + tip.offsetHeight + 8 < innerHeight;
  const right = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${scrollX + Math.max(8, Math.min(left, right))}px`;
  tip.style.top = `${scrollY + (fits ? bottom + 4 : top - tip.offsetHeight - 4)}px`;
};
const termOf = ({ target }) => target.closest("a.term");

document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch") return;
  clearTimeout(later);
  const term = termOf(event);
  if (term) later = setTimeout(show, 150, term);
  else if (!tip.contains(event.target)) later = setTimeout(() => shown === document.activeElement || hide(), 150);
});
document.addEventListener("focusin", (event) => (termOf(event) ? show(termOf(event)) : hide()));
addEventListener("resize", () => shown && show(shown));
document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
// The first tap shows the meaning, the second follows the link.
document.addEventListener("pointerdown", (event) => {
  tapped = event.pointerType === "touch" && termOf(event) !== shown;
});
document.addEventListener("click", (event) => {
  const term = tapped && termOf(event);
  if (term) event.preventDefault();
  if (tapped) term ? show(term) : hide();
  tapped = false;
});
