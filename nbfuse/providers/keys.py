"""Where keys come from, and how they stay out of everything that is shown or stored."""

from __future__ import annotations

import importlib.util
import os
import re

from nbfuse.core.errors import ConfigError

_KEY_LIKE = re.compile(r"\b(sk-[A-Za-z]*-?)[A-Za-z0-9_-]{8,}|(?<=Bearer )\S{8,}")


class Secret:
    """A key that prints as `sk-…1234`; only `reveal()` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for a request header."""
        return self._value

    def __repr__(self) -> str:
        tail = self._value[-4:] if len(self._value) >= 16 else ""
        return f"{'sk-' if self._value.startswith('sk-') else ''}…{tail}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def find_key(variable: str, name: str) -> Secret | None:
    """The key from an environment variable, else `name`'s in the system keyring, else None.

    Raises `ConfigError` for what can't be a key.
    """
    value = os.environ.get(variable, "").strip()
    return _secret(value, variable) if value else keyring_key(name)


def _secret(value: str, where: str) -> Secret:
    """A key that can stand in a header; raises `ConfigError` without quoting what can't."""
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigError(
            f"{where} holds a character that no key has (a line break, or a copied mask?).",
            "Copy the whole key again from where it was made.",
        )
    return Secret(value)


def keyring_key(name: str) -> Secret | None:
    """The key stored with `keyring set nbfuse NAME`, where keyring is installed and works."""
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        value = keyring.get_password("nbfuse", name)
    except (KeyringError, RuntimeError, OSError):  # a locked or headless keyring is no key
        return None
    return _secret(value.strip(), f"The keyring's entry {name}") if value else None


def scrub(text: str, key: Secret | None) -> str:
    """`text` without the key, nor anything that looks like one."""
    if key is not None and key.reveal():
        text = text.replace(key.reveal(), repr(key))
    return _KEY_LIKE.sub("…", text)
