"""How often two or four equal contenders are told apart, and how often one of them wins.

    python tests/bench/equals.py [REPETITIONS]

Each is right by the same chance; reviewers favour whoever was right more often in what they read.
The bar is 5 of 100.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lookalike
import reviewing

JUDGE = "openrouter:v/judge"


def main() -> None:
    """Print what came of each kind of comparison."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    os.environ |= {"OPENROUTER_API_KEY": lookalike.KEY, "NBFUSE_HISTORY": "off"}
    with lookalike.running() as server:
        os.environ["OPENROUTER_BASE_URL"] = server.base_url
        server.models["v/judge"] = reviewing.reviewer()
        for names, questions in (("ab", 12), ("ab", 40), ("abcd", 20)):
            found = [
                reviewing.equals(100 + i, names, questions, JUDGE).decision for i in range(count)
            ]
            apart = sum("annot be told apart" not in one.sentence for one in found)
            won = sum(one.winner is not None for one in found)
            print(f"{len(names)} equals, {questions} questions:", end=" ")
            print(f"{apart} of {count} told apart, {won} won")


if __name__ == "__main__":
    main()
