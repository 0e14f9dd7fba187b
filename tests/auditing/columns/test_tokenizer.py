"""The tokenizer of JSON, compiled or not, against Python's `json`."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import HASH_SEED, tokenizer
from batchfsm.auditing.columns.text_values import WordTable
from batchfsm.auditing.columns.tokenizer import CODES_MAX, INVALID, tokens

KEYS = {"a": 0, "b": CODES_MAX - 1, "c": CODES_MAX, "d": CODES_MAX}
"""Known keys with their codes; two of them share one."""
WORDS_OF_KEYS = WordTable(KEYS, HASH_SEED)
WORDS = {tokenizer.TRUE: (b"true", True), tokenizer.FALSE: (b"false", False), tokenizer.NULL: (b"null", None)}


def unique_keys(pairs):
    """Return the object of some pairs; raise ValueError for a repeated key."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


class _Value:
    """A reader of the value that a list of tokens represents."""

    def __init__(self, text, found):
        self.text, self.found, self.at = text, found, 0

    def read(self):
        """Return the value of the next token, and of those inside it."""
        kind, start, end, value = self.found[self.at]
        self.at += 1
        spelled = self.text[start:end]
        if kind in (tokenizer.OBJECT, tokenizer.LIST):
            assert ("{" if kind == tokenizer.OBJECT else "[") == chr(spelled[0])
            read = {} if kind == tokenizer.OBJECT else []
            while self.at < value:
                if kind == tokenizer.OBJECT:
                    key = self.read_key()
                    assert key not in read
                    read[key] = self.read()
                else:
                    read.append(self.read())
            assert self.at == value
            return read
        if kind in WORDS:
            assert WORDS[kind][0] == spelled
            return WORDS[kind][1]
        if kind in (tokenizer.INTEGER, tokenizer.NUMBER):
            assert (kind == tokenizer.INTEGER) == bool(re.fullmatch(rb"-?\d{1,17}", spelled))
            if kind == tokenizer.INTEGER:
                assert int(spelled) == value
            return json.loads(spelled)
        is_escaped = b"\\" in spelled
        assert kind == (
            tokenizer.ESCAPED_TEXT if is_escaped else tokenizer.TEXT if spelled.isascii() else tokenizer.UTF8_TEXT
        )
        return json.loads(self.text[start - 1 : end + 1])

    def read_key(self):
        """Return the key of the next token."""
        kind, start, end, value = self.found[self.at]
        self.at += 1
        assert tokenizer.KEY == kind
        assert value == KEYS.get(self.text[start:end].decode("ascii"), -1)
        assert b'""' == self.text[start - 1 : start] + self.text[end : end + 1]
        return self.text[start:end].decode("ascii")


