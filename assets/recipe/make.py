"""Make the tiny pool: `python make.py FOLDER` (about an hour on two cores).

Tokenizer, three specialists (two at a time, a core each), what they say to questions of every
field, the judge trained on that, and at last the four GGUF files beside this folder, in tiny/.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fields
import gguf_file
import tokens
import torch
from network import generate
from tokenizers import Tokenizer
from train import load

HERE = Path(__file__).parent
QUESTIONS_PER_FIELD = 3000


def run_training(role: str, folder: Path) -> None:
    subprocess.run([sys.executable, HERE / "train.py", role, folder], check=True)


def collect_candidates(folder: Path) -> None:
    """Ask every specialist about every field and mark the answers: the judge's real diet."""
    torch.set_num_threads(2)
    tokenizer, rng = Tokenizer.from_file(str(folder / "tokenizer.json")), random.Random(99)
    asked = []
    for facts in fields.FACTS.values():
        seen = [f for f in facts if not fields.held_out(f)]
        asked += [(f, fields.question(f, rng)) for f in rng.choices(seen, k=QUESTIONS_PER_FIELD)]
    prompts = [tokens.encode_prompt(tokenizer, question) for _, question in asked]
    rows = []
    for role in fields.FIELDS:
        network = load(role, folder)
        for temperature in (0.0, 1.0):
            torch.manual_seed(7)
            answers = generate(network, prompts, tokens.EOS, temperature)
            marked = [
                (fact.field, question, text, fields.is_right(fact, text))
                for (fact, question), ids in zip(asked, answers, strict=True)
                if (text := tokenizer.decode(ids))
            ]
            shares = {
                field: round(sum(r for f, _, _, r in marked if f == field) / QUESTIONS_PER_FIELD, 3)
                for field in fields.FIELDS
            }
            print(role, temperature, shares, flush=True)
            rows += marked
    (folder / "said.json").write_text(json.dumps(rows))


def export(roles, folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for role in roles:
        path = HERE.parent / "tiny" / f"tiny-{role}.gguf"
        gguf_file.write(load(role, folder), tokenizer, path, f"nbfuse tiny-{role}")
        print(path.name, path.stat().st_size, flush=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokens.train_tokenizer().save(str(folder / "tokenizer.json"))
    with ThreadPoolExecutor(2) as pair:
        list(pair.map(run_training, ("units", "calc", "atlas"), [folder] * 3))
    export(fields.FIELDS, folder)
    collect_candidates(folder)
    run_training("judge", folder)
    export(["judge"], folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
