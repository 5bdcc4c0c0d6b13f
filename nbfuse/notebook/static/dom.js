// Small things that both views share: elements, figures for people, the clipboard.

/** An element: h("button", { class: "x", onclick: act }, "text", child). */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Write a text where it is another: the same text written again is drawn again. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put `children` in place of what `node` holds, where they read differently; whether they did. */
function refill(node, children) {
  const made = h("div", {}, ...children);
  const differs = made.childNodes.length !== node.childNodes.length || made.textContent !== node.textContent;
  if (differs) node.replaceChildren(...made.childNodes);
  return differs;
}

/** A duration for people, as the saved form writes it. */
function seconds(value) {
  return value < 9.995 ? `${value.toFixed(2)} s` : `${Math.round(value)} s`;
}

/** A duration that still grows. */
function tenths(value) {
  return `${value.toFixed(1)} s`;
}

/** US dollars for people; a question mark for unknown. */
function money(value) {
  if (value === null || value === undefined) return "?";
  return value ? `$${value.toFixed(4)}` : "$0";
}

/** Copy `text`, and say so on the button for a moment. */
async function copy(text, button) {
  const label = (button.dataset.label ??= button.textContent);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // no clipboard where the page is not secure: the old way still works there
    const area = h("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
}

/** Keys that a notebook would take for its own stay in here. */
function keepKeys(node) {
  node.addEventListener("keydown", (event) => event.stopPropagation());
}

/**
 * Have `tabs` follow the ARIA pattern: one of them in the tab order, arrows, Home and End move.
 * `select` gets the number of the tab that is chosen.
 */
function keyboardTabs(list, tabs, select) {
  list.addEventListener("keydown", (event) => {
    const shown = tabs().filter((tab) => !tab.hidden);
    const at = shown.indexOf(event.target.closest("[role=tab]"));
    const last = shown.length - 1;
    const to = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    select(tabs().indexOf(shown[to]));
    shown[to].focus();
  });
}

/** Scroll what holds `el` until that is as far down on the screen as it was before. */
function keepInPlace(el, before) {
  const moved = el.getBoundingClientRect().top - before;
  let box = el.parentElement;
  while (box && !(box.scrollHeight > box.clientHeight && /auto|scroll/.test(getComputedStyle(box).overflowY)))
    box = box.parentElement;
  if (box) box.scrollTop += moved;
}

/** Have `el` know how far its texts are scrolled, and what has the focus: a move forgets both. */
function rememberPlace(el) {
  const tops = new Map();
  let focused = null;
  el.addEventListener("scroll", ({ target }) => tops.set(target, target.scrollTop), true);
  el.addEventListener("focusin", ({ target }) => (focused = target));
  el.addEventListener("focusout", () => {
    if (el.isConnected) focused = null;
  });
  el.restorePlace = () => {
    for (const [text, top] of [...tops]) text.scrollTop = top;
    focused?.focus({ preventScroll: true });
  };
}
