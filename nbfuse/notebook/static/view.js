// The view of a run: the fused answer on top, a tab for each member, then what there is to compare.

const SIGNS = {
  waiting: "○", thinking: "◌", writing: "●", complete: "✓", "cut off": "✂", partial: "✕",
  failed: "✕", late: "◷", stopped: "■", "not asked": "○",
};
const NEAR_END = 24; // pixels from the end of a text at which one is still reading along
const PACE_MS = 160; // from one drawing of growing texts to the next: each is laid out anew

/** A growing answer: blocks that have ended, and the text that follows them. */
class Growing {
  constructor(label) {
    this.blocks = h("div");
    this.tail = h("div", { class: "nbf-plain" });
    this.tail.append("");
    this.note = h("p", { class: "nbf-small", hidden: true });
    this.el = h(
      "div",
      { class: "nbf-body", tabindex: 0, role: "region", "aria-label": label },
      this.blocks, this.tail, this.note,
    );
    this.drawn = 0; // how many of its blocks are drawn,
    this.drawing = 0; // and of which text
  }

  /** Draw what is new; whoever reads further up is left where he is. */
  draw(text, cut) {
    const { el } = this;
    const follows = el.scrollHeight - el.scrollTop - el.clientHeight < NEAR_END;
    if (text.drawing !== this.drawing) this.clear();
    this.drawing = text.drawing;
    for (const html of text.html.slice(this.drawn)) {
      const block = h("div", { class: "nbf-block" });
      block.innerHTML = html; // made harmless by the kernel: no other text becomes HTML
      block.querySelectorAll("pre").forEach(addCopy);
      block.querySelectorAll("a").forEach((link) => (link.target = "_blank"));
      this.blocks.append(block);
    }
    this.drawn = text.html.length;
    const node = this.tail.firstChild;
    if (text.tail.startsWith(node.data)) node.appendData(text.tail.slice(node.data.length));
    else node.data = text.tail;
    this.note.hidden = !cut;
    if (cut) this.note.textContent = `The first 100,000 of ${cut.toLocaleString("en")} characters; the result holds all.`;
    if (follows && el.clientHeight) el.scrollTop = el.scrollHeight;
  }

  clear() {
    this.blocks.replaceChildren();
    this.drawn = 0;
    this.tail.firstChild.data = "";
  }
}

function addCopy(pre) {
  const code = pre.textContent;
  const button = h("button", { type: "button", class: "nbf-button nbf-copy" }, "Copy");
  button.addEventListener("click", () => copy(code, button));
  const box = h("div", { class: "nbf-code" });
  pre.replaceWith(box);
  box.append(pre, button);
}

let views = 0;

class View {
  /** `act` has what the kernel can be asked to do: stop, skip, vote, promote, rejudge. */
  constructor(store, act) {
    Object.assign(this, { store, act, id: `nbf${++views}-`, tabs: [], made: 0, chosen: store.selected ?? 0 });
    this.fused = new Growing("Fused answer");
    this.fused.el.classList.add("nbf-fused");
    this.build();
    this.listener = (message) => this.update(message);
    store.listeners.add(this.listener);
    this.clock = setInterval(() => this.tick(), 500);
    this.update({ whole: true });
  }

  destroy() {
    clearInterval(this.clock);
    clearTimeout(this.due);
    this.store.listeners.delete(this.listener);
    hideQuote(this.el);
    this.el.remove();
  }

