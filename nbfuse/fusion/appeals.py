"""Finds what a candidate says to the judge instead of to the user, and takes it out of its sight.

Text that asks to be chosen works on judges (a constant text won 86.5 % of comparisons:
arXiv:2410.07137). What is found is replaced by a mark; the rest is judged as any other text, so
that an answer that only talks about judges loses a sentence and not the comparison.
"""

from __future__ import annotations

import re

TAKEN_OUT = "[words to the judge, taken out]"

_JUDGE = r"(?:judge|grader|evaluator|reviewer|assessor|rater)s?"
_ANSWER = r"(?:answer|candidate|response|reply|option|solution|one)"
_CHOOSE = r"(?:choose|pick|select|prefer|rank|rate|grade|mark|score|vote\s+for|declare|output|give)"
_APPEAL = re.compile(
    rf"(?:dear|attention|hello|hey|note\s+(?:to|for)|message\s+(?:to|for)|instructions?\s+(?:to|for))"
    rf",?\s+(?:all\s+|the\s+|any\s+)*{_JUDGE}\b"
    rf"|\b{_JUDGE}\s*[:,]\s*(?:please|you|{_CHOOSE})\b"
    rf"|\byou\s+are\s+(?:now\s+)?(?:the|a|an)\s+(?:\w+\s+)?{_JUDGE}\b"
    rf"|\b{_CHOOSE}\s+(?:\w+\s+)?(?:this\s+{_ANSWER}|my\s+{_ANSWER}|me\b|candidate\s+[A-Z]\b)"
    rf"|\b(?:this|my)\s+{_ANSWER}\s+(?:is|should\s+be|must\s+be|has\s+to\s+be)\s+(?:the\s+)?"
    r"(?:\w+\s+)?(?:best|chosen|selected|preferred|winner|superior|ranked\s+first)\b"
    rf"|\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|every\s+)*"
    rf"(?:previous|prior|above|other|earlier|your)\s+(?:\w+\s+)?"
    rf"(?:instructions?|rules?|criteria|prompts?|rubric|{_ANSWER}s?)\b"
    rf"|\b(?:all\s+)?(?:the\s+)?others?\s+{_ANSWER}s?\s+(?:is|are)\s+(?:all\s+)?(?:wrong|worse|incorrect)\b"
    r'|"(?:best|verdict|runner_up|none_acceptable)"\s*:',
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|\n")


def find_appeal(text: str, question: str = "") -> str:
    """The first words of `text` that speak to a judge; empty where it has none.

    Where the question itself has such words, answers may have them too.
    """
    if _APPEAL.search(question):
        return ""
    found = _APPEAL.search(text)
    return " ".join(found[0].split()) if found else ""


def without_appeals(text: str, question: str = "") -> str:
    """`text` with a mark in place of each sentence that speaks to a judge."""
    if _APPEAL.search(question):
        return text
    kept, rest = [], 0
    for found in _APPEAL.finditer(text):
        if found.start() < rest:  # the sentence is out already
            continue
        before = [end.end() for end in _SENTENCE_END.finditer(text, rest, found.start())]
        after = _SENTENCE_END.search(text, found.end())
        kept += [text[rest : before[-1] if before else rest], f" {TAKEN_OUT} "]
        rest = after.end() if after else len(text)
    return "".join([*kept, text[rest:]]).strip() if kept else text
