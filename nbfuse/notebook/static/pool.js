// The pool widget: members found by typing and put in order, a judge, limits, and what it will cost.

const MOST_FOUND = 40; // lines of the list: who wants more types another letter
const FIELDS = [
  // name, label, kind, what stands for "not set"
  ["quorum", "Quorum", "int", "more than half"],
  ["deadline_s", "Deadline, s", "float", "300"],
  ["budget", "Budget, US $", "money", "none"],
  ["temperature", "Temperature", "float", "the model's own"],
  ["max_tokens", "Longest answer, tokens", "int", "the model's own"],
];
const MODELS = [
  // name, label, what stands for "not set"
  ["judge", "Judge", "the first member"],
  ["second_judge", "Second judge", "none"],
  ["embedding", "Embedding model", "none"],
];
const CHECKS = [
  ["local_only", "nothing leaves this machine"],
  ["local_first", "local members are asked first (mode auto)"],
  ["check", "judge even an answer that is alone"],
  ["run", "run Python code in answers, confined"],
];
const MODE_HELP = {
  "best-of": "the best answer, word for word",
  merge: "one answer written from all",
  debate: "they challenge each other, then the judge decides",
  auto: "two first, more only if they disagree",
};
let pools = 0;

class PoolView {
  constructor(model) {
    this.model = model;
    this.id = `nbfp${++pools}-`;
    this.number = 0; // of the last message with settings
    this.rows = [];
    this.build();
    this.draw = this.draw.bind(this);
    this.adopt = this.adopt.bind(this);
    model.on("change:state", this.adopt);
    for (const name of ["models", "told"]) model.on(`change:${name}`, this.draw);
    this.adopt();
  }

  destroy() {
    this.model.off("change:state", this.adopt);
    for (const name of ["models", "told"]) this.model.off(`change:${name}`, this.draw);
    this.el.remove();
  }

  /** Take over the pool as Python has it, but where something has been changed here since. */
  adopt() {
    const { settings, number } = this.model.get("state");
    if (number >= this.number || !this.settings) {
      this.settings = settings;
      this.number = number;
    }
    this.draw();
  }

  get told() {
    return this.model.get("told");
  }

  /** Change settings, here and in Python. */
  set(changes) {
    this.settings = { ...this.settings, ...changes };
    this.number += 1;
    this.model.send({ changes, number: this.number });
    this.draw();
  }

  build() {
    const button = (label, act, more = {}) =>
      h("button", { type: "button", class: "nbf-button", onclick: act, ...more }, label);
    this.name = h("input", { type: "text", size: 14, spellcheck: "false", placeholder: "name" });
    this.name.addEventListener("change", () => this.set({ name: this.name.value.trim() }));
    this.load = h("select", { "aria-label": "Load a pool" });
    this.load.addEventListener("change", () => this.load.value && this.model.send({ load: this.load.value }));
    this.status = h("span", { class: "nbf-status", role: "status" });
    const head = h(
      "header",
      { class: "nbf-head" },
      h("label", {}, h("strong", {}, "Pool "), this.name),
      button("Save", () => this.model.send({ save: true })),
      this.load,
      this.status,
    );
    this.list = h("ol", { class: "nbf-members", "aria-label": "Members" });
    this.troubles = h("p", { class: "nbf-small" });
    this.search = searchBox(this, (spec) => this.add(spec));
    const left = h(
      "div",
      { class: "nbf-left" },
      h("h4", {}, "Members"), this.list, this.search, this.troubles,
    );
    this.el = h(
      "section",
      { class: "nbf-view nbf-pool", "aria-label": "nbfuse pool" },
      head,
      h("div", { class: "nbf-columns" }, left, this.buildRight()),
      this.buildFoot(button),
    );
    keepKeys(this.el);
    rememberPlace(this.el);
  }

