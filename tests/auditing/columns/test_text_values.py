"""Values of text: hashes, words, windows, times inside ids and times of observation, as plain Python reads them."""

import json
import math
from array import array
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import HASH_SEED, arrow_values, id_hashes, layout
from batchfsm.auditing.columns.json_rows import RowReader
from batchfsm.auditing.columns.text_values import WordTable, hash_bytes
from batchfsm.auditing.columns.tokenizer import PAD
from batchfsm.wire import TIME_MAX, parse_time
from support.columns import COLLIDING, PUBLIC_SEED, id_seconds, text_buffer, text_hash, window_seconds
from support.dialects import DIALECTS

READER = RowReader(DIALECTS["openai"])

# ---------------------------------------------------------------- hashes and words


@given(st.lists(st.binary(max_size=40), min_size=2, unique=True))
def test_hashes(texts):
    """Hashes equal those of plain Python at any offset, differ for different texts, and are never negative."""
    buffer, offsets = text_buffer([b"xyz", *texts])
    low, high = (arrow_values.hash_column(buffer, offsets, seed) for seed in (PUBLIC_SEED, HASH_SEED))

    assert (
        [text_hash(text, PUBLIC_SEED) for text in texts]
        == [*low[1:]]
        == [hash_bytes(text, PUBLIC_SEED) for text in texts]
    )
    assert [*map(text_hash, texts)] == [*high[1:]]
    assert (len(texts), len(texts)) == (len({*low[1:]}), len({*high[1:]}))
    assert min(*low, *high) >= 0


@given(st.text(st.characters()))
def test_hashes_of_ids(batch_id):
    """An id is hashed as UTF-8, and half a pair of surrogates as UTF-8 would write it."""
    text = batch_id.encode("utf-8", "surrogatepass")

    assert (text_hash(text, PUBLIC_SEED), text_hash(text, 7)) == id_hashes(batch_id, 7)


@given(st.lists(st.text("abc", min_size=1, max_size=4), unique=True, min_size=1), st.text("abc", max_size=4))
def test_words_are_known_by_their_bytes(known, asked):
    """A word of the table has its code, any other text has -1."""
    table = WordTable({word: code for code, word in enumerate(known)}, HASH_SEED)
    found = arrow_values.word_column(*text_buffer([asked.encode(), known[-1].encode()]), table)

    assert [known.index(asked) if asked in known else -1, len(known) - 1] == [*found]


def test_words_with_the_hash_of_another():
    """Words with equal hashes are distinguished by their bytes."""
    one, other = COLLIDING
    asked = text_buffer([one.encode(), other.encode()])

    assert text_hash(one.encode(), 0) == text_hash(other.encode(), 0)
    assert [5, -1] == [*arrow_values.word_column(*asked, WordTable({one: 5}, 0))]
    assert [5, 6] == [*arrow_values.word_column(*asked, WordTable({one: 5, other: 6}, 0))]


# ---------------------------------------------------------------- windows, times inside ids


@given(st.binary(max_size=12) | st.from_regex(rb"\A[0-9]{0,11}[smhdx]?\Z"))
@example(b"999999999d")
@example(b"1234567890s")
@example(b"\xd9\xa2h")
@example(b"h")
@example(b"/h")
@example(b":h")
def test_completion_windows(text):
    """Up to nine digits and a unit are seconds; nothing else is a window."""
    found = arrow_values.seconds_column(*text_buffer([b"9", text, b"9h"]), is_id=False)

    assert [layout.NULL, window_seconds(text.decode("latin-1")), 32_400] == [*found]


@given(st.from_regex(rb"\Abatch_[0-9a-f]{30}[0-9a-f/:`gG]{0,3}\Z") | st.binary(min_size=38, max_size=38))
@example(b"batch_" + b"f" * 32)
@example(b"batch_" + b"F" * 32)
@example(b"batcH_" + b"f" * 32)
@example(b"Batch_" + b"f" * 32)
@example(b"bAtch_" + b"f" * 32)
@example(b"baTch_" + b"f" * 32)
@example(b"batCh_" + b"f" * 32)
@example(b"batch-" + b"f" * 32)
def test_times_inside_ids(batch_id):
    """The first eight of 32 hexadecimal digits are Unix seconds; any other id has no time."""
    before, seconds = arrow_values.seconds_column(*text_buffer([b"batch_", batch_id]), is_id=True)

    assert (layout.NULL, id_seconds(batch_id.decode("latin-1"))) == (before, seconds)


# ---------------------------------------------------------------- times of observation


def read_time(text):
    """Return a text as a time of observation; None if it is left to the row engine."""
    decoded = bytearray(b"\1\1")
    first, found = arrow_values.time_column(*text_buffer([b"2024-01-01T00:00:00Z", text]), b"\1\1", decoded)

    assert (1_704_067_200.0, 1) == (first, decoded[0])
    assert bool(decoded[1]) == (found == found)  # noqa: PLR0124  # NaN is not itself.
    return found if decoded[1] else None


def read_line(observed_at):
    """Return the time of observation of a line, and whether the line is decoded."""
    batch = json.dumps({"id": "b", "status": "failed", "created_at": 1})
    line = f'{{"observed_at":{observed_at},"batch":{batch}}}\n'.encode()
    _, _, _, times, decoded, *_ = READER.read_lines(bytearray(line + b"\n" * PAD), True)
    return times[0], bool(decoded[0])