def check(text):
    """Tokenize bytes and compare with `json`; return the offset where the value ends, or INVALID."""
    (end, found), again = tokens([text, text], WORDS_OF_KEYS)
    if b"\n" not in text:
        assert again == (end, found)
    if end != INVALID:
        expected = json.loads(text[:end], object_pairs_hook=unique_keys)
        value = _Value(text, found)

        assert repr(expected) == repr(value.read())
        assert len(found) == value.at
        assert [token[1] for token in found] == sorted(token[1] for token in found)
    return end


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
plain_texts = st.text(st.characters(blacklist_categories=["Cs"]))
simple_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**99), 10**99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdefghij_. {[\x7f", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
spaces = st.sampled_from([(None, None), (None, (",", ":")), (1, None), (None, (" ,\t", " : \r"))])


def spelled(value, space, *, is_ascii):
    """Return a value as JSON on one line."""
    indent, separators = space
    return json.dumps(value, ensure_ascii=is_ascii, indent=indent, separators=separators).replace("\n", " ")


@given(values, spaces, st.booleans())
def test_what_it_accepts_is_what_json_reads(value, space, is_ascii):
    """Kinds, spans and values of the tokens represent the value; a value is accepted whole or not at all."""
    text = spelled(value, space, is_ascii=is_ascii).encode("utf-8", "surrogatepass")
    is_utf8 = not re.search(b"\xed[\xa0-\xbf]", text)

    assert not is_utf8 or check(text) in (len(text), INVALID)


@given(simple_values, spaces)
def test_what_is_simple_is_accepted(value, space):
    """Texts, numbers of up to 100 digits, words and ASCII keys are accepted."""
    text = spelled(value, space, is_ascii=False).encode()

    assert len(text) == check(text)


@given(plain_texts.filter(lambda text: max(text, default="") < "\U00010000"))
@example('"\\/\b\f\n\r\t')
def test_escapes_are_accepted_but_for_surrogates(text):
    """A text of the first 65,536 characters is accepted however it is escaped."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in text)

    for spelling in (json.dumps(text), f'"{escaped}"', f'"{escaped.upper()}"'.replace("\\U", "\\u")):
        assert len(spelling) == check(spelling.encode())


PIECES = ["{", "}", "[", "]", '"', ",", ":", "\\", "\\u", " ", "\t", "\n", "\r", "0", "1", "12", ".", "e", "E", "+", "-", "true", "false", "null", "tru", "NaN", "a", '"a"', '"b":', '"a":', "é", "\x00", "\x1f", "\x7f", "\ufeff", "dead", "\\ud83d", "\\n", "\\x"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
@example("1e5")
@example("1E-5")
@example("1.5e+5")
@example("[true,false,null]")
@example('{"a":1,}')
@example("[1,]")
@example('{"a":1 "b":2}')
@example("01")
@example("-01")
@example("1.")
@example("1e")
@example("1e+")
@example("-")
@example("-0")
@example('"\\u12"')
@example('"\\x"')
@example("tru")
@example("fals")
@example("nul")
@example("[")
@example('{"a"}')
@example('{"a" 1}')
@example("{1:2}")
@example('{"a":1,"a":1}')
@example('{"a":{"a":1},"b":[{"a":2}]}')
@example('{"\\u0061":1}')
@example('{"é":1}')
@example('"\\ud83d\\ude00"')
@example("[1}")
@example('{"a":1]')
def test_it_accepts_nothing_that_json_rejects(text):
    """Accepted text is JSON, and its tokens represent the value that `json` reads."""
    check(text.encode())


REFUSED = [
    "", "x", "tru", "nul", "fals", "truE", "nulL", "falsE", "fAlse", "-", "+1", "01", "1.", "1e", "1e+", ".5", "-x", "NaN", "Infinity", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{", '{"a"', '{"a"}', '{"a" 1}', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{"a":1]', "{1:2}", "{a:1}", "{'a':1}", '"', '"a', '"\\', '"\\x"', '"\\u12"', '"\\u123g"', '"\t"', '"\x00"', "\ufeff1",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_json(text):
    """Text that `json` rejects is invalid."""
    with pytest.raises(ValueError, match=r".|^$"):
        json.loads(text, parse_constant=int)
    assert INVALID == check(text.encode())


LEFT = {
    "a key that stands twice": '{"a":1,"a":1}',
    "a key with an escape": '{"\\u0061":1}',
    "a key beyond ASCII": '{"é":1}',
    "a pair of surrogates": '"\\ud83d\\ude00"',
    "half a pair": '"\\ud83d"',
    "an integer of 101 digits": "1" * 101,
    "a fraction of 101 digits": "1." + "1" * 101,
    "an exponent of 101 digits": "1e" + "0" * 100 + "1",
    "17 levels": "[" * 17 + "]" * 17,
    "17 levels of objects": '{"a":' * 17 + "1" + "}" * 17,
    "65 keys": "{" + ",".join(f'"{number}":1' for number in range(65)) + "}",
    "65 open keys": '{"x":{"y":' + "{" + ",".join(f'"{number}":1' for number in range(63)) + "}}}",
    "1,025 tokens": "[" + ",".join("1" * 1024) + "]",
    "1,025 tokens, the last a list": "[" + ",".join("1" * 1023) + ",[]]",
    "1,025 tokens, the last a text": "[" + ",".join("1" * 1023) + ',"a"]',
    "1,025 tokens, the last null": "[" + ",".join("1" * 1023) + ",null]",
    "1,025 tokens, the last true": "[" + ",".join("1" * 1023) + ",true]",
    "1,025 tokens, the last false": "[" + ",".join("1" * 1023) + ",false]",
}
"""JSON that the tokenizer leaves to the row engine, by the reason."""


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_to_the_row_engine(name):
    """JSON beyond the limits, or with keys and texts of unusual forms, is invalid."""
    text = LEFT[name]
    json.loads(text)

    assert INVALID == check(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "[" * 16 + "]" * 16,
        "{" + ",".join(f'"{number}":1' for number in range(64)) + "}",
        "[{" + "},{".join(f'"{number}":1' for number in range(200)) + "}]",
        "[" + ",".join("1" * 1023) + "]",
        "1" * 100,
        "-" + "1" * 100,
        "1." + "1" * 100,
        "1e" + "0" * 99 + "1",
        "-12345678901234567",
        "123456789012345678",
    ],
    ids=["levels", "keys", "keys of many objects", "tokens", "digits", "negative", "fraction", "exponent", "17", "18"],
)  # fmt: skip
def test_what_is_just_within_the_limits(text):
    """JSON at the limits is accepted."""
    assert len(text) == check(text.encode())


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "ab", "id"]), max_size=5), min_size=2, max_size=6))
@example([["a", "b"], ["a", "a"]])
@example([["a", "e"], ["a", "e"], ["e", "e"]])
@example([["e", "a"], ["b"], ["b", "a"], ["a", "a"]])
@example([["c", "d"], ["c", "d"], ["c", "c"]])
def test_keys_that_texts_before_had(objects):
    """An object is read alike whichever keys stood at its places before; a key that stands twice is noticed."""
    members = [[f'"{key}": [{{"{key}":1}}]' for key in keys] for keys in objects]
    texts = ["{{{}}}".format(",".join(each)).encode() for each in members]

    found = tokens(texts, WORDS_OF_KEYS)

    assert [len(text) if len({*keys}) == len(keys) else INVALID for text, keys in zip(texts, objects, strict=True)] == [
        end for end, _ in found
    ]
    assert [tokens([text], WORDS_OF_KEYS)[0] for text in texts] == found


def test_a_key_that_breaks_off_where_the_same_key_stood():
    """The bytes behind the end of the text are not compared."""
    assert [7, INVALID] == [end for end, _ in tokens([b'{"a":1}', b'{"a'], WORDS_OF_KEYS)]
    long = b'{"' + b"k" * 40 + b'":1}'
    assert [len(long), INVALID] == [end for end, _ in tokens([long, b'{"kk'], WORDS_OF_KEYS)]


@pytest.mark.parametrize("byte", range(256))
def test_any_byte_in_a_text(byte):
    """A quote ends a text; backslashes and control bytes make it invalid; other bytes belong to it."""
    ends = set()
    for place in range(17):
        text = bytearray(b'"' + b"a" * 17 + b'"')
        text[place + 1] = byte
        found = tokens([bytes(text)], WORDS_OF_KEYS)[0][0]
        ends.add("end" if found == len(text) else "place" if found == place + 2 else found)

    assert ends == {"place" if byte == ord('"') else INVALID if byte < 32 or byte == ord("\\") else "end"}