  buildRight() {
    const field = (label, input, ...more) => {
      input.setAttribute("aria-label", label); // a label around a choice would be named for all of it
      return h("label", { class: "nbf-field" }, h("span", {}, label), input, ...more);
    };
    this.known = h("datalist", { id: `${this.id}judges` });
    this.named = Object.fromEntries(
      MODELS.map(([name, , placeholder]) => {
        const input = h("input", { type: "text", list: this.known.id, spellcheck: "false", placeholder });
        input.addEventListener("change", () => this.set({ [name]: input.value.trim() || null }));
        return [name, input];
      }),
    );
    this.mode = h("select", {});
    this.mode.addEventListener("change", () => {
      const { value } = this.mode;
      this.set({ mode: value, ...(value === "auto" ? {} : { local_first: false }) });
    });
    this.answer = h("select", {});
    this.answer.addEventListener("change", () => this.set({ answer: this.answer.value || null }));
    this.modeHelp = h("small", { class: "nbf-small" });
    this.anchor = h("select", {});
    this.anchor.addEventListener("change", () => this.set({ anchor: this.anchor.value || null }));
    this.inputs = Object.fromEntries(
      FIELDS.map(([name, , kind, placeholder]) => {
        const input = h("input", { type: "text", inputmode: "decimal", placeholder, size: 10 });
        input.addEventListener("change", () => this.setNumber(name, kind, input.value.trim()));
        return [name, input];
      }),
    );
    this.system = h("textarea", { rows: 2, placeholder: "none" });
    this.system.addEventListener("change", () => this.set({ system: this.system.value.trim() || null }));
    this.checks = Object.fromEntries(
      CHECKS.map(([name]) => {
        const box = h("input", { type: "checkbox" });
        box.addEventListener("change", () => this.set({ [name]: box.checked }));
        return [name, box];
      }),
    );
    return h(
      "div",
      { class: "nbf-right" },
      h("h4", {}, "Fusing"),
      field("Mode", this.mode), h("div", { class: "nbf-field" }, h("span"), this.modeHelp),
      ...MODELS.map(([name, label]) => field(label, this.named[name])), this.known,
      field("Compare answers as", this.answer),
      field("Trusted most", this.anchor),
      ...FIELDS.map(([name, label]) => field(label, this.inputs[name])),
      field("System prompt", this.system),
      ...CHECKS.map(([name, label]) => h("label", { class: "nbf-check" }, this.checks[name], ` ${label}`)),
    );
  }

  buildFoot(button) {
    this.estimate = h("p", { class: "nbf-estimate", "aria-live": "polite" });
    this.warnings = h("ul", { class: "nbf-warnings", "aria-label": "Warnings", "aria-live": "polite" });
    this.python = button("Copy as Python", (event) => copy(this.told.python, event.target));
    this.cell = button("Copy as a %%fuse line", (event) => copy(this.told.cell, event.target));
    return h(
      "footer",
      { class: "nbf-foot" },
      this.estimate,
      h(
        "div",
        { class: "nbf-after" },
        button("Test", () => this.model.send({ test: true }), { class: "nbf-button nbf-main", title: "One short question to every member" }),
        this.python, this.cell,
      ),
      this.warnings, // below the buttons, which stay where they are as it grows
    );
  }

  /** Show the settings, and what Python says of them. */
  draw() {
    const { settings, told } = this;
    const show = (input, value) => {
      if (document.activeElement !== input) input.value = value ?? "";
    };
    show(this.name, settings.name);
    for (const [name] of MODELS) {
      show(this.named[name], settings[name]);
      this.named[name].title = settings[name] ?? "";
    }
    show(this.system, settings.system);
    for (const [name] of FIELDS) show(this.inputs[name], name === "deadline_s" && settings[name] === 300 ? "" : settings[name]);
    for (const [name] of CHECKS) this.checks[name].checked = Boolean(settings[name]);
    this.checks.local_first.disabled = settings.mode !== "auto" && !settings.local_first;
    options(this.answer, ["", ...(told.kinds ?? [])], settings.answer ?? "", "what they look like");
    options(this.mode, told.modes ?? [], settings.mode);
    this.modeHelp.textContent = MODE_HELP[settings.mode] ?? "";
    options(this.anchor, ["", ...new Set(settings.members)], settings.anchor ?? "", "the first member");
    options(this.load, ["", ...(told.names ?? [])], "", "Load …");
    const specs = this.model.get("models").map((one) => one.spec);
    refill(this.known, specs.map((spec) => h("option", { value: spec }, spec)));
    this.drawMembers();
    put(this.status, told.error || told.notice || "");
    this.status.classList.toggle("nbf-error", Boolean(told.error));
    refill(this.estimate, estimate(told));
    refill(this.warnings, (told.warnings ?? []).map((warning) => h("li", {}, warning)));
    put(this.troubles, (told.troubles ?? []).join("\n"));
    this.cell.disabled = !told.cell;
    this.cell.title = told.noCell ?? "";
    this.search.draw();
  }

