"""From a model spec to the provider that answers it. A new provider is one line here.

Third parties add one with an entry point in the group `nbfuse.providers`: its name is the prefix
of the spec, its value a function without arguments that returns a `Provider`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.local.catalog import LocalModel, catalog, find, from_file, from_hub
from nbfuse.providers.keys import Secret, find_key, keyring_key
from nbfuse.providers.protocol import Provider

OPENROUTER_URL = "https://openrouter.ai/api/v1"
OPENAI_URL = "https://api.openai.com/v1"


_Found = tuple[Provider, str]


class Target(NamedTuple):
    """Who answers a spec, and under which name it knows the model.

    `replayed` tells that nobody is asked, wherever the model itself may be.
    """

    spec: str
    provider: Provider
    model: str
    replayed: bool = False


def resolve(spec: str) -> Target:
    """The provider and the model that `spec` names; raises `ConfigError` with a suggestion."""
    scheme, colon, model = spec.partition(":")
    builders = _BUILDERS | _third_parties()
    if not colon or not model or "/" in scheme:
        raise ConfigError(f"{spec!r} does not say where the model is.", _guess(spec, builders))
    if scheme not in builders:
        raise ConfigError(
            f"{spec!r} has the unknown prefix {scheme!r}.", did_you_mean(scheme, builders)
        )
    return Target(spec, *builders[scheme](model))


def _guess(spec: str, builders: Iterable[str]) -> str:
    if "/" in spec:
        return f"Did you mean openrouter:{spec}?"
    near = did_you_mean(spec, catalog())
    if near.startswith("Did"):
        return near.replace("Did you mean ", "Did you mean local:").replace(" or ", " or local:")
    return f"Put one of these before it: {', '.join(f'{name}:' for name in builders)}."


def openrouter() -> Provider:
    """OpenRouter, with the key and the base URL of this moment."""
    return _openrouter_at(openrouter_url(), openrouter_key())


def openrouter_url() -> str:
    """OpenRouter's base URL, or that of a gateway which the user has put in its place."""
    url = (os.environ.get("OPENROUTER_BASE_URL") or OPENROUTER_URL).rstrip("/")
    _refuse_secrets(url)
    return url


def _refuse_secrets(url: str) -> None:
    """A URL is shown in errors and kept in notebooks, so it must not hold what is secret."""
    if "@" in url.partition("://")[2].partition("/")[0] or "?" in url:
        raise ConfigError(
            "A server's URL must not hold a user, a password or a query.",
            "Take them out, and store the key with: keyring set nbfuse HOST",
        )


@functools.cache  # one provider for all its members, which then share one look at its list
def _openrouter_at(url: str, key: Secret | None) -> Provider:
    from nbfuse.providers.openai import OpenAI

    return OpenAI(
        url,
        key,
        place="OpenRouter",
        key_name="OPENROUTER_API_KEY",
        openrouter=True,
    )


openrouter_key = functools.partial(find_key, "OPENROUTER_API_KEY", "openrouter")


def _openrouter(model: str) -> _Found:
    return openrouter(), model


def _openai(rest: str) -> _Found:
    """`model@http://host/v1`, or `model` alone for OpenAI itself (or OPENAI_BASE_URL)."""
    from nbfuse.providers.openai import OpenAI

    own_url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    model, at, tail = rest.rpartition("@http")
    base_url = f"http{tail}" if at else own_url
    try:
        host = urlsplit(base_url).hostname
    except ValueError:
        host = None
    _refuse_secrets(base_url)
    # an "@" without http:// would send a prompt that was meant for another server to OpenAI
    if not host or not (model or not at) or (not at and "@" in rest):
        raise ConfigError(
            f"'openai:{rest}' is not of the form openai:model@http://host/v1.",
            "An example for Ollama: openai:llama3.2@http://127.0.0.1:11434/v1",
        )
    own = base_url == own_url  # OPENAI_API_KEY goes to no other server
    key = find_key("OPENAI_API_KEY", host) if own else keyring_key(host)
    provider = OpenAI(base_url, key, place=host, key_name="OPENAI_API_KEY" if own else "")
    return provider, model if at else rest


def _local(model: str) -> _Found:
    return _local_provider(find), model


def _file(path: str) -> _Found:
    """A GGUF file, or a folder of weights for MLX."""
    return _local_provider(_from_path), path


def _from_path(path: str) -> LocalModel:
    return from_file(Path(path))


def _hf(file: str) -> _Found:
    return _local_provider(from_hub), file


@functools.cache
def _local_provider(lookup: Callable[[str], LocalModel]) -> Provider:
    from nbfuse.local.provider import Local

    return Local(lookup)


_BUILDERS: dict[str, Callable[[str], _Found]] = {
    "openrouter": _openrouter,
    "openai": _openai,
    "local": _local,
    "gguf": _file,
    "mlx": _file,
    "hf": _hf,
}


@functools.cache
def _third_parties() -> dict[str, Callable[[str], _Found]]:
    from importlib.metadata import entry_points  # 15 ms that a run without a plugin can spare

    def builder(load: Callable[[], Callable[[], Provider]]) -> Callable[[str], _Found]:
        return lambda model: (load()(), model)

    return {found.name: builder(found.load) for found in entry_points(group="nbfuse.providers")}
