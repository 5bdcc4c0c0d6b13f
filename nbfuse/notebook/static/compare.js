// Two or three answers side by side, with what the others do not say marked in each.

const MOST_WORDS = 6000; // of an answer; what is longer is shown without marks
const MOST_CHANGES = 400; // beyond it the search takes long,
const LEAST_SHARED = 0.3; // and with fewer words in common nearly all would be marked

/** The words of a text, with the blanks between them. */
function words(text) {
  return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}

/**
 * Which words two texts share: for each word of both whether the other has it in the same order.
 *
 * E. Myers, "An O(ND) difference algorithm and its variations", Algorithmica 1 (1986).
 * Null where they differ in more than MOST_CHANGES places.
 */
function common(a, b) {
  let [start, end] = [0, 0];
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  const most = Math.min(a.length, b.length) - start;
  while (end < most && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const found = middle(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const around = (same) => [...Array(start).fill(true), ...same, ...Array(end).fill(true)];
  return found && found.map(around);
}

function middle(a, b) {
  const reach = new Map([[1, 0]]);
  const trace = [];
  for (let d = 0; d <= MOST_CHANGES; d++) {
    trace.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
      let x = down ? reach.get(k + 1) : reach.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return backwards(a, b, trace);
    }
  }
  return null;
}

function backwards(a, b, trace) {
  const [inA, inB] = [new Array(a.length).fill(false), new Array(b.length).fill(false)];
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d--) {
    const reach = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
    const before = d === 0 ? 0 : reach.get(down ? k + 1 : k - 1);
    const beforeY = d === 0 ? 0 : before - (down ? k + 1 : k - 1);
    while (x > before && y > beforeY && x > 0 && y > 0) {
      inA[--x] = true;
      inB[--y] = true;
    }
    [x, y] = [before, beforeY];
  }
  return [inA, inB];
}

/** For each text its words, and whether all the others have them; null for "not to be compared". */
function compared(texts) {
  const all = texts.map(words);
  if (all.some((one) => one.length > MOST_WORDS)) return null;
  const [first, ...others] = all;
  if (others.some((other) => overlap(first, other) < LEAST_SHARED)) return null;
  const shared = first.map(() => true);
  const columns = [];
  for (const other of others) {
    const found = common(first, other);
    if (!found) return null;
    found[0].forEach((same, i) => (shared[i] &&= same));
    columns.push([other, found[1]]);
  }
  columns.unshift([first, shared]);
  return columns.every(([all, same]) => share(all, same) >= LEAST_SHARED) ? columns : null;
}

/** How many of the words of the shorter text the other has at all: no order can share more. */
function overlap(a, b) {
  const counts = new Map();
  for (const word of a) counts.set(word, (counts.get(word) ?? 0) + 1);
  let both = 0;
  for (const word of b) {
    const left = counts.get(word) ?? 0;
    if (left && word.trim()) both++;
    counts.set(word, left - 1);
  }
  const least = Math.min(...[a, b].map((one) => one.filter((word) => word.trim()).length));
  return both / Math.max(1, least);
}

/** How much of a text is shared, counted in words. */
function share(all, same) {
  const isWord = (one) => one.trim() !== "";
  return all.filter((one, i) => isWord(one) && same[i]).length / Math.max(1, all.filter(isWord).length);
}

/** Text with a <mark> around each run of words that is not shared. */
function marked([all, shared]) {
  const nodes = [];
  for (let i = 0; i < all.length; ) {
    let end = i;
    while (end < all.length && shared[end] === shared[i]) end++;
    const text = all.slice(i, end).join("");
    nodes.push(shared[i] || !text.trim() ? text : h("mark", {}, text));
    i = end;
  }
  return nodes;
}

/** The panel: which answers to compare, and their columns. */
class Compare {
  constructor(store) {
    this.store = store;
    this.chosen = null;
    this.choice = h("div", { class: "nbf-choice", role: "group", "aria-label": "Answers to compare" });
    this.note = h("p", { class: "nbf-small" });
    this.columns = h("div", { class: "nbf-columns" });
    this.el = h("div", {}, this.choice, this.note, this.columns);
  }

  draw() {
    const { store } = this;
    const names = ["fused answer", ...store.members.map((member) => member.name)];
    const there = names.map((_, i) => i).filter((i) => store.texts[i]?.text.trim());
    this.chosen = (this.chosen ?? there.slice(1, 3)).filter((i) => there.includes(i));
    this.choice.replaceChildren(
      ...there.map((i) =>
        h(
          "button",
          {
            type: "button",
            class: "nbf-button",
            "aria-pressed": String(this.chosen.includes(i)),
            onclick: () => this.toggle(i),
          },
          names[i],
        ),
      ),
    );
    const texts = this.chosen.map((i) => store.texts[i].text.trim());
    const found = texts.length > 1 ? compared(texts) : null;
    this.note.textContent =
      texts.length < 2
        ? "Choose two or three answers."
        : found
          ? "Marked: words that the other answer does not have."
          : "Too long, or with too little in common, for marks to tell anything.";
    this.columns.replaceChildren(
      ...this.chosen.map((i, k) =>
        h(
          "section",
          { class: "nbf-column", "aria-label": names[i] },
          h("h4", {}, names[i]),
          h("div", { class: "nbf-plain" }, ...(found ? marked(found[k]) : [texts[k]])),
        ),
      ),
    );
    this.choice.querySelectorAll("button")[there.indexOf(this.touched)]?.focus();
    this.touched = null;
  }

  toggle(i) {
    this.touched = i;
    if (this.chosen.includes(i)) this.chosen = this.chosen.filter((one) => one !== i);
    else this.chosen = [...this.chosen.slice(-2), i];
    this.draw();
  }
}