  build() {
    const button = (label, act, more = {}) =>
      h("button", { type: "button", class: "nbf-button", onclick: act, ...more }, label);
    this.headline = h("span", { class: "nbf-headline" });
    this.status = h("span", { class: "nbf-status", role: "status" });
    this.figures = h("span", { class: "nbf-figures" });
    this.stop = button("Stop", () => this.act.stop(), { class: "nbf-button nbf-stop" });
    this.why = h("p", { class: "nbf-why" });
    this.notes = h("ul", { class: "nbf-notes" });
    this.after = h(
      "div",
      { class: "nbf-after", hidden: true },
      this.voteButton(thumb(), "This answer is good", "up", ""),
      this.voteButton(thumb(true), "This answer is bad", "down", ""),
      (this.copy = button("Copy", (event) => copy(this.store.texts[0].text, event.target))),
      (this.opener = button("Judge again …", () => this.toggleForm(), { "aria-expanded": "false" })),
    );
    this.form = judgeForm(this);
    this.list = h("div", { class: "nbf-tabs", role: "tablist", "aria-label": "Answers" });
    keyboardTabs(this.list, () => this.tabs.map((tab) => tab.button), (i) => this.select(i));
    this.panels = h("div", { class: "nbf-panels" });
    const head = h(
      "header",
      { class: "nbf-head" },
      h("strong", {}, "Fused answer"), this.headline, this.status, this.figures, this.stop,
    );
    const top = h("div", { class: "nbf-top" }, head, this.fused.el, this.why, this.notes, this.after, this.form);
    this.el = h("section", { class: "nbf-view", "aria-label": "nbfuse" }, top, this.list, this.panels);
    keepKeys(this.el);
    rememberPlace(this.el);
  }

  voteButton(sign, label, vote, member) {
    const node = h(
      "button",
      { type: "button", class: "nbf-button", "aria-label": label, title: label, "aria-pressed": "false" },
      sign,
    );
    node.dataset.vote = `${member}\n${vote}`;
    node.addEventListener("click", () => this.act.vote(vote, member));
    return node;
  }

  /** Draw what `message` changes; all of it where it says `whole`. */
  update(message) {
    const { store } = this;
    const names = store.members.map((member) => member.name).join("\n");
    if (names !== this.names || !this.tabs.length) this.makeTabs();
    this.names = names;
    // who reads a member's answer is not to lose his line when the fused one takes its room
    const reads = message.result && this.panels.matches(":hover, :focus-within");
    const before = reads ? this.list.getBoundingClientRect().top : 0;
    const all = message.whole || message.reset || message.result;
    const touched = (message.texts ?? []).map(([i]) => i);
    if (all) this.drawTexts();
    else if (touched.some((i) => i === 0 || i === this.chosen + 1)) this.drawSoon();
    const running = store.running;
    this.el.classList.toggle("nbf-running", running);
    this.stop.hidden = !running || store.gone;
    this.stop.disabled = Boolean(store.stopping);
    put(this.stop, store.stopping ? "Stopping …" : "Stop");
    this.after.hidden = running || store.gone;
    if (message.whole || message.members || message.result || message.votes) this.drawTabs();
    if (message.whole || message.result) this.drawResult();
    const status = store.gone ? "The kernel has gone" : (store.notice ?? store.status);
    put(this.status, status);
    if (message.whole || message.members) this.tick();
    if (reads) keepInPlace(this.list, before);
    if (store.result && (message.result || message.whole))
      setTimeout(() => this.drawNotes(true), 1500); // the saved form follows the result
  }

  drawNotes(late = false) {
    const notes = [...(this.store.result?.notes ?? [])];
    if (late && this.store.result && this.saved?.isConnected && !this.saved.querySelector("details"))
      notes.push("The page was loaded again while this ran, so its file lacks the answer: keep it with %fuse last in a new cell.");
    this.notes.replaceChildren(...notes.map((note) => h("li", {}, note)));
  }

  /** Draw the texts that grow: at once, or a moment after the last time. */
  drawSoon() {
    const rest = (this.drawnAt ?? 0) + PACE_MS - performance.now();
    this.due ??= setTimeout(() => this.drawTexts(), Math.max(0, rest));
  }

  /** Draw the fused answer and one member's: of eight growing texts one sees one. */
  drawTexts() {
    clearTimeout(this.due);
    Object.assign(this, { due: null, drawnAt: performance.now() });
    this.fused.draw(this.store.texts[0], this.store.cut[0]);
    this.drawText();
  }

  /** Draw the member's text that is shown, where it is one. */
  drawText() {
    const { growing } = this.tabs[this.chosen];
    growing?.draw(this.store.texts[this.chosen + 1], this.store.cut[this.chosen + 1]);
  }

