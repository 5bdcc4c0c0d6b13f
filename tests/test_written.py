"""A pool as text: what is written is read back as the same pool, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbfuse
from nbfuse import Pool, load_pool
from nbfuse.core.errors import ConfigError
from nbfuse.notebook.magics import _words, parser
from nbfuse.options import pool_of
from nbfuse.written import as_cell, as_python, save

RICH = Pool(
    name="rich",
    members=("openrouter:v/a", "local:tiny-calc*2", "openai:m@http://127.0.0.1:1/v1"),
    judge="openrouter:v/j",
    mode="merge",
    anchor="a",
    quorum=2,
    deadline_s=12.5,
    temperature=0.3,
    max_tokens=500,
    budget="0.05",
    system='Be brief.\nSay "no" rarely.',
    local_only=False,
)


def test_python_gives_the_same_pool() -> None:
    made = eval(as_python(RICH), {"nbfuse": nbfuse})
    assert made == Pool(**{f: getattr(RICH, f) for f in RICH.__struct_fields__ if f != "name"})


@pytest.mark.parametrize(
    "pool",
    [
        Pool(members=("local:a", "local:b")),
        Pool(members=("gguf:my models/a.gguf",), judge="local:j", mode="debate", local_only=True),
        Pool(members=("local:a*3",), quorum=2, deadline_s=1.5, temperature=0.0, seed=7),
    ],
)
def test_a_cells_line_asks_the_same_pool(pool: Pool) -> None:
    line = as_cell(pool).removeprefix("%%fuse ")
    asked, _ = pool_of(parser().parse_args(_words(line)))
    assert {**_fields(asked), "judge": pool.judge} == _fields(pool)


def _fields(pool: Pool) -> dict[str, object]:
    return {name: getattr(pool, name) for name in pool.__struct_fields__ if name != "name"}


def test_what_a_cell_can_not_say_is_said_by_name() -> None:
    with pytest.raises(ConfigError, match="no option for anchor, system, budget"):
        as_cell(RICH)
    save(RICH)
    assert as_cell(RICH) == "%%fuse --pool rich"


def test_saving_keeps_comments_and_all_else() -> None:
    path = Path("nbfuse.toml")
    path.write_text(
        "# my pools\n"
        'default = "work"\n\n'
        "[pools.work]  # for work\n"
        "members = [\n"
        '    "local:a",  # the quick one\n'
        '    "local:b",\n'
        "]\n"
        'judge = "local:a"   # cheap\n'
        "quorum = 1\n\n"
        "[pools.other]\n"
        'members = ["local:c"] # alone\n'
    )
    save(Pool(name="work", members=("local:a", "local:b"), judge="local:b", temperature=0.5))
    assert path.read_text() == (
        "# my pools\n"
        'default = "work"\n\n'
        "[pools.work]  # for work\n"
        "members = [\n"
        '    "local:a",  # the quick one\n'
        '    "local:b",\n'
        "]\n"
        'judge = "local:b"   # cheap\n'
        "temperature = 0.5\n\n"
        "[pools.other]\n"
        'members = ["local:c"] # alone\n'
    )
    assert load_pool("work").temperature == 0.5


def test_a_new_pool_goes_to_the_nearest_file_or_a_new_one() -> None:
    assert save(RICH) == Path.cwd() / "nbfuse.toml"
    assert load_pool("rich") == RICH
    inner = Path("inner")
    inner.mkdir()
    two = Pool(name="two words", members=("local:a",))
    assert save(two, inner) == Path.cwd() / "nbfuse.toml"
    assert load_pool("two words") == two
    assert load_pool("rich") == RICH


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("pools = 3\n", "must be a table"), ("[pools\n", "not valid TOML")],
)
def test_a_file_that_can_not_be_read_is_left_alone(text: str, complaint: str) -> None:
    Path("nbfuse.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        save(RICH)
    assert Path("nbfuse.toml").read_text() == text
    with pytest.raises(ConfigError, match="no name"):
        save(Pool(members=("local:a",)))