  /** A row stays where it is and shows who stands there now: a click or a drag on it goes on. */
  drawMembers() {
    const { members } = this.settings;
    while (this.rows.length > members.length) this.rows.pop().el.remove();
    while (this.rows.length < members.length) {
      this.rows.push(this.memberRow(this.rows.length));
      this.list.append(this.rows.at(-1).el);
    }
    members.forEach((spec, i) => this.rows[i].draw(spec, members.length));
  }

  memberRow(i) {
    const icon = (sign, title, onclick) => h("button", { type: "button", class: "nbf-button nbf-icon", title, onclick }, sign);
    const buttons = {
      up: icon("↑", "Move up", () => this.move(i, i - 1, "up")),
      down: icon("↓", "Move down", () => this.move(i, i + 1, "down")),
      remove: icon("✕", "Remove", () => this.remove(i)),
    };
    const name = h("span", { class: "nbf-member" });
    const facts = h("small", { class: "nbf-small" });
    const test = h("small", { hidden: true });
    const el = h(
      "li",
      { class: "nbf-row", draggable: "true" },
      h("span", { class: "nbf-grip", "aria-hidden": "true" }, "⠿"),
      h("span", { class: "nbf-who" }, name, facts, test),
      ...Object.values(buttons),
    );
    el.addEventListener("dragstart", (event) => {
      this.dragged = i;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", name.textContent);
    });
    el.addEventListener("dragover", (event) => {
      event.preventDefault();
      el.classList.add("nbf-over");
    });
    el.addEventListener("dragleave", () => el.classList.remove("nbf-over"));
    el.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation(); // a notebook would take the text for a file
      el.classList.remove("nbf-over");
      if (this.dragged !== undefined) this.move(this.dragged, i);
    });
    const draw = (spec, count) => {
      const single = spec.replace(/\s*\*\s*\d+$/, "");
      const known = this.model.get("models").find((one) => one.spec === single);
      const tested = this.told.tested?.[single];
      put(name, spec);
      put(facts, known ? modelFacts(known) : "not in any list");
      put(test, tested?.says ?? "");
      test.hidden = !tested;
      test.className = tested?.failed ? "nbf-error" : "nbf-tested";
      for (const button of Object.values(buttons)) button.setAttribute("aria-label", `${button.title} ${spec}`);
      buttons.up.disabled = i === 0;
      buttons.down.disabled = i === count - 1;
      buttons.remove.disabled = count === 1;
    };
    return { el, ...buttons, draw };
  }

  add(spec) {
    if (spec) this.set({ members: [...this.settings.members, spec] });
  }

  remove(i) {
    const members = this.settings.members.filter((_, k) => k !== i);
    // before the row goes: a notebook takes the focus to itself when what had it is gone
    const next = members.length > 1 ? this.rows[Math.min(i, members.length - 1)].remove : this.search.input;
    next.focus({ preventScroll: true });
    this.set({ members, ...(members.includes(this.settings.anchor) ? {} : { anchor: null }), ...quorum(this.settings, members) });
  }

  move(from, to, button) {
    const members = [...this.settings.members];
    const [moved] = members.splice(from, 1);
    members.splice(to, 0, moved);
    this.set({ members });
    const edge = to === 0 ? "down" : to === members.length - 1 ? "up" : button;
    if (button) this.rows[to][edge].focus({ preventScroll: true });
  }

  setNumber(name, kind, text) {
    const thousands = /^\d{1,3}([,. ]\d{3})+$/.test(text);
    const plain = kind === "int" && thousands ? text.replace(/[,. ]/g, "") : text.replace(",", ".");
    const number = Number(plain);
    if (!text) this.set({ [name]: name === "deadline_s" ? 300 : null });
    else if (kind === "money") this.set({ [name]: plain });
    else this.set({ [name]: Number.isFinite(number) ? number : text }); // Python says what is wrong
  }
}