  makeTabs() {
    const { store } = this;
    const members = store.members.map((member, i) => this.memberTab(member, i));
    this.times = this.plainTab("Times", h("div"));
    this.analysis = this.plainTab("Analysis", h("div"));
    this.compare = new Compare(store);
    this.comparing = this.plainTab("Compare", this.compare.el);
    this.tabs = [...members, this.times, this.analysis, this.comparing];
    this.list.replaceChildren(...this.tabs.map((tab) => tab.button));
    this.panels.replaceChildren(...this.tabs.map((tab) => tab.panel));
    this.select(Math.min(this.chosen, this.tabs.length - 1));
  }

  tab(label, ...content) {
    this.made += 1; // tabs are made anew when members change, and no two may share a name
    const [name, panelName] = [`${this.id}tab${this.made}`, `${this.id}panel${this.made}`];
    const button = h(
      "button",
      { type: "button", class: "nbf-tab", role: "tab", id: name, "aria-controls": panelName },
      label,
    );
    const panel = h(
      "div",
      { class: "nbf-panel", role: "tabpanel", id: panelName, "aria-labelledby": name },
      ...content,
    );
    button.addEventListener("click", () => this.select(this.tabs.findIndex((tab) => tab.button === button)));
    return { button, panel };
  }

  plainTab(label, body) {
    body.classList.add("nbf-body");
    body.tabIndex = 0;
    return { ...this.tab(label, body), body };
  }

  memberTab(member, i) {
    const button = (label, act) =>
      h("button", { type: "button", class: "nbf-button", onclick: act }, label);
    const growing = new Growing(`Answer of ${member.name}`);
    const sign = h("span", { class: "nbf-sign", "aria-hidden": "true" });
    const about = h("span", { class: "nbf-small" });
    const says = h("p", { class: "nbf-says", hidden: true });
    const figures = h("span", { class: "nbf-small" });
    const copier = button("Copy", (event) => copy(this.store.texts[i + 1].text, event.target));
    const skip = button("Stop this one", () => this.act.skip(member.name));
    const after = h(
      "span",
      { class: "nbf-after" },
      this.voteButton(thumb(), `${member.name}: good`, "up", member.name),
      this.voteButton(thumb(true), `${member.name}: bad`, "down", member.name),
      this.voteButton("This was best", `${member.name} was best`, "best", member.name),
      button("Use this answer", () => this.act.promote(member.name)),
      copier,
    );
    const bar = h("div", { class: "nbf-line" }, figures, skip, after);
    const tab = this.tab(h("span", {}, sign, " ", member.name, " ", about), bar, says, growing.el);
    return { ...tab, growing, sign, about, says, figures, skip, after, copier };
  }

  /** What changes with a state: signs, words, which buttons there are. */
  drawTabs() {
    const { store } = this;
    const votes = new Set((store.votes ?? []).map((pair) => pair.join("\n")));
    for (const node of this.el.querySelectorAll("[data-vote]"))
      node.setAttribute("aria-pressed", String(votes.has(node.dataset.vote)));
    store.members.forEach((member, i) => {
      const tab = this.tabs[i];
      const best = store.result?.best.includes(member.name);
      tab.sign.textContent = best ? "★" : SIGNS[member.state];
      tab.button.dataset.state = member.state;
      const calls = store.result?.calls[member.name] ?? [];
      tab.says.textContent = [...calls, member.says].filter(Boolean).join("\n");
      tab.says.hidden = !tab.says.textContent;
      nameCopy(tab.copier, store.cut[i + 1]);
      tab.skip.hidden = member.end !== null || !this.act.hears || store.gone;
      tab.after.hidden = store.running || store.gone || !store.texts[i + 1].text;
    });
    nameCopy(this.copy, store.cut[0]);
    const there = store.texts.filter((text) => text.text.trim()).length;
    this.comparing.button.hidden = there < 2;
  }

