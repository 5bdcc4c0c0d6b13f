// A view in the page: put over the static HTML of its output, gone when its kernel has gone.

const FORGET_MS = 10_000;
const GONE = ["restarting", "autorestarting", "terminating", "dead"];

/** Call `act` when the kernel ends, which leaves its widgets alone; gives it for the widget's own end. */
function whenGone(model, act) {
  model.widget_manager?.kernel?.statusChanged?.connect((_, status) => {
    if (GONE.includes(status)) act();
  });
  return act;
}

/** Puts a view over each element of a class, also over one that is made anew. */
class Graft {
  constructor(name, make) {
    this.found = document.getElementsByClassName(name);
    this.make = make;
    this.views = new Map(); // by the element that they stand over
    this.observer = new MutationObserver(() => this.look());
    this.observer.observe(document.body, { childList: true, subtree: true });
    this.look();
  }

  look() {
    const orphans = [...this.views].filter(([saved]) => !saved.isConnected);
    if (!orphans.length && [...this.found].every((saved) => this.views.get(saved)?.el.isConnected)) return;
    for (const saved of this.found) {
      let view = this.views.get(saved);
      if (!view) {
        const [before, orphan] = orphans.pop() ?? [null, this.make()];
        if (before) this.views.delete(before);
        orphan.lost = undefined;
        this.views.set(saved, (view = orphan));
      }
      if (!view.el.isConnected) {
        view.saved = saved;
        saved.after(view.el);
        view.el.restorePlace();
      }
      saved.hidden = true;
    }
    for (const [saved, view] of orphans) {
      view.lost ??= Date.now();
      if (Date.now() - view.lost < FORGET_MS) continue; // a cell that is moved comes back at once
      this.views.delete(saved);
      view.destroy();
    }
  }

  end() {
    this.observer.disconnect();
    for (const [saved, view] of this.views) {
      saved.hidden = false;
      view.destroy();
    }
  }
}
