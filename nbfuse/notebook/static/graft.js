// A view in the page: put over the static HTML of its output, gone when its kernel has gone.

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
    if ([...this.found].every((saved) => this.views.get(saved)?.el.isConnected)) return;
    const orphans = [...this.views].filter(([saved]) => !saved.isConnected);
    for (const saved of this.found) {
      let view = this.views.get(saved);
      if (!view) {
        const [before, orphan] = orphans.pop() ?? [null, this.make()];
        if (before) this.views.delete(before);
        this.views.set(saved, (view = orphan));
      }
      if (!view.el.isConnected) {
        saved.after(view.el);
        view.el.restorePlace();
      }
      saved.hidden = true;
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
