"""A member that answers under a schema: it is held to it where its server can, and checked always.

What does not obey is asked for once more, with what is wrong. What was said besides the answer is
kept as reasoning; what never obeyed stays as it was said.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbfuse.core.call import Call, Chunk, Message
from nbfuse.core.errors import BadResponseError
from nbfuse.core.types import Answer
from nbfuse.fusion.fields import write_json
from nbfuse.fusion.plan import Member
from nbfuse.fusion.price import LONG_ANSWER, tokens_in
from nbfuse.fusion.replies import first_reply, object_texts
from nbfuse.fusion.run import Draft, Run
from nbfuse.fusion.schema import Schema

BREAK = Chunk(text="\n\n")  # between a reply and the one in its place
SIMPLER = "It may be too small for this schema: ask a larger model, or for fewer fields."


class Filling:
    """The replies of one member, of which the last one that obeys becomes its answer."""

    def __init__(
        self,
        run: Run,
        member: Member,
        schema: Schema,
        draft: Draft,
        heard: Callable[[Chunk], None],
    ) -> None:
        self._run, self._member, self._schema = run, member, schema
        self._draft, self._heard = draft, heard
        self._said: list[str] = []

    async def ask(self, call: Call) -> None:
        """Have the member answer `call` into the draft; raises a `ModelError`."""
        schema, provider = self._schema, self._member.provider
        told = _told(call, schema)
        # an engine here holds to a schema, but does not show it; a tiny model is only led astray
        shown = told if provider.local and self._member.info.form == "full" else call
        asked = msgspec.structs.replace(shown, schema=schema.strict(provider.local))
        answer, asked = await first_reply(self._reply, asked, told)
        complaint = self._take(answer)
        if not complaint:
            return
        reads = tokens_in("".join(m.content for m in asked.messages) + answer.text)
        wanted = self._run.plan.repair and answer.status != "cut off"
        if wanted and self._run.affords([self._member], reads, LONG_ANSWER):
            self._hear(BREAK)
            again = await self._reply(_again(asked, answer, complaint, schema))
            complaint = self._take(again)
            answer = again
        if complaint and answer.status == "cut off":
            raise BadResponseError(
                f"{self._member.label} was cut off before its answer was whole.",
                f"Raise --max-tokens, if it is set. {SIMPLER}",
            )
        if complaint:
            raise BadResponseError(
                f"{self._member.label} gave no answer that obeys {schema.name}: {complaint}.",
                SIMPLER,
            )

    def _take(self, answer: Answer) -> str:
        """Make the last object that obeys the answer; else what is wrong with the last of all."""
        complaint = ""
        for text in reversed(object_texts(answer.text)):
            try:
                value = self._schema.read(text)
            except ValueError as error:
                complaint = complaint or str(error).rstrip(".")
                continue
            *before, last = self._said
            beside = [*before, *([last] if last.strip() != text else [])]
            if beside:
                self._draft.feed(Chunk(reasoning="\n\n".join(beside)))
            self._draft.conclude(write_json(value))
            return ""
        return complaint or "it holds no whole JSON object"

    async def _reply(self, call: Call) -> Answer:
        """One reply, which is heard and billed as it comes."""
        scratch = Draft(self._member, self._run.clock)
        try:
            await self._run.stream(self._member, call, scratch, self._hear)
        finally:
            reply = scratch.answer()
            if reply.usage is not None:
                self._draft.bill(reply.usage)
        self._said.append(reply.text)
        return reply

    def _hear(self, chunk: Chunk) -> None:
        self._draft.feed(chunk)
        self._heard(chunk)


def _told(call: Call, schema: Schema) -> Call:
    """The call with the schema in words."""
    *before, last = call.messages
    words = msgspec.structs.replace(last, content=f"{last.content}\n\n{schema.told}")
    return msgspec.structs.replace(call, messages=(*before, words))


def _again(call: Call, answer: Answer, complaint: str, schema: Schema) -> Call:
    said = (Message("assistant", answer.text),) if answer.text.strip() else ()
    wrong = f"That reply can't be used: {complaint}. {schema.told}"
    return msgspec.structs.replace(call, messages=(*call.messages, *said, Message("user", wrong)))
