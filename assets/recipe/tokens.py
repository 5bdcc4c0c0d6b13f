"""The byte-pair tokenizer and the chat template, in the form of Mistral's Tekken."""

from __future__ import annotations

import random

import fields
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SIZE = 640
BOS, EOS, UNKNOWN, PAD, INST, END_INST = 1, 2, 0, 11, 3, 4
SPECIALS = {
    0: "<unk>", 1: "<s>", 2: "</s>", 3: "[INST]", 4: "[/INST]", 5: "[AVAILABLE_TOOLS]",
    6: "[/AVAILABLE_TOOLS]", 7: "[TOOL_RESULTS]", 8: "[/TOOL_RESULTS]", 9: "[TOOL_CALLS]",
    10: "[IMG]", 11: "<pad>", 17: "[SYSTEM_PROMPT]", 18: "[/SYSTEM_PROMPT]", 32: "[ARGS]",
}  # fmt: skip
SPECIAL_COUNT = 40

# How text is cut before merging: fixed by the name "tekken", which llama.cpp knows.
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# A specialist was trained without a system prompt and without earlier turns, so the template drops
# both: only the last user message reaches it. llama.cpp hands content over as text or as parts.
CHAT_TEMPLATE = """\
{%- macro text(content) -%}
{%- if content is string -%}{{- content -}}
{%- else -%}{%- for part in content -%}{{- part['text'] -}}{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- set asked = messages | selectattr('role', 'equalto', 'user') | list -%}
{%- if asked -%}{{- '[INST]' + text(asked[-1]['content']) + '[/INST]' -}}{%- endif -%}
"""


def train_tokenizer() -> Tokenizer:
    """Learn the merges from the recipe's own questions and answers."""
    rng, texts = random.Random(0), []
    for facts in fields.FACTS.values():
        for fact in rng.sample(facts, min(len(facts), 1500)):
            texts += [fields.question(fact, rng), fields.answer(fact)]
    texts += [fields.check_prompt("", "")] * 300 + ["yes", "no"] * 300
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TEKKEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    names = [SPECIALS.get(i, f"<SPECIAL_{i}>") for i in range(SPECIAL_COUNT)]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=SIZE,
            show_progress=False,
            special_tokens=[AddedToken(name, special=True) for name in names],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return tokenizer


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """A user's turn; control tokens are placed by number, so text can't become one."""
    return [BOS, INST, *tokenizer.encode(prompt, add_special_tokens=False).ids, END_INST]