  drawResult() {
    const { store } = this;
    const { result } = store;
    this.headline.textContent = result ? result.headline : `${store.mode}, judged by ${short(store.judge)}`;
    this.why.textContent = result?.reason ?? "";
    this.drawNotes();
    const told = result && ["fields", "analysis", "positions", "checks"].some((part) => result[part].length);
    this.analysis.button.hidden = !told;
    if (told) this.analysis.body.replaceChildren(...analysis(this));
    if (result) this.panels.style.minHeight = "";
    if (this.tabs[this.chosen]?.button.hidden) this.select(0);
    this.form.prepare();
    this.drawChosen();
  }

  /** What changes with every moment. */
  tick() {
    const { store } = this;
    if (!this.el.isConnected || (store.running && store.gone)) return;
    const figures = store.result
      ? `${store.result.seconds} · ${store.result.price}`
      : `${tenths(store.now())} · ${money(total(store))}`;
    put(this.figures, figures);
    store.members.forEach((member, i) => {
      const tab = this.tabs[i];
      const rate = store.rate(i);
      const took = member.end === null ? store.now() - member.begun : member.end - member.begun;
      const pace = rate === null ? member.state : `${rate.toFixed(0)} tok/s`;
      put(tab.about, member.end === null ? pace : seconds(took));
      if (i !== this.chosen) return;
      const speed = rate === null ? null : `${member.tokens === null ? "≈ " : ""}${rate.toFixed(0)} tokens/s`;
      const paid = `${money(store.cost(i))}${member.earlier ? " before" : ""}`;
      const verdict = member.says ? null : store.result?.rows[i]?.[4]; // it stands below
      const time = member.end === null ? tenths(took) : seconds(took);
      put(tab.figures, [verdict || member.state, time, speed, paid].filter(Boolean).join(" · "));
    });
    if (store.running && this.tabs[this.chosen] === this.times) this.drawChosen();
  }

  /** Draw the panel that is shown, where it is drawn as a whole. */
  drawChosen() {
    const tab = this.tabs[this.chosen];
    if (tab === this.times) this.times.body.replaceChildren(timeline(this.store));
    if (tab === this.comparing) this.compare.draw();
    this.drawText();
  }

  select(i) {
    // no smaller than what was shown before: nothing below may jump
    const least = this.store.running && this.tabs[i].panel.isConnected && this.shown;
    this.panels.style.minHeight = least ? `${this.panels.offsetHeight}px` : "";
    this.shown = true;
    this.chosen = this.store.selected = i;
    hideQuote(this.el);
    this.tabs.forEach((tab, k) => {
      tab.button.setAttribute("aria-selected", String(k === i));
      tab.button.tabIndex = k === i ? 0 : -1;
      tab.panel.hidden = k !== i;
    });
    this.drawChosen();
    this.tick();
  }

  /** Show a quote where the member said it. */
  showQuote(name, quote) {
    const i = this.store.members.findIndex((member) => member.name === name);
    this.select(i);
    const { growing, button } = this.tabs[i];
    button.scrollIntoView?.({ block: "nearest" });
    if (!showQuote(growing.el, quote)) put(this.status, "The answer is drawn in other signs than these words");
    growing.el.focus({ preventScroll: true });
  }

  toggleForm() {
    this.form.hidden = !this.form.hidden;
    this.opener.setAttribute("aria-expanded", String(!this.form.hidden));
    if (!this.form.hidden) this.form.querySelector("input").focus();
  }
}

/** A thumb, drawn: not every machine has a font with one. */
function thumb(down) {
  const box = h("span", { class: `nbf-thumb${down ? " nbf-down" : ""}`, "aria-hidden": "true" });
  box.innerHTML =
    '<svg viewBox="0 0 16 16" width="14" height="14" fill="none" stroke="currentColor" stroke-width="1.3" stroke-linejoin="round">' +
    '<path d="M5 7 8 1.5c1 0 1.8.8 1.6 2L9 6h4.2c.8 0 1.4.7 1.2 1.5l-1.2 5.6c-.1.6-.6 1-1.2 1H5zM5 7H2v7.1h3z"/></svg>';
  return box;
}

