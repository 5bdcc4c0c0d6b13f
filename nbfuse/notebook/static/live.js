// The widget. It shows itself over the saved form of its run: what a notebook holds is always the
// static HTML, and while this kernel lives the view stands in its place.

const GONE = ["restarting", "autorestarting", "terminating", "dead"];

export default () => {
  let store, act;

  /** Ask the kernel; it hears while a cell runs only where it has subshells. */
  function actions(model) {
    const kernel = model.widget_manager?.kernel;
    const ask = (what) => model.send(what);
    const made = {
      hears: false,
      stop: () => {
        if (!store.clicked) kernel?.interrupt(); // what no cell waits for, an interrupt can't stop
        ask({ stop: true });
      },
      skip: (member) => ask({ skip: member }),
      vote: (vote, member) => ask({ vote, member }),
      promote: (member) => ask({ promote: member }),
      rejudge: (settings) => ask({ rejudge: settings }),
    };
    kernel?.info?.then((info) => {
      made.hears = (info.supported_features ?? []).includes("kernel subshells");
      store.tell({ members: true });
    });
    return made;
  }

  return {
    initialize({ model }) {
      store = new Store(model.get("snapshot"));
      act = actions(model);
      model.on("change:snapshot", () => store.replace(model.get("snapshot")));
      model.on("msg:custom", (message) => {
        if (message.notice) {
          store.notice = message.notice;
          store.tell(message);
        } else if (!store.apply(message)) model.send({ hello: true });
      });
      const graft = new Graft(`nbfuse-view-${model.get("view")}`, () => new View(store, act));
      const gone = () => {
        store.gone = true;
        // a run that was cut off stays to be read; a finished one is in its saved form
        if (store.result) graft.end();
        else store.tell({ whole: true });
      };
      // a kernel that is started again leaves its widgets alone
      model.widget_manager?.kernel?.statusChanged?.connect((_, status) => {
        if (GONE.includes(status)) gone();
      });
      return gone;
    },

    render({ el }) {
      const view = new View(store, act);
      el.append(view.el);
      return () => view.destroy();
    },
  };
};

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

