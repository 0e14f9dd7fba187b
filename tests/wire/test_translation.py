"""The translation of other providers' objects, compared with a reading of their map path by path."""

import copy
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import DIALECTS
from batchfsm.snapshot import COUNT_FIELDS
from batchfsm.wire.translation import Translator
from support.dialects import DIALECTS as OPENAI_SHAPED
from support.other_providers import OBJECTS

PROVIDERS = {name: dialect for name, dialect in DIALECTS.items() if name not in OPENAI_SHAPED}


class Word(str, Enum):  # noqa: UP042  # SDKs declare it like this.
    """A member of an SDK's enumeration."""

    RUNNING = "RUNNING"


def plain(value):
    """Return the text of a member of an enumeration, and any other value as it is."""
    return value.value if isinstance(value, Word) else value


def leaves(found, paths, prefix=""):
    """Yield each value with its path; an object is entered if a path leads into it, and then null is no value."""
    for key, value in found.items():
        path = f"{prefix}{key}"
        if not any(each.startswith(f"{path}.") for each in paths):
            yield path, value
        elif isinstance(value, Mapping):
            yield from leaves(value, paths, f"{path}.")
        elif value is not None:
            yield path, value


def errors_of(value):
    """Return errors as a list; a text or an object is one entry."""
    if isinstance(value, Mapping):
        code = value.get("code")
        return [{**value, "code": str(code) if type(code) is int else code}]
    if isinstance(value, str):
        return [value] if value else None
    return value


def count_of(values, *, is_text):
    """Return the sum of some values, or the first one that is no count."""
    total = 0
    for value in values:
        number = value
        if is_text and isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            number = int(value)
        if type(number) is not int:
            return plain(number)
        total += number
    return total if values else None


def translated(found, dialect):
    """Translate an object path by path."""
    wire = dialect.wire
    counted = [path for paths in wire.counts.values() for path in paths]
    read = [path for paths in wire.fields.values() for path in paths] + counted
    paths = [*read, *wire.dropped]
    values = dict(leaves(found, paths))
    result = {path: value for path, value in values.items() if path not in paths}
    for name, spellings in wire.fields.items():
        given = [plain(values[path]) for path in spellings if values.get(path) is not None]
        is_one_key = len(spellings) == 1 and "." not in spellings[0]
        if given or not is_one_key or spellings[0] in values:
            agree = all(each == given[0] for each in given)
            result[name] = (given[0] if agree else tuple(given)) if given else None
    if any(path in values for path in counted):
        absent = 0 if wire.text_counts else None
        result["request_counts"] = {
            name: count_of([values.get(path, absent) for path in wire.counts.get(name, ())], is_text=wire.text_counts)
            for name in COUNT_FIELDS
        }
    result["errors"] = errors_of(result.get("errors"))
    status = result.get("status")
    word = dialect.canonical_status(status) if isinstance(status, str) else None
    return result | {name: None for name, statuses in wire.silent.items() if word in statuses}


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 9), st.text(max_size=2), st.just("9" * 20), st.just("7"),
    st.just(Word.RUNNING), st.just({}), st.just({"code": 3}), st.just([1]),
)  # fmt: skip
KEYS = st.sampled_from(["new", "status", "name", "errors", "state", "metadata", "endpoint", "a.b"])


def mutate(found, data):
    """Change, remove or add a value somewhere in an object; an inner object may become a mapping that is no dict."""
    key = data.draw(st.sampled_from(sorted(found)) | KEYS)
    inner = found.get(key)
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        mutate(inner, data)
        found[key] = MappingProxyType(inner) if data.draw(st.booleans()) else inner
    elif key in found and data.draw(st.booleans()):
        del found[key]
    else:
        found[key] = data.draw(VALUES)


@pytest.mark.parametrize("name", PROVIDERS)
@given(data=st.data())
def test_a_translation_equals_the_reading_path_by_path(name, data):
    """Values, types and unknown keys are the same, whatever is changed, removed or added."""
    dialect = PROVIDERS[name]
    translator = Translator(dialect.wire, dialect.canonical_status)
    for _ in range(3):  # The same keys again are translated by the same plan.
        found = copy.deepcopy(OBJECTS[name])
        for _ in range(data.draw(st.integers(0, 3))):
            if found:
                mutate(found, data)
        expected, actual = translated(found, dialect), translator.translate(found)

        assert expected == {"errors": None} | actual
        assert {key: type(value) for key, value in expected.items()} == {
            key: type(value) for key, value in ({"errors": None} | actual).items()
        }


def test_a_field_whose_spellings_are_all_null_is_null():
    found = copy.deepcopy(OBJECTS["gemini"]) | {"end_time": None}
    found["metadata"]["endTime"] = None
    dialect = PROVIDERS["gemini"]

    assert Translator(dialect.wire, dialect.canonical_status).translate(found)["ended_at"] is None
