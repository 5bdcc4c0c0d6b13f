"""A member with tools: it says which it calls, gets what came of it, and answers in the end.

Whether and what to call is asked for as JSON under a schema, which every engine of ours obeys to
the letter, instead of by each model's own tokens for tools, which most templates lack. The answer
itself is plain text, as it would be without tools.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from nbfuse.core.call import Call, Chunk, Message
from nbfuse.core.errors import BadResponseError
from nbfuse.core.threads import off_loop
from nbfuse.core.types import Answer, ToolCall
from nbfuse.fusion.plan import Member
from nbfuse.fusion.replies import ask_json
from nbfuse.fusion.run import Draft, Run
from nbfuse.fusion.tools import NONE, Tool, call_schema

MOST_CALLS = 8  # of one member in one run
TOOL_S = 30.0  # that one call of a function may take
CALL_TOKENS = 1024
MOST_RESULT = 8000  # characters of a result that a model gets to read

INTRODUCTION = """\
You may call these tools before you answer:

{tools}

To call one, reply with {{"call": {{"tool": "its name", "arguments": {{…}}}}}}. When you need \
none, or no further one, reply with {{"call": {{"tool": "none"}}}}; then you will be asked for \
your answer."""
FURTHER = "Call another tool, or none."
ANSWER = "Now answer the request. Write the answer itself, not a call."


def introduction(tools: Sequence[Tool]) -> str:
    """What a model is told of the tools that it may call."""
    listed = (
        f"- {tool.name}: {' '.join(tool.description.split())} "
        f"Arguments: {json.dumps(tool.parameters)}"
        for tool in tools
    )
    return INTRODUCTION.format(tools="\n".join(listed))


class Conversation:
    """What a member with tools is asked, and the calls that it has made."""

    def __init__(
        self, run: Run, member: Member, call: Call, draft: Draft, heard: Callable[[Chunk], None]
    ) -> None:
        self._run, self._member, self._call = run, member, call
        self._draft, self._heard = draft, heard
        self._tools = {tool.name: tool for tool in run.plan.tools}
        self._introduction, self._schema = introduction(run.plan.tools), call_schema(run.plan.tools)
        self._turns: list[Message] = []  # after the prompt: calls and results

    async def hold(self) -> None:
        """Let the member call until it needs no more, then have it answer into the draft.

        Raises a `ModelError`.
        """
        made: list[object] = []
        while (wanted := await self._next_call()) is not None:
            if wanted in made:  # it would go round in circles
                name = wanted[0].name
                self._say(f"called {name} twice with the same arguments and was asked to answer")
                break
            made.append(wanted)
            tool, arguments = wanted
            if tool.function is None:  # the call is what was asked for
                self._hand_over(ToolCall(tool.name, arguments))
                return
            await self._make(tool, arguments)
            if len(made) == MOST_CALLS:
                self._say(f"was stopped after {MOST_CALLS} calls of tools")
                break
        await self._run.stream(self._member, self._asking(ANSWER), self._draft, self._heard)

    def _say(self, what: str) -> None:
        self._run.notes.append(f"{self._member.label} {what}.")

    async def _make(self, tool: Tool, arguments: dict[str, object]) -> None:
        """Call the function and tell the member what came of it."""
        most = min(MOST_RESULT, self._member.info.context or MOST_RESULT)
        result, failed = await _result_of(tool, arguments, most)
        self._note(ToolCall(tool.name, arguments, result, failed))
        self._turns += [
            Message("assistant", _as_text({"call": {"tool": tool.name, "arguments": arguments}})),
            Message("user", f"{tool.name} {'failed' if failed else 'gave'}: {result}"),
        ]

    def _hand_over(self, call: ToolCall) -> None:
        self._note(call)
        said = _as_text({"tool": call.name, "arguments": call.arguments})
        self._heard(Chunk(text=said))
        self._draft.conclude(said)

    def _asking(self, task: str) -> Call:
        """The call with all that has been said; `task` is told with the last result, if any."""
        if not self._turns:
            return self._call
        *before, last = self._turns
        closing = Message(last.role, f"{last.content}\n\n{task}")
        return msgspec.structs.replace(
            self._call, messages=(*self._call.messages, *before, closing)
        )

    async def _next_call(self) -> tuple[Tool, dict[str, object]] | None:
        asked = self._asking(FURTHER)
        first, *others = asked.messages
        told = self._introduction
        if first.role == "system":
            told, first = f"{first.content}\n\n{told}", others.pop(0)
        call = msgspec.structs.replace(
            asked,
            messages=(Message("system", told), first, *others),
            max_tokens=CALL_TOKENS,
            schema=self._schema,
        )

        def check(reply: dict[str, Any]) -> None:
            wanted = reply.get("call")
            if not isinstance(wanted, dict):
                raise ValueError('it has no "call"')
            if wanted.get("tool") != NONE:
                if wanted.get("tool") not in self._tools:
                    raise ValueError(f"there is no tool {wanted.get('tool')!r}")
                self._tools[wanted["tool"]].check(wanted.get("arguments"))

        try:
            reply = await ask_json(self._ask, call, dict[str, Any], check)
        except BadResponseError as error:  # it may still know an answer
            self._say(f"wrote no call that could be used ({error.message.rstrip('.')})")
            return None
        wanted = reply["call"]
        if wanted["tool"] == NONE:
            return None
        return self._tools[wanted["tool"]], wanted["arguments"]

    async def _ask(self, call: Call) -> Answer:
        """One reply about calls: billed to the member, but no part of its answer."""
        scratch = Draft(self._member, self._run.clock)
        try:
            await self._run.stream(self._member, call, scratch)
        finally:
            if (usage := scratch.answer().usage) is not None:
                self._draft.bill(usage)
        return scratch.answer()

    def _note(self, call: ToolCall) -> None:
        self._draft.note_call(call)
        self._heard(Chunk(reasoning=f"{call}\n"))


async def _result_of(tool: Tool, arguments: dict[str, object], most: int) -> tuple[str, bool]:
    """What the function gives, as text of at most `most` characters, and whether it failed.

    It has `TOOL_S` seconds.
    """

    def work() -> str:
        assert tool.function is not None
        value = tool.function(**tool.values(arguments))
        if inspect.isawaitable(value):  # in a loop of its own: what blocks there stops no answer
            value = asyncio.run(_awaited(value))
        return _as_text(value)

    working = asyncio.create_task(off_loop(work))
    try:
        await asyncio.wait([working], timeout=TOOL_S)
        if not working.done():
            return f"it had not finished after {TOOL_S:g} s", True
        text, failed = working.result(), False
    except Exception as error:  # the user's own code; the model may do better with what it says
        text, failed = f"{type(error).__name__}: {error}", True
    finally:
        working.cancel()
    return text.encode(errors="replace").decode()[:most], failed


async def _awaited(value: Awaitable[object]) -> object:
    return await value


def _as_text(value: object) -> str:
    """A result as a model reads it: text as it is, all else as JSON, or as Python writes it."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except TypeError:  # a DataFrame, for instance
        return str(value)
