"""Calls of tools with nested schemas: how many are valid, with and without the constraint?

`python tests/bench/tools.py [SPEC …]`: 200 calls each way, in turns, through nbfuse. Bar: all valid
with the constraint; its cost is the ratio of tokens a second after the first one. The tiny model is
named by its path, which gives it a context with room for a call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import aclosing

import jsonschema

from nbfuse.core.call import Call, Message
from nbfuse.fusion.calling import CALL_TOKENS, introduction
from nbfuse.fusion.replies import find_objects
from nbfuse.fusion.tools import call_schema, make_tools
from nbfuse.paths import shipped
from nbfuse.providers.registry import resolve

CALLS = 200
FREE_TOKENS = 160  # without a constraint some never end
TOOLS = make_tools(
    [
        {
            "name": "plan_trip",
            "description": "Plan a trip.",
            "parameters": {
                "type": "object",
                "properties": {
                    "stops": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 3,
                        "items": {
                            "type": "object",
                            "properties": {
                                "city": {"type": "string", "maxLength": 24},
                                "nights": {"type": "integer", "minimum": 1, "maximum": 30},
                                "kind": {"enum": ["sea", "hills", "town"]},
                            },
                            "required": ["city", "nights", "kind"],
                        },
                    },
                    "budget": {
                        "type": "object",
                        "properties": {
                            "amount": {"type": "number"},
                            "currency": {"enum": ["USD", "EUR"]},
                        },
                        "required": ["amount", "currency"],
                    },
                },
                "required": ["stops", "budget"],
            },
        }
    ]
)
# there is no way out: what is measured are calls
SCHEMA = call_schema(TOOLS)
SCHEMA["properties"]["call"]["anyOf"].pop(0)


async def say(spec: str, number: int, constrained: bool) -> tuple[str, int, float]:
    """The text, and its tokens after the first and the seconds that these took."""
    _, provider, model, *_ = resolve(spec)
    asked = f"Plan trip number {number} to {number % 3 + 1} cities for {100 * number} dollars."
    call = Call(
        model=model,
        messages=(Message("system", introduction(TOOLS)), Message("user", asked)),
        max_tokens=CALL_TOKENS if constrained else FREE_TOKENS,
        schema=SCHEMA if constrained else None,
        temperature=0.8,
    )
    text, tokens, begun = "", 0, 0.0
    async with aclosing(provider.stream(call)) as chunks:
        async for chunk in chunks:
            begun = begun or (time.perf_counter() if chunk.text else 0.0)
            text += chunk.text
            tokens += chunk.usage.completion_tokens if chunk.usage else 0
    return text, max(0, tokens - 1), time.perf_counter() - begun if begun else 0.0


def is_valid(text: str, exactly: bool) -> bool:
    """Whether it is a call and nothing else, or (of free text) whether one is somewhere in it."""
    try:
        found = [json.loads(text)] if exactly else find_objects(text)
    except ValueError:
        return False
    return any(jsonschema.Draft202012Validator(SCHEMA).is_valid(one) for one in found)


def main(spec: str) -> None:
    valid, tokens, seconds = [0, 0], [0, 0], [0.0, 0.0]
    for number in range(CALLS):
        for way in (0, 1):
            text, count, took = asyncio.run(say(spec, number, bool(way)))
            seconds[way] += took
            tokens[way] += count
            valid[way] += is_valid(text, exactly=bool(way))
    free, bound = (tokens[way] / seconds[way] for way in (0, 1))
    print(
        f"{spec}: valid {valid[0] / CALLS:.3f} without and {valid[1] / CALLS:.3f} with the "
        f"constraint; {free:.0f} and {bound:.0f} tokens/s, ratio {bound / free:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    tiny = shipped("assets/tiny/tiny-calc.gguf")
    for one in sys.argv[1:] or (f"gguf:{tiny}", "local:smollm2-135m"):
        main(one)