/** What the button copies: not more than is shown. */
function nameCopy(button, cut) {
  const label = cut ? "Copy the first 100,000 characters" : "Copy";
  if (button.dataset.label !== label) button.textContent = button.dataset.label = label;
}

function short(spec) {
  return spec.replace(/^[a-z]+:/, "").split("@http")[0].split("/").at(-1);
}

function total(store) {
  const costs = store.members.map((member, i) => (member.earlier ? 0 : store.cost(i)));
  return costs.includes(null) ? null : costs.reduce((sum, cost) => sum + cost, 0);
}

/** The analysis: what was found under each heading, and who says it in which words. */
function analysis(view) {
  const { result } = view.store;
  const quote = (member, words) =>
    h(
      "button",
      {
        type: "button",
        class: "nbf-quote",
        title: `Show it in the answer of ${member}`,
        onclick: () => view.showQuote(member, words),
      },
      `“${words}”`,
    );
  const voice = ([member, stance, quotes]) =>
    h(
      "li",
      {},
      h("span", { class: "nbf-member" }, member), stance ? ` ${stance} ` : " ",
      ...quotes.map((words) => quote(member, words)),
    );
  const finding = ({ text, voices }) =>
    h("li", {}, text, voices.length ? h("ul", {}, ...voices.map(voice)) : null);
  const nodes = result.fields.length ? [h("h4", {}, "Fields"), fieldTable(result.fields)] : [];
  for (const [head, items] of result.analysis)
    nodes.push(h("h4", {}, head), h("ul", {}, ...items.map(finding)));
  if (result.positions.length) {
    const moved = result.positions.map(([member, what]) =>
      h("li", {}, h("span", { class: "nbf-member" }, member), ` ${what}`),
    );
    nodes.push(h("h4", {}, "Debate"), h("ul", {}, ...moved));
  }
  if (result.checks.length) {
    nodes.push(h("h4", {}, "Checks"), h("ul", {}, ...result.checks.map((line) => h("li", {}, line))));
  }
  if (result.unfound) nodes.push(h("p", { class: "nbf-small" }, result.unfound));
  return nodes;
}

/** Who stands behind each field of a structured answer; the first row holds the heads. */
function fieldTable([heads, ...rows]) {
  const head = h("tr", {}, ...heads.map((cell) => h("th", { scope: "col" }, cell)));
  const body = rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell))));
  return h("table", { class: "nbf-fields" }, h("thead", {}, head), h("tbody", {}, ...body));
}

/** Judge again, from the answers that are there already. */
function judgeForm(view) {
  const known = h("datalist", { id: `${view.id}models` });
  const judge = h("input", { type: "text", list: known.id, size: 28, spellcheck: "false" });
  const modes = ["best-of", "merge", "debate"].map((name) => h("option", {}, name));
  const mode = h("select", {}, ...modes);
  const retry = h("input", { type: "checkbox" });
  const who = h("span");
  const again = h("label", {}, retry, " ask ", who, " again");
  const form = h(
    "form",
    { class: "nbf-form", hidden: true, "aria-label": "Judge again" },
    h("label", {}, "Judge ", judge, known),
    h("label", {}, "Mode ", mode),
    again,
    h("button", { class: "nbf-button nbf-main" }, "Judge again"),
    h("span", { class: "nbf-small" }, "The answers are not paid for again."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    view.act.rejudge({ judge: judge.value.trim(), mode: mode.value, retry: retry.checked });
    view.toggleForm();
    view.opener.focus();
  });
  form.prepare = () => {
    const { store } = view;
    const specs = new Set([store.judge, ...store.members.map((member) => member.spec)]);
    known.replaceChildren(...[...specs].map((spec) => h("option", { value: spec })));
    judge.value = store.judge;
    mode.value = store.mode;
    const failed = store.result?.retry ?? [];
    again.hidden = !failed.length;
    retry.checked = false;
    who.textContent = failed.join(", ");
  };
  return form;
}
