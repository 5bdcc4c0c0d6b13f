"""The vote in one run: what each member's voice weighs, and what the code in answers prints."""

from __future__ import annotations

from collections.abc import Sequence

from nbfuse.core.types import Answer, AnswerKind
from nbfuse.fusion.agreement import Agreement, compare, compare_objects, is_enough
from nbfuse.fusion.canonical import python_of
from nbfuse.fusion.run import Run
from nbfuse.fusion.sandbox import Ran, run_python


def weights(run: Run) -> dict[str, float]:
    """What the vote of each member weighs, by its label: 1 each where nothing is measured."""
    members = run.plan.members
    weighed = run.measured.weights([member.spec for member in members])
    return {member.label: weight for member, weight in zip(members, weighed, strict=True)}


def compared(run: Run, answers: Sequence[Answer]) -> Agreement | None:
    """Who agrees with whom in this run; None where the answers can't be compared."""
    pool = run.plan.pool
    if run.plan.schema is not None:
        return compare_objects(answers, run.plan.anchor.label, weights(run))
    return compare(
        answers,
        pool.answer,
        run.plan.anchor.label,
        run.plan.prompt,
        weights(run),
        run.outputs if pool.run else None,
    )


def decides(
    run: Run, found: Agreement, voters: Sequence[str], least: int = 2, everybody: bool = False
) -> bool:
    """Whether the first group decides among these voters, by their weights."""
    weigh = weights(run)
    return is_enough(found, {member: weigh[member] for member in voters}, least, everybody)


async def run_code(run: Run, answer: Answer) -> None:
    """Run the code of an answer where the pool allows it, once; a failure is noted."""
    if not run.plan.pool.run or answer.failure is not None or answer.status != "complete":
        return
    code = python_of(answer.text)
    if code is None:
        return
    async with run.at_work:
        if code not in run.outputs:
            try:
                run.outputs[code] = await run_python(code)
            except OSError as error:  # no memory for a process, no room for a folder
                run.outputs[code] = Ran("", f"could not be run ({error})")
    if failure := run.outputs[code].failure:
        run.notes.append(f"{answer.member}'s code {failure}.")


def kind_of(run: Run, texts: Sequence[str]) -> AnswerKind | None:
    """As what these texts are compared; None where they can't be."""
    found = _unnamed(run, texts, run.plan.pool.answer)
    return found.kind if found is not None and found.countable else None


def alike(run: Run, texts: Sequence[str], kind: AnswerKind | None = None) -> list[list[int]] | None:
    """The numbers of the texts that say the same, by group; None where that can't be told.

    Whose texts they are does not count here. `kind` is as what they are compared (None: as the pool
    says, or as they look).
    """
    found = _unnamed(run, texts, kind or run.plan.pool.answer)
    if found is None or not found.countable:
        return None
    return [[int(one) for one in group] for group in found.groups]


def _unnamed(run: Run, texts: Sequence[str], kind: AnswerKind | None) -> Agreement | None:
    answers = [Answer(member=str(i), spec="", text=text) for i, text in enumerate(texts)]
    outputs = run.outputs if run.plan.pool.run else None
    return compare(answers, kind, "", run.plan.prompt, None, outputs)