moments = st.datetimes(datetime(1969, 12, 31), datetime(2201, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, st.integers(-1439, 1439), st.sampled_from("Tt "), st.sampled_from("Zz+"), st.integers(0, 6))
@example(datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), 90, "T", "+", 6)
@example(datetime(2100, 12, 31, tzinfo=UTC), -90, "t", "+", 0)
@example(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 0, " ", "Z", 0)
@example(datetime(1969, 12, 31, 23, 59, 51, tzinfo=UTC), 60, "T", "+", 0)
@example(datetime(1970, 1, 1, tzinfo=UTC), 1, "T", "+", 0)
def test_text(moment, offset_min, separator, zone, places):
    """RFC 3339 text from 1970 to 2200 is read as the row engine reads it, to the bit; other text is not decoded."""
    if zone == "+":
        moment = moment.astimezone(timezone(timedelta(minutes=offset_min)))
    base, micros = moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S"), f"{moment.microsecond:06}"[:places]
    sign, minutes = "-" if offset_min < 0 else "+", abs(offset_min)
    text = (
        base
        + (f".{micros}" if micros else "")
        + (f"{sign}{minutes // 60:02}:{minutes % 60:02}" if zone == "+" else zone)
    )
    expected = parse_time(text)
    found = read_time(text.encode())

    assert found == (expected if 0 < expected <= TIME_MAX and 1970 <= moment.year <= 2200 else None)
    assert found is None or (found, True) == read_line(json.dumps(text))


@given(st.data())
def test_text_with_a_wrong_byte(data):
    """Columns read no time where the row engine reads none, and no byte outside the text."""
    text = bytearray(data.draw(st.sampled_from([b"2024-02-29T23:59:59.123456+23:59", b"2000-12-31t00:00:00Z", b"1970-01-01 00:00:00.5-00:00"])))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from(b"0123456789-+:.TZz /;@\xff")
        ).to_bytes()
    found = read_time(bytes(text))

    try:
        expected = parse_time(text.decode())
    except ValueError:
        expected = None
    assert found in (None, expected)


@pytest.mark.parametrize(
    "text",
    [
        "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2024-04-31T00:00:00Z",
        "2024-01-00T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00",
        "2024-01-01", "", "Z", "2024-01-01T00:00:00.1234567Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00.1", "2024/01/01T00:00:00Z",
        "2024-01-01X00:00:00Z", "2024-01-01T00:00:00+25:00", "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00+0000", "2024-01-01T00:00:00Zz",
        "2024-01-01T00:00:00 00:00", "2024-01-01T00.00:00Z", "2024-01-01T00:00.00Z", "2024-01.01T00:00:00Z", "2024-01-01T00:00:00+00:000",
        "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2201-01-01T00:00:00Z", "1970-01-01T00:00:51+00:01", "a024-01-01T00:00:00Z",
        "2024-12-31T23:60:59Z", "2024-12-31T23:59:60Z", "2024-12-31T23:5a:59Z", "2024-01-01T00:00:00-23:60", "9x70-01-01T00:00:00Z", "20x4-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_text_that_is_no_time_or_is_left_to_the_row_engine(text):
    """Text that is no time, or a time of an unusual form, is not decoded."""
    assert read_time(text.encode()) is None
    assert not read_line(json.dumps(text))[1]


@pytest.mark.parametrize("text", ["2000-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2023-02-28T00:00:00Z", *(f"2023-{month:02}-30T00:00:00Z" for month in range(3, 13)), *(f"2023-{month:02}-31T00:00:00Z" for month in (1, 3, 5, 7, 8, 10, 12))])  # fmt: skip
def test_the_last_days_of_months(text):
    """The last day of each month is read as the row engine reads it, in leap years too."""
    assert parse_time(text) == read_time(text.encode())


@given(st.floats(0.001, 2e11) | st.integers(-5, 2 * TIME_MAX) | st.decimals(0, 10**11, places=4).map(float))
def test_numbers(number):
    """A number is read to the bit or left to the row engine, and a whole one in range is read."""
    found, is_decoded = read_line(repr(number))

    assert not is_decoded or float(number) == found
    assert is_decoded or not (isinstance(number, int) and 0 < number <= TIME_MAX)


@pytest.mark.parametrize("number", ["0", "-1", "1e9", "1E9", "-1.5", "0.0", "100000000001", "1.0000000000000000", "1234567890123456", "true", "[]", "{}", '""', '"1"'])  # fmt: skip
def test_numbers_that_are_no_time_or_are_left_to_the_row_engine(number):
    """A line with a number that is no time, or has an exponent or over 15 digits, is not decoded."""
    assert not read_line(number)[1]


@pytest.mark.parametrize("number", ["1", "0.001", "99999999999.9999", "100000000000", "1711471533", "1711471533.25"])
def test_numbers_at_the_bounds(number):
    """The smallest and largest times are read as `float` reads them."""
    assert (float(number), True) == read_line(number)


def test_null_is_no_time():
    """Null is decoded as the absence of a time."""
    found, is_decoded = read_line("null")

    assert (True, True) == (math.isnan(found), is_decoded)


def test_texts_that_are_masked_are_not_read():
    """Where the mask is 0 the text is not read, and the row stays decoded."""
    decoded = bytearray(b"\1\1")
    times = arrow_values.time_column(*text_buffer([b"x", b"2024-01-01T00:00:00Z"]), b"\0\1", decoded)

    assert (True, 1_704_067_200.0, b"\1\1") == (math.isnan(times[0]), times[1], decoded)
    assert array("d") == arrow_values.time_column(*text_buffer([]), b"", bytearray())
