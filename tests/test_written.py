"""A pool as text: what is written is read back as the same pool, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbfuse
from nbfuse import Pool, load_pool
from nbfuse.config import default_pool
from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import expand
from nbfuse.notebook.magics import _words, parser
from nbfuse.options import cell_line, pool_of
from nbfuse.written import as_python, save

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
        Pool(members=("local:a",), deadline_s=1234567.0, temperature=0.12345678, max_tokens=9),
    ],
)
def test_a_cells_line_asks_the_same_pool(pool: Pool) -> None:
    other = 'members = ["local:z"]\nmode = "merge"\n'
    Path("nbfuse.toml").write_text(f"[pools.other]\n{other}")  # is the default, and decides nothing
    line = cell_line(pool).removeprefix("%%fuse ")
    asked, _ = pool_of(parser().parse_args(_words(line)))
    assert _fields(asked) == _fields(pool) | {"judge": pool.judge or expand(pool.members)[0]}


def _fields(pool: Pool) -> dict[str, object]:
    return {name: getattr(pool, name) for name in pool.__struct_fields__ if name != "name"}


def test_what_a_cell_can_not_say_is_said_by_name() -> None:
    with pytest.raises(ConfigError, match="no option for anchor, system, budget"):
        cell_line(RICH)
    with pytest.raises(ConfigError, match="no option for members"):
        cell_line(Pool(members=("gguf:a,b.gguf",)))
    Path("nbfuse.toml").write_text(
        '[pools.default]\nmembers = ["local:a"]\nsystem = "In French."\n'
    )
    with pytest.raises(ConfigError, match="no option for system"):  # which the default pool has
        cell_line(Pool(members=("local:b",)))
    Path("nbfuse.toml").unlink()
    save(RICH)
    assert cell_line(RICH) == "%%fuse --pool rich"


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


def test_comments_stay_with_their_members_and_line_ends_as_they_are() -> None:
    path = Path("nbfuse.toml")
    path.write_bytes(
        b'\xef\xbb\xbf[pools.work]\r\nmembers = [\r\n    "local:a", # best\r\n    "local:b",\r\n]'
        b" # all of them\r\n"
    )
    path.chmod(0o664)
    save(Pool(name="work", members=("local:c", "local:a")))
    text = path.read_bytes()
    assert text.startswith(b"\xef\xbb\xbf[pools.work]\r\n")
    assert b'"local:a", # best' in text
    assert b"] # all of them\r\n" in text
    assert path.stat().st_mode & 0o777 == 0o664
    assert load_pool("work").members == ("local:c", "local:a")


def test_inline_tables_and_links_are_kept_as_they_are() -> None:
    Path("real.toml").write_text('pools = { a = { members = ["local:a"] } }  # short\n')
    Path("nbfuse.toml").symlink_to("real.toml")
    save(Pool(name="b", members=("local:b",)))
    assert Path("nbfuse.toml").is_symlink()
    assert load_pool("a").members == ("local:a",)
    assert load_pool("b").members == ("local:b",)
    assert "# short" in Path("real.toml").read_text()


def test_saving_does_not_change_whom_a_cell_asks_that_names_no_pool() -> None:
    Path("pyproject.toml").write_text('[tool.nbfuse]\ndefault = "a"\n[tool.nbfuse.pools.a]\n'
                                      'members = ["local:a"]\n')  # fmt: skip
    save(Pool(name="c", members=("local:c",)))
    assert default_pool().pool.name == "a"
    Path("pyproject.toml").unlink()
    Path("nbfuse.toml").write_text('[pools.a]\nmembers = ["local:a"]\n')
    save(Pool(name="b", members=("local:b",)))
    assert default_pool().pool.name == "a"


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
