// Finds a quote in an answer as it is drawn, and marks it there.

const QUOTE = "nbfuse-quote";

/**
 * Where `quote` stands within `node`, as a Range; null where it does not.
 *
 * Only letters and figures are compared: the quote is from the Markdown, the page shows what
 * became of it.
 */
function findQuote(node, quote) {
  const wanted = [...quote].map(folded).join("");
  if (!wanted) return null;
  const places = [];
  let all = "";
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (text.parentElement.closest("button")) continue;
    let i = 0;
    for (const letter of text.data) {
      const kept = folded(letter);
      all += kept;
      for (let k = 0; k < kept.length; k++) places.push([text, i, i + letter.length]);
      i += letter.length;
    }
  }
  const start = all.indexOf(wanted);
  if (start < 0) return null;
  const range = new Range();
  range.setStart(places[start][0], places[start][1]);
  const [last, , end] = places[start + wanted.length - 1];
  range.setEnd(last, end);
  return range;
}

/** A letter or figure without its case; empty for any other sign. */
function folded(letter) {
  return /[\p{L}\p{N}]/u.test(letter) ? letter.toLowerCase() : "";
}

/** Take the mark away, where it is within `node`: another view may have set it. */
function hideQuote(node) {
  const [range] = CSS.highlights?.get(QUOTE) ?? [];
  if (range && node.contains(range.startContainer)) CSS.highlights.delete(QUOTE);
}

/** Mark the quote and scroll it into sight within `box`; whether it was found. */
function showQuote(box, quote) {
  const range = findQuote(box, quote);
  if (!range) return false;
  if (globalThis.Highlight && CSS.highlights) CSS.highlights.set(QUOTE, new Highlight(range));
  else getSelection().setBaseAndExtent(
    range.startContainer, range.startOffset, range.endContainer, range.endOffset,
  );
  const [seen, frame] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
  box.scrollTop += seen.top - frame.top - frame.height / 3;
  return true;
}
