"""The event reader, against what servers really send."""

from __future__ import annotations

import pytest

from nbfuse.providers import sse

EVENT = 'data: {"a": "ü\u2028\u0085€"}\n\n'.encode()


def read(*pieces: bytes) -> list[str]:
    reader = sse.EventReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_are_line_ends(end: bytes) -> None:
    assert read(b"data: one\n\ndata: two\n\n".replace(b"\n", end)) == ["one", "two"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_one_byte_at_a_time_gives_the_same(end: bytes) -> None:
    stream = (EVENT * 3).replace(b"\n", end)
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == read(stream) == read(EVENT) * 3


def test_unicode_line_separators_do_not_cut_an_event() -> None:
    assert read(EVENT) == ['{"a": "ü\u2028\u0085€"}']


def test_a_byte_order_mark_does_not_hide_the_first_event() -> None:
    assert read(b"\xef", b"\xbb\xbf", b"data: x\n\n") == ["x"]


def test_comments_and_other_fields_are_skipped() -> None:
    assert read(b": OPENROUTER PROCESSING\n\nevent: x\nid: 1\ndata: x\nretry: 5\n\n") == ["x"]


def test_several_data_lines_are_one_event() -> None:
    assert read(b"data: a\ndata:b\ndata\n\n") == ["a\nb\n"]


def test_a_last_event_without_a_blank_line_counts() -> None:
    assert read(b"data: a\n\ndata: b") == ["a", "b"]


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    reader = sse.EventReader()
    for _ in range(19):
        assert reader.feed(b"x" * 50) == []
    with pytest.raises(sse.TooLargeError):
        reader.feed(b"x" * 100)
