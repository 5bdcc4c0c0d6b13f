// The widget. It shows itself over the saved form of its run: what a notebook holds is always the
// static HTML, and while this kernel lives the view stands in its place.

export default () => {
  let store, act;

  /** Ask the kernel; it hears while a cell runs only where it has subshells. */
  function actions(model) {
    const kernel = model.widget_manager?.kernel;
    const ask = (what) => model.send(what);
    const made = {
      hears: false,
      stop: () => {
        if (store.stopping) return; // a second interrupt would hit the next cell
        store.stopping = true;
        store.tell({});
        if (!store.clicked) kernel?.interrupt().catch(() => {}); // it has gone: nothing to stop
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
        if (store.result || store.clicked) graft.end();
        else {
          graft.observer.disconnect();
          store.tell({ whole: true });
        }
      };
      return whenGone(model, gone);
    },

    render({ el }) {
      const view = new View(store, act);
      el.append(view.el);
      return () => view.destroy();
    },
  };
};
