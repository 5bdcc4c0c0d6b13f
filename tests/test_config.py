"""Pools from files, and the choice of the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbfuse import config
from nbfuse.core.errors import ConfigError
from nbfuse.paths import config_folder, data_folder

GOOD = """
default = "work"
[pools.work]
members = ["local:tiny-calc", "local:tiny-units*2"]
judge = "local:tiny-judge"
mode = "merge"
deadline_s = 20
budget = "0.05"
[pools.other]
members = ["local:tiny-calc"]
"""


def test_a_pool_is_read_from_the_nearest_file_above() -> None:
    Path("nbfuse.toml").write_text(GOOD)
    below = Path("a/b")
    below.mkdir(parents=True)
    pool = config.load_pool("work", below)
    assert pool.members == ("local:tiny-calc", "local:tiny-units*2")
    assert (pool.mode, pool.deadline_s, str(pool.budget)) == ("merge", 20.0, "0.05")
    assert config.default_pool(below).pool == pool
    assert "nbfuse.toml" in config.default_pool(below).reason


def test_files_are_ranked() -> None:
    line = 'members = ["local:{}"]\n'
    config_folder().mkdir(parents=True)
    user = config_folder() / "nbfuse.toml"
    user.write_text("[pools.a]\n" + line.format("u") + "[pools.c]\n" + line.format("u"))
    Path("pyproject.toml").write_text("[tool.nbfuse.pools.a]\n" + line.format("p"))
    assert config.load_pool("a").members == ("local:p",)
    assert config.load_pool("c").members == ("local:u",)
    Path("nbfuse.toml").write_text("[pools.a]\n" + line.format("n"))
    assert config.load_pool("a").members == ("local:n",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default = ", ["nbfuse.toml", "not valid TOML", "Invalid value"]),
        ("defualt = 'x'", ["nbfuse.toml", "defualt", "default"]),
        (
            "[pools.a]\nmembers = ['x:y']\njudeg = 'x:y'",
            ["nbfuse.toml", "pools.a", "judeg", "judge"],
        ),
        (
            "[pools.a]\nmembers = ['x:y']\nmode = 'megre'",
            ["nbfuse.toml", "Pool 'a'", "mode", "merge"],
        ),
        ("[pools.a]\nmembers = 'x:y'", ["nbfuse.toml", "Pool 'a'", "members must be a list"]),
        ("[pools.a]\nmembers = ['x:y']\nquorum = 5", ["nbfuse.toml", "quorum", "1 to 1"]),
        ("[pools.a]\njudge = 'x:y'", ["nbfuse.toml", "pools.a", "no members"]),
        ("[pools.a]\nmembers = ['x:y']\ntop_p = 7", ["nbfuse.toml", "top_p", "<= 1.0"]),
        ("[pools.a]\nmembers = ['x:y']\nbudget = 'much'", ["nbfuse.toml", "budget", "much"]),
        ("default = ['a']", ["nbfuse.toml", "name of a pool"]),
        ("pools = 3", ["nbfuse.toml", "pools must be a table"]),
        ("default = 'work'\n[pools.wrok]\nmembers = ['x:y']", ["work", "wrok"]),
    ],
)
def test_errors_name_file_key_and_the_nearest_word(text: str, words: list[str]) -> None:
    Path("nbfuse.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.default_pool()
    for word in words:
        assert word in str(caught.value)


def test_somebody_elses_broken_pyproject_is_not_our_error() -> None:
    Path("pyproject.toml").write_text("[tool.nbfuse")
    assert config.default_pool().pool is config.TINY


def test_a_default_may_be_in_another_file() -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "nbfuse.toml").write_text("[pools.mine]\nmembers = ['local:tiny-calc']\n")
    Path("nbfuse.toml").write_text("\ufeffdefault = 'mine'\n", encoding="utf-8")  # as Notepad saves
    assert config.default_pool().pool.name == "mine"


def test_a_folder_of_that_name_is_not_a_file() -> None:
    Path("nbfuse.toml").mkdir()
    assert config.default_pool().pool is config.TINY


def test_an_unknown_pool_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean tiny"):
        config.load_pool("tinny")


def test_without_a_key_the_default_is_tiny() -> None:
    pool, reason = config.default_pool()
    assert pool.name == "tiny"
    assert "no key" in reason


def test_with_a_key_the_default_is_three_families_and_a_judge_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-x")
    pool, reason = config.default_pool()
    families = {spec.partition(":")[2].lstrip("~").partition("/")[0] for spec in pool.members}
    assert len(families) == 3
    assert pool.judge
    assert pool.judge.partition(":")[2].partition("/")[0] not in families
    assert "key" in reason


def test_with_the_3b_on_disk_the_default_is_its_self_panel() -> None:
    folder = data_folder() / "models"
    folder.mkdir(parents=True)
    (folder / "Ministral-3-3B-Instruct-2512-Q4_K_M.gguf").touch()
    pool, _ = config.default_pool()
    assert pool.members == ("local:ministral-3b*3",)


def test_a_key_in_the_system_keyring_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return "sk-or-stored" if (service, username) == ("nbfuse", "openrouter") else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

        def delete_password(self, service: str, username: str) -> None: ...

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        assert config.default_pool().pool is config.CLOUD
    finally:
        keyring.set_keyring(before)
