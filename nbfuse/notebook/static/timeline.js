// Where the time went: for each call a bar from its request to its end, on one scale.

/** One call: asked, first token, end; `until` is the whole width in seconds. */
function bar(kind, begun, first, end, until, says) {
  const part = (from, to, name) =>
    h("span", {
      class: `nbf-bar nbf-bar-${name}`,
      style: `left:${(100 * from) / until}%;width:${Math.max(0.4, (100 * (to - from)) / until)}%`,
    });
  const spoke = first ?? (kind === "member" ? end : begun);
  return h(
    "div",
    { class: "nbf-track", role: "img", "aria-label": says, title: says },
    spoke > begun ? part(begun, spoke, "waiting") : null,
    end > spoke ? part(spoke, end, kind) : null,
  );
}

function memberSays(member, end) {
  const first = member.first === null ? "no token" : `first token at ${seconds(member.first)}`;
  const ended = member.end === null ? "still at it" : `${member.state} at ${seconds(end)}`;
  return `asked at ${seconds(member.begun)}, ${first}, ${ended}`;
}

/** The rows of the table: name, bar, time, tokens a second, tokens, price, what became of it. */
function timelineRows(store) {
  const now = store.now();
  const { members, work, result } = store;
  const until = Math.max(0.01, now, ...work.map(([, , , end]) => end ?? 0));
  const rows = members.map((member, i) => {
    const end = member.end ?? now;
    const kind = ["failed", "partial"].includes(member.state)
      ? "failed"
      : ["late", "stopped", "not asked"].includes(member.state)
        ? "late"
        : "member";
    const rate = store.rate(i);
    return [
      member.name,
      member.earlier
        ? h("small", {}, "asked in an earlier run")
        : bar(kind, member.begun, member.first, end, until, memberSays(member, end)),
      member.earlier ? "" : seconds(end - member.begun),
      rate === null ? "" : `${member.tokens === null ? "≈ " : ""}${rate.toFixed(0)}`,
      String(member.tokens ?? (member.end === null ? "" : "?")),
      money(store.cost(i)) + (member.earlier ? " before" : ""),
      result ? (result.rows[i]?.[4] ?? "") : member.state,
    ];
  });
  for (const [name, task, begun, end, failed] of work) {
    const stop = end ?? now;
    const says = `${task} from ${seconds(begun)} to ${seconds(stop)}${failed ? ", failed" : ""}`;
    const drawn = bar(failed ? "failed" : "judge", begun, begun, stop, until, says);
    rows.push([name, drawn, seconds(stop - begun), "", "", "", `${task}${failed ? ", failed" : ""}`]);
  }
  return rows;
}

const TIMELINE_HEADS = ["Model", "Time", "", "Tokens/s", "Tokens", "Price", "Verdict"];

/** The table, which is the picture as well. */
function timeline(store) {
  const head = TIMELINE_HEADS.map((name, i) =>
    name === "" ? null : h("th", { scope: "col", colspan: i === 1 ? 2 : null }, name),
  );
  const rows = timelineRows(store).map((cells) =>
    h("tr", {}, ...cells.map((cell, i) => h("td", { "data-head": TIMELINE_HEADS[i] }, cell))),
  );
  const whole = store.result
    ? `All: ${store.result.rows.at(-1).slice(1, 4).join(" · ").replace(/ · (\d+) · /, " · $1 tokens · ")}`
    : "";
  const legend = ["waiting", "member", "judge", "late", "failed"].map((kind) =>
    h("span", {}, h("i", { class: `nbf-key nbf-bar-${kind}` }), LEGEND[kind]),
  );
  return h(
    "div",
    {},
    h("table", { class: "nbf-times" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows)),
    h("p", { class: "nbf-legend nbf-small" }, ...legend, h("span", {}, whole)),
  );
}

const LEGEND = {
  waiting: "waits for a first token",
  member: "writes",
  judge: "judges",
  late: "late or stopped",
  failed: "failed",
};
