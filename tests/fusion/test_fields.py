"""JSON answers field by field."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from nbfuse.fusion.fields import Field, fuse_fields, read_json, same_as

THREE = {
    "a": {"name": "Rome", "at": {"lat": 41.9, "long": 12.5}, "rivers": ["Tiber", "Aniene"]},
    "b": {"name": "Rome ", "at": {"lat": 41.90, "long": 12}, "rivers": ["Aniene", "Tiber"]},
    "c": {"name": "Roma", "at": {"lat": 42, "long": 12.5}, "rivers": ["Tiber", "Aniene"]},
}


def test_each_field_goes_to_its_majority() -> None:
    fused = fuse_fields(THREE, "c")
    rivers = ["Tiber", "Aniene"]
    assert fused.value == {"name": "Rome", "at": {"lat": 41.9, "long": 12.5}, "rivers": rivers}
    assert list(fused.support) == ["/name", "/at/lat", "/at/long", "/rivers"]
    assert fused.support["/name"] == Field((("Rome", ("a", "b")), ("Roma", ("c",))))
    assert fused.support["/rivers"].values[0] == (rivers, ("a", "c"))
    assert fused.disputed == ()


def test_a_field_without_a_majority_is_disputed_and_the_anchor_leads_it() -> None:
    fused = fuse_fields({"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 1}, "c": {"x": 3, "y": 1}}, "b")
    assert fused.value == {"x": 2, "y": 1}
    assert fused.disputed == ("/x",)
    two = fuse_fields({"a": {"x": 1}, "b": {"x": 2}}, "b")
    assert (two.value, two.disputed) == ({"x": 2}, ("/x",))


def test_weights_move_a_field_and_half_of_all_weight_is_no_majority() -> None:
    values = {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 2}}
    assert fuse_fields(values, "a").value == {"x": 2}
    heavy = fuse_fields(values, "b", {"a": 3.0, "b": 1.0, "c": 1.0})
    assert (heavy.value, heavy.disputed) == ({"x": 1}, ())
    tied = fuse_fields(values, "b", {"a": 0.3, "b": 0.1, "c": 0.2})  # 0.1 + 0.2 > 0.3 in floats
    assert (tied.value, tied.disputed) == ({"x": 2}, ("/x",))


def test_a_field_that_most_leave_out_is_left_out() -> None:
    fused = fuse_fields({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "note": None}}, "a")
    assert fused.value == {"x": 1}
    assert fused.support["/note"] == Field(((None, ("c",)),), ("a", "b"))
    assert fused.disputed == ()
    kept = fuse_fields({"a": {"x": 1}, "b": {"x": 1, "n": 2}, "c": {"x": 1, "n": 2}}, "a")
    assert kept.value == {"x": 1, "n": 2}


def test_an_empty_object_of_a_member_is_never_filled() -> None:
    values = {"a": {"at": {}}, "b": {"at": {"lat": 1}}, "c": {"at": {"lat": 1}}}
    fused = fuse_fields({**values, "d": {"at": {}}}, "a")
    assert values["a"] == {"at": {}}
    assert fused.disputed == ("/at", "/at/lat")
    three = fuse_fields(values, "a")
    assert (three.value, three.left_out) == ({"at": {"lat": 1}}, ("/at",))
    assert fuse_fields(values, "a", closed=["/at"]).support["/at"].values[0][0] == {"lat": 1}


def test_values_of_other_types_are_other_values() -> None:
    fused = fuse_fields({"a": {"x": 1}, "b": {"x": "1"}, "c": {"x": True}}, "a")
    assert [who for _, who in fused.support["/x"].values] == [("a",), ("b",), ("c",)]


def test_an_object_in_one_answer_and_a_value_in_the_other_are_a_dispute() -> None:
    fused = fuse_fields({"a": {"x": {"y": 1}}, "b": {"x": 5}}, "b")
    assert set(fused.disputed) == {"/x/y", "/x"}
    assert fused.value == {"x": 5}
    assert fuse_fields({"a": {"x": {"y": 1}}, "b": {"x": 5}}, "a").value == {"x": {"y": 1}}


def test_pointers_escape_what_would_be_read_as_a_path() -> None:
    value = {"a/b": {"c~d": 1, "": 2}, "": {"": 3}}
    fused = fuse_fields({"a": value, "b": value}, "a")
    assert list(fused.support) == ["/a~1b/c~0d", "/a~1b/", "//"]
    assert fused.value == value


def test_what_is_no_object_is_one_field() -> None:
    fused = fuse_fields({"a": [1, 2], "b": [1, 2.0], "c": 7}, "c")
    assert (fused.value, fused.disputed) == ([1, 2], ())
    assert list(fused.support) == [""]
    assert fuse_fields({"a": {}, "b": {}}, "a").value == {}


def test_numbers_are_read_exactly_and_equal_ones_are_the_same() -> None:
    assert read_json("0.30000000000000004") == Decimal("0.30000000000000004")
    equal = ("1", "1.0", "10e-1", "0.1E1", "1.000000000000000000000000000000000000")
    assert {same_as(read_json(one)) for one in equal} == {"1"}
    assert len({same_as(read_json(n)) for n in ("1e400", "1e401", "-1e400", "1e-400")}) == 4
    assert same_as(1.5) == same_as(Decimal("1.50")) != same_as(15)
    assert same_as(10**30) == same_as(read_json("1e30"))
    assert len(same_as(read_json("1e999999999"))) < 20


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "NaN", "[Infinity]", "[" * 99_999, "", "{"])
def test_what_can_be_read_two_ways_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


def test_a_fused_value_is_json_again() -> None:
    assert json.loads(json.dumps(fuse_fields(THREE, "a").value)) == fuse_fields(THREE, "a").value
