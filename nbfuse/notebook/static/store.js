// What the browser knows of a run: a snapshot, and the changes that the kernel sends after it.

class Store {
  constructor(snapshot) {
    this.listeners = new Set();
    this.selected = null; // the tab, which outlives the view that shows it
    this.replace(snapshot);
  }

  /** Begin anew from a snapshot. */
  replace(snapshot) {
    const { texts, ...state } = snapshot;
    Object.assign(this, state, { received: performance.now(), notice: null });
    if (this.result) this.stopping = false;
    this.texts = texts.map(([i, characters, text, html, tail]) => {
      const known = this.texts?.[i] ?? emptyText();
      const drawn = known.html.join("");
      const made = html.startsWith(drawn) ? known : emptyText(); // what is drawn need not be again
      if (made !== known) made.drawing = known.drawing + 1;
      else html = html.slice(drawn.length);
      if (html) made.html.push(html);
      return Object.assign(made, { characters: characters || text.length, text, tail });
    });
    this.tell({ whole: true });
  }

  /** Take in one message; false where one before it is missing. */
  apply(message) {
    if (message.number <= this.number) return true; // the snapshot holds it already
    if (message.number > this.number + 1) return false;
    const { texts = [], reset = [], ...state } = message;
    Object.assign(this, state, { received: performance.now() });
    while (this.texts.length <= this.members.length) this.texts.push(emptyText());
    for (const number of reset)
      Object.assign(this.texts[number], emptyText(), { drawing: this.texts[number].drawing + 1 });
    for (const [number, characters, added, html, tail] of texts) {
      const text = this.texts[number];
      text.text += added;
      text.characters = characters || text.text.length;
      if (html === undefined) text.tail += added;
      else {
        text.html.push(html);
        text.tail = tail;
      }
    }
    this.tell(message);
    return true;
  }

  tell(message) {
    for (const listener of this.listeners) listener(message);
  }

  get running() {
    return !this.result;
  }

  /** Seconds since the run began. */
  now() {
    return this.at + (this.running ? (performance.now() - this.received) / 1000 : 0);
  }

  /** What a member has cost so far, in US dollars; null where not known. */
  cost(number) {
    const member = this.members[number];
    if (member.end !== null) return member.paid;
    if (member.reading === null || member.writing === null) return null;
    return member.reading + (member.writing * this.texts[number + 1].characters) / 4;
  }

  /** Tokens a second since a member's first one; null before that. */
  rate(number) {
    const member = this.members[number];
    if (member.first === null) return null;
    const tokens = member.tokens ?? this.texts[number + 1].characters / 4;
    const took = (member.end ?? this.now()) - member.first;
    return took > 0.05 && tokens ? tokens / took : null;
  }
}

/** `html` holds blocks that have ended; another number in `drawing` says that they are others. */
function emptyText() {
  return { characters: 0, text: "", html: [], tail: "", drawing: 0 };
}
