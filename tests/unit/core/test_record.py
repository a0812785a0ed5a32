from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from deepcanon.core.errors import BadInput
from deepcanon.core.record import FORMAT, KEY, Record, read_record, record_in

_texts = st.text(max_size=20)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(_texts, inner, max_size=3)
    ),
    max_leaves=8,
)
_tables = st.dictionaries(_texts, _values, max_size=4)
_scores = st.dictionaries(_texts, st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@given(
    texts=st.tuples(*[_texts] * 8),
    labels=st.lists(_texts),
    tables=st.tuples(*[_tables] * 3),
    scores=_scores,
)
def test_json_round_trip(
    texts: tuple[str, ...],
    labels: list[str],
    tables: tuple[dict[str, object], ...],
    scores: dict[str, float],
) -> None:
    model, variant, domain, licence, data, date, hardware, notes = texts
    config, preprocessing, recipe = tables
    one = Record(
        model=model, variant=variant, domain=domain, licence=licence, data=data, date=date,
        hardware=hardware, notes=notes, config=config, preprocessing=preprocessing,
        recipe=recipe, labels=labels, scores=scores,
    )  # fmt: skip
    assert Record.from_json(one.to_json(), source="here") == one


def test_the_json_is_one_line_of_strict_json(record: Record) -> None:
    text = replace(record, scores={"diverged": math.nan, "fine": 1}).to_json()
    assert "\n" not in text

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(text, parse_constant=refuse)
    assert content["scores"] == {"diverged": None, "fine": 1.0}
    assert content["format"] == FORMAT
    back = Record.from_json(text, source="here")
    assert math.isnan(back.scores["diverged"]) and back.scores["fine"] == 1


def test_tuples_become_lists(record: Record) -> None:
    assert replace(record, config={"a": ((1, 2), {"b": (3,)})}).config == {
        "a": [[1, 2], {"b": [3]}]
    }


def test_what_json_cannot_hold_is_refused_when_the_record_is_made(record: Record) -> None:
    with pytest.raises(TypeError, match=r"recipe\.a holds a set"):
        replace(record, recipe={"a": [{1}]})
    with pytest.raises(ValueError, match=r"config\.rate is inf"):
        replace(record, config={"rate": math.inf})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": None}, "'model' is not a str"),
        ({"labels": "one"}, "'labels' is not a list"),
        ({"labels": [1]}, "'labels' holds something that is not a string"),
        ({"scores": {"loss": "low"}}, "'loss' is not a number"),
        ({"scores": {"loss": True}}, "'loss' is not a number"),
        ({"format": True}, "'format' is not a int"),
        ({"config": []}, "'config' is not a dict"),
    ],
)
def test_a_malformed_record_names_the_field(
    record: Record, change: dict[str, object], why: str
) -> None:
    text = json.dumps({**json.loads(record.to_json()), **change})
    with pytest.raises(BadInput) as caught:
        Record.from_json(text, source="x.onnx")
    assert "x.onnx" in caught.value.message and why in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_text_that_is_no_record(text: str) -> None:
    with pytest.raises(BadInput, match=r"x\.onnx"):
        Record.from_json(text, source="x.onnx")


def test_a_missing_field_is_named_and_an_unknown_one_passed_over(record: Record) -> None:
    content = json.loads(record.to_json())
    content["of_a_later_minor_version"] = 1
    del content["notes"], content["format"]
    assert Record.from_json(json.dumps(content), source="x") == record
    del content["licence"]
    with pytest.raises(BadInput, match="'licence' is missing"):
        Record.from_json(json.dumps(content), source="x")


def test_a_newer_format_says_to_upgrade(record: Record) -> None:
    text = replace(record, format=FORMAT + 1).to_json()
    with pytest.raises(BadInput) as caught:
        Record.from_json(text, source="x.onnx")
    assert "format 2" in caught.value.message and "newer deepcanon" in caught.value.hint


# --- the containers ---------------------------------------------------------------------------


def test_read_from_onnx(make_onnx: Callable[..., Path], record: Record) -> None:
    assert read_record(make_onnx()) == record
    assert read_record(str(make_onnx("UPPER.ONNX"))) == record


def test_read_from_safetensors(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"w": np.ones(3, np.float32)}, path, metadata={KEY: record.to_json(), "format": "np"})
    assert read_record(path) == record


@given(metadata=st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
def test_safetensors_metadata_is_found_among_others(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, str], record: Record
) -> None:
    path = tmp_path_factory.mktemp("st") / "x.safetensors"
    save_file({"w": np.ones(3, np.float32)}, path, metadata={**metadata, KEY: record.to_json()})
    assert read_record(path) == record


def test_a_file_without_a_record(tmp_path: Path, make_onnx: Callable[..., Path]) -> None:
    plain = tmp_path / "plain.safetensors"
    save_file({"w": np.ones(3, np.float32)}, plain)
    for path in (plain, make_onnx(text=None)):
        with pytest.raises(BadInput) as caught:
            read_record(path)
        assert caught.value.message == f"{path} carries no deepcanon record"
        assert "deepcanon export" in caught.value.hint


def test_what_weights_say_of_themselves(
    tmp_path: Path, make_onnx: Callable[..., Path], record: Record
) -> None:
    foreign, ours = tmp_path / "foreign.safetensors", tmp_path / "ours.safetensors"
    save_file({"w": np.ones(3, np.float32)}, foreign)
    save_file({"w": np.ones(3, np.float32)}, ours, metadata={KEY: record.to_json()})
    for nothing in (None, "imagenet", tmp_path / "x.pth", foreign):
        assert record_in(nothing) is None
    for file in (ours, make_onnx()):
        assert record_in(file) == record
    with pytest.raises(BadInput, match="carries no deepcanon record"):
        record_in(make_onnx("plain.onnx", text=None))
    with pytest.raises(BadInput, match="does not exist"):
        record_in(tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x00",
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"xx",
        (20).to_bytes(8, "little") + b'{"__metadata__": 12}',
        b"PK\x03\x04 a zip file of pickles, as torch.save writes it",
    ],
)
def test_a_damaged_safetensors_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a whole safetensors file"):
        read_record(path)


def test_a_missing_file_a_folder_and_another_kind(tmp_path: Path) -> None:
    for suffix in (".onnx", ".safetensors"):
        with pytest.raises(BadInput, match="does not exist"):
            read_record(tmp_path / f"none{suffix}")
        folder = tmp_path / f"folder{suffix}"
        folder.mkdir()
        with pytest.raises(BadInput, match="is a folder"):
            read_record(folder)
    with pytest.raises(BadInput, match=r"neither a \.onnx nor a \.safetensors"):
        read_record(tmp_path / "x.pth")
