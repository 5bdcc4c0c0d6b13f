// A view in the page: put over the static HTML of its output, gone when its kernel has gone.

const FORGET_MS = 10_000;
const OUTPUT = ".jp-OutputArea-output";
const GONE = ["restarting", "autorestarting", "terminating", "dead"];

/** Call `act` when the kernel ends, which leaves its widgets alone; gives it for the widget's own end. */
function whenGone(model, act) {
  model.widget_manager?.kernel?.statusChanged?.connect((_, status) => {
    if (GONE.includes(status)) act();
  });
  return act;
}

/**
 * Puts a view over each element of a class, also over one that is made anew.
 *
 * It stands beside the whole output where that is JupyterLab's, which draws a changed output within
 * the same element: what one is doing in the view (a click, a drag, a word half typed) goes on.
 */
class Graft {
  constructor(name, make) {
    this.found = document.getElementsByClassName(name);
    this.make = make;
    this.views = new Map(); // by the place that they stand beside
    this.observer = new MutationObserver(() => this.look());
    this.observer.observe(document.body, { childList: true, subtree: true });
    this.look();
  }

  look() {
    const places = new Map([...this.found].map((saved) => [saved.closest(OUTPUT) ?? saved, saved]));
    for (const [place, saved] of places) {
      const view = this.views.get(place) ?? this.moved() ?? this.make();
      view.saved = saved;
      view.lost = undefined;
      this.views.set(place, view);
      if (view.place === place && view.el.isConnected) continue;
      view.place = place;
      view.box ??= place === saved ? view.el : h("div", { class: place.className });
      if (view.box !== view.el) view.box.append(view.el);
      place.after(view.box);
      place.style.display = "none";
      view.el.restorePlace();
    }
    for (const [place, view] of this.views) {
      if (places.has(place)) continue;
      view.lost ??= Date.now();
      if (Date.now() - view.lost > FORGET_MS) this.remove(place, view);
    }
  }

  /** A view whose place has gone: a cell that is moved comes back at once, and goes on with it. */
  moved() {
    const [place, view] = [...this.views].find(([place]) => !place.isConnected) ?? [];
    this.views.delete(place);
    return view;
  }

  remove(place, view) {
    this.views.delete(place);
    place.style.display = "";
    view.destroy();
    view.box.remove();
  }

  end() {
    this.observer.disconnect();
    for (const [place, view] of this.views) this.remove(place, view);
  }
}
