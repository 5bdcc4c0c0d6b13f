"""The page as one HTML file that needs nothing else: a phone, a printer and a dark room in mind."""

from __future__ import annotations

from html import escape

from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.page import to_html
from nbfuse.core.clean import clean
from nbfuse.ledger.bookmarks import Bookmark

STYLE = """\
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --line: #c9c9d1; --mark: #ffe08a;
  --soft: #5b5b66; --link: #0b57d0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6ea; --paper: #141417; --line: #45454f; --mark: #6b5600; --soft: #a5a5b2;
    --link: #8ab4f8 } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 62rem; padding: 1rem }
h1 { font-size: 1.6rem; line-height: 1.2 } h2 { font-size: 1.2rem; margin-top: 2rem }
small { color: var(--soft) }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); min-width: 6rem; padding: .4rem .6rem;
  text-align: left; vertical-align: top }
@media (max-width: 40rem) { table { font-size: .85rem }
  th, td { min-width: 4.2rem; padding: .3rem .35rem } }
mark { background: var(--mark); color: inherit; border-bottom: 2px dotted currentColor }
details { border-bottom: 1px solid var(--line); padding: .5rem 0 }
summary { cursor: pointer; padding: .2rem 0 }
summary:focus-visible, div:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
img { height: auto }
@media print {
  :root { --ink: #000; --paper: #fff; --line: #999; --mark: #ddd; --soft: #333 }
  body { font-size: 10pt; max-width: none; padding: 0 }
  details::details-content { content-visibility: visible; block-size: auto }
  tr, img, details > div > div { break-inside: avoid } h2, summary { break-after: avoid }
}
"""
# Not every browser prints what is closed.
SCRIPT = """\
const all = document.querySelectorAll("details"); let closed = [];
addEventListener("beforeprint", () => { closed = [...all].filter(d => !d.open);
  closed.forEach(d => { d.open = true }) });
addEventListener("afterprint", () => closed.forEach(d => { d.open = false }));
"""


def document(found: Comparison, mark: Bookmark | None = None) -> str:
    """The whole file; `mark` is the bookmark under which it is kept."""
    title = escape(clean(f"{found.title}: which one to ship"))
    body = to_html(found, whole=True, top=1, mark=mark)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # the page loads nothing, whatever stands in it
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
