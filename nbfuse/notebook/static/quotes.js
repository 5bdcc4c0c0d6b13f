// Finds a quote in an answer as it is drawn, and marks it there.

const QUOTE = "nbfuse-quote";

/**
 * Where `quote` stands within `node`, as a Range; null where it does not.
 *
 * Only letters and figures are compared: the quote is from the Markdown, the page shows what
 * became of it.
 */
function findQuote(node, quote) {
  const wanted = [...quote.toLowerCase()].filter(isWord).join("");
  if (!wanted) return null;
  const places = [];
  let all = "";
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (text.parentElement.closest("button")) continue;
    for (let i = 0; i < text.length; i++) {
      const letter = text.data[i].toLowerCase();
      if (letter.length === 1 && isWord(letter)) {
        all += letter;
        places.push([text, i]);
      }
    }
  }
  const start = all.indexOf(wanted);
  if (start < 0) return null;
  const range = new Range();
  range.setStart(...places[start]);
  const [last, at] = places[start + wanted.length - 1];
  range.setEnd(last, at + 1);
  return range;
}

function isWord(letter) {
  return /[\p{L}\p{N}]/u.test(letter);
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
