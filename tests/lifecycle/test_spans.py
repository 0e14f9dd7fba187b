"""Durations are numbers of seconds, or text with units."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from batchfsm.spans import parse_span


@pytest.mark.parametrize(
    "span, expected",
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("90", 90), ("2.5", 2.5), (1.5, 1.5), (0, 0)],
)
def test_a_span_is_seconds_or_text(span, expected):
    """Several units may be combined; a number without a unit is in seconds."""
    assert expected == parse_span(span)


@pytest.mark.parametrize(
    "span",
    [
        "",
        "h",
        "1h 30m",
        "-5s",
        "-5",
        "5x",
        "\u0663s",
        "1.5h",
        "nan",
        "1e3",
        "1h30",
        None,
        ["1h"],
        True,
        Decimal(5),
        timedelta(minutes=5),
    ],
)
def test_a_span_that_cannot_be_read_is_refused(span):
    """The error describes the accepted forms."""
    with pytest.raises(ValueError, match=re.escape(f"{span!r} is no span of time; write 90, 90s, 5m, 1h30m or 2d")):
        parse_span(span)


@pytest.mark.parametrize("span", [-1, float("nan")])
def test_a_negative_span_is_refused(span):
    """A negative number and NaN are refused."""
    with pytest.raises(ValueError, match=f"a span of time is not negative: {span}"):
        parse_span(span)
