"""From specs to providers, third parties' among them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbfuse.core.errors import ConfigError
from nbfuse.providers.registry import resolve

PLUGIN = """
from nbfuse.core.call import Chunk
from nbfuse.providers.protocol import ModelInfo

class Echo:
    local = True

    async def stream(self, call):
        yield Chunk(text=call.messages[-1].content.upper(), finish="stop")

    async def models(self):
        return []

    async def describe(self, models):
        return [ModelInfo(id=model, local=True) for model in models]

    async def aclose(self):
        pass
"""


def test_a_third_party_adds_a_provider_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echo_plugin.py").write_text(PLUGIN)
    info = tmp_path / "echo_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nbfuse.providers]\necho = echo_plugin:Echo\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = ("ask", "-m", "echo:loud", "-j", "echo:loud", "hello")
    done = subprocess.run(
        [sys.executable, "-m", "nbfuse", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "HELLO\n"), done.stderr


@pytest.mark.parametrize(
    ("spec", "url", "model"),
    [
        ("openai:m@http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1", "m"),
        ("openai:a/b:latest@http://localhost:1234/v1/", "http://localhost:1234/v1", "a/b:latest"),
        ("openai:gpt-5", "https://api.openai.com/v1", "gpt-5"),
        ("openrouter:x/y:free", "https://openrouter.ai/api/v1", "x/y:free"),
    ],
)
def test_a_spec_names_a_server_and_a_model(spec: str, url: str, model: str) -> None:
    target = resolve(spec)
    assert (target.provider.base_url, target.model) == (url, model)


def test_openais_key_goes_to_openai_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine-0123456789")
    assert resolve("openai:m").provider._address.key is not None
    assert resolve("openai:m@https://other.example/v1").provider._address.key is None


def test_loopback_servers_are_local_and_openrouter_never_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve("openai:m@http://127.0.0.1:1/v1").provider.local
    assert not resolve("openai:m@http://example.org/v1").provider.local
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:1/v1")
    assert not resolve("openrouter:x/y").provider.local


@pytest.mark.parametrize(
    "spec",
    [
        "local:",
        "openai:m@http://[::1/v1",
        "openai:@http://h/v1",
        "",
        "openai:m@127.0.0.1:8080/v1",
        "openai:m@HTTP://h/v1",
        "openai:m@ftp://h",
    ],
)
def test_a_spec_that_names_nothing_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError):
        resolve(spec)


def test_a_password_in_a_url_is_refused_without_being_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", "https://me:swordfish@example.org/v1")
    for spec in ("openai:m@http://me:swordfish@example.org/v1", "openrouter:x/y"):
        with pytest.raises(ConfigError, match="password") as caught:
            resolve(spec)
        assert "swordfish" not in str(caught.value)


def test_a_bare_name_is_not_taken_for_a_local_one() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("gpt-5")
    assert "openrouter:, openai:, local:, gguf:" in caught.value.hint


@pytest.mark.parametrize("key", ["sk-or-v1-abc\ndef", "sk-or-…1234", "sk-or v1"])
def test_what_can_not_be_a_key_is_refused_without_being_quoted(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENROUTER_API_KEY") as caught:
        resolve("openrouter:x/y")
    assert key[:9] not in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "http://host/v1?api_key=secret"])
def test_an_address_holds_no_secret(url: str) -> None:
    """It is shown in errors, saved in notebooks and kept in the ledger."""
    with pytest.raises(ConfigError, match="must not hold") as caught:
        resolve(f"openai:m@{url}")
    assert "secret" not in str(caught.value)