/** No quorum of more than there are. */
function quorum(settings, members) {
  return settings.quorum > members.length ? { quorum: members.length } : {};
}

function options(select, values, chosen, empty = "") {
  const drawn = refill(select, values.map((value) => h("option", { value }, value || empty)));
  if (drawn || document.activeElement !== select) select.value = chosen;
}

/** One sentence: what a typical run costs, and how long it takes. */
function estimate(told) {
  if (told.cost === undefined) return ["A typical run: …"];
  const time = told.time
    ? [" and takes about ", h("strong", {}, told.time), "."]
    : told.unmeasured?.length
      ? [`. How long it takes is not known before a test or a run of ${told.unmeasured.join(", ")}.`]
      : ["."];
  if (!told.cost) return ["What a typical run costs is not known", ...time];
  return ["A typical run costs ", h("strong", {}, told.cost), ...time];
}

/** A text field with a list of models under it, by the ARIA pattern of a combobox. */
function searchBox(view, take) {
  const list = h("ul", { class: "nbf-found", role: "listbox", id: `${view.id}found`, "aria-label": "Models", tabindex: -1, hidden: true });
  const none = h("p", { class: "nbf-small", role: "status", hidden: true });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  const input = h("input", {
    type: "text", role: "combobox", "aria-expanded": "false", "aria-controls": list.id,
    "aria-autocomplete": "list", "aria-label": "Add a model", placeholder: "Add a model: type a name, free, local, <2 …",
    title: SEARCH_HELP, autocomplete: "off", spellcheck: "false",
  });
  let found = [];
  let at = -1;
  let isOpen = false;
  const box = h("div", { class: "nbf-search" }, input, list, none);
  box.input = input;
  box.draw = () => {
    if (!isOpen) return;
    const query = input.value.trim();
    found = findModels(view.model.get("models"), query).slice(0, MOST_FOUND);
    const specs = found.map((one) => [one.spec, modelFacts(one)]);
    if (query.includes(":") && !specs.some(([spec]) => spec === query)) specs.push([query, "add it as it stands"]);
    found = specs.map(([spec]) => spec);
    at = Math.min(at, found.length - 1);
    list.replaceChildren(
      ...specs.map(([spec, facts], i) =>
        h(
          "li",
          { role: "option", id: `${list.id}${i}`, "aria-selected": String(i === at), onmousedown: (event) => pick(event, spec) },
          h("span", {}, spec), " ", h("small", { class: "nbf-small" }, facts),
        ),
      ),
    );
    list.hidden = !specs.length;
    none.hidden = Boolean(specs.length);
    put(none, specs.length ? "" : `None. ${SEARCH_HELP}`);
    mark();
  };
  const mark = () => {
    [...list.children].forEach((line, i) => line.setAttribute("aria-selected", String(i === at)));
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${list.id}${at}`);
    const line = list.children[at];
    if (line) list.scrollTop = Math.min(line.offsetTop, Math.max(list.scrollTop, line.offsetTop + line.offsetHeight - list.clientHeight));
  };
  const open = (yes) => {
    isOpen = yes;
    list.hidden = none.hidden = true;
    at = -1;
    if (yes) box.draw();
    input.setAttribute("aria-expanded", String(!list.hidden));
  };
  const pick = (event, spec) => {
    event.preventDefault();
    take(spec);
    input.value = "";
    open(false);
  };
  input.addEventListener("input", () => open(true));
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") open(false);
    else if (event.key === "Enter" && isOpen && found.length && (at >= 0 || input.value.trim()))
      pick(event, found[Math.max(0, at)]);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) open(true);
      if (!found.length) return;
      if (event.key === "ArrowDown") at = (at + 1) % found.length;
      else at = at <= 0 ? found.length - 1 : at - 1;
      mark();
    }
  });
  return box;
}

export default () => ({
  initialize({ model }) {
    const graft = new Graft(`nbfuse-view-${model.get("view")}`, () => new PoolView(model));
    return whenGone(model, () => graft.end());
  },
  render({ model, el }) {
    const view = new PoolView(model);
    el.append(view.el);
    return () => view.destroy();
  },
});
