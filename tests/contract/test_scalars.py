"""Single values: what each text means, what is refused, and that every value has one spelling that means it again."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from headway.contract import scalars
from headway.contract.mistake import Mistake
from headway.contract.quantities import (
    AMOUNT_MAX,
    DURATION_MAX_MS,
    FACTOR_MAX,
    Portion,
    Threshold,
    amount_of,
    duration_of,
    factor_of,
    portion_of,
    render_decimal,
    render_duration,
    share_of,
    threshold_of,
)


def code_of(parse: Callable[[str], object], text: str) -> str | None:
    """The code of the mistake that a parser sees in a text, None where it sees none; any other exception is ours."""
    try:
        parse(text)
    except Mistake as mistake:
        return mistake.code
    return None


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("100", 100_000_000),
        ("0.25", 250_000),
        (".5", 500_000),
        ("10k", 10_000_000_000),
        ("1.5M", 1_500_000_000_000),
        ("2 G", 2_000_000_000_000_000),
        ("2Ki", 2_048_000_000),
        ("1Mi", 1_048_576_000_000),
        ("1e3", 1_000_000_000),
        ("0.000001", 1),
        ("9007199254.740992", AMOUNT_MAX),
        ("000100", 100_000_000),
        ("+5", 5_000_000),
    ],
)
def test_an_amount_is_exact_to_a_millionth(text: str, micro: int) -> None:
    assert micro == amount_of(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("many", "HW130"),
        ("", "HW130"),
        ("1 2", "HW130"),
        ("0x10", "HW130"),
        ("1_000", "HW131"),
        ("10,000", "HW131"),
        ("10'000.5", "HW131"),
        (".nan", "HW132"),
        ("-.inf", "HW132"),
        ("Infinity", "HW132"),
        ("1e400", "HW133"),
        ("1e-400", "HW133"),
        ("9" * 500, "HW133"),
        ("9007199254.740993", "HW133"),
        ("10G", "HW133"),
        ("-1", "HW134"),
        ("0", "HW135"),
        ("0.0", "HW135"),
        ("0.0000001", "HW136"),
        ("5parsecs", "HW137"),
        ("10K", "HW137"),
        ("10kb", "HW137"),
        ("10T", "HW137"),
        ("500m", "HW138"),
        ("10%", "HW146"),
        ("١٢", "HW130"),
        ("1" * 60 + "parsecs", "HW130"),
    ],
)
def test_what_is_no_amount_says_which_mistake_it_is(text: str, code: str) -> None:
    with pytest.raises(Mistake) as caught:
        amount_of(text)

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("1.5s", 1_500),
        ("5m", 300_000),
        ("5min", 300_000),
        ("24h", 86_400_000),
        ("1h30m", 5_400_000),
        ("1d 2h", 93_600_000),
        ("2w", 1_209_600_000),
        ("3660d", DURATION_MAX_MS),
    ],
)
def test_a_duration_is_whole_milliseconds(text: str, ms: int) -> None:
    assert ms == duration_of(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("soon", "HW141"),
        ("5s ago", "HW141"),
        ("s5", "HW141"),
        ("5", "HW142"),
        ("1.5", "HW142"),
        ("5M", "HW143"),
        ("1h5M", "HW143"),
        ("5y", "HW137"),
        ("5us", "HW137"),
        ("-5s", "HW134"),
        ("-5", "HW134"),
        (".inf", "HW132"),
        ("0.5ms", "HW136"),
        ("3661d", "HW144"),
        ("9" * 70 + "s", "HW141"),
    ],
)
def test_what_is_no_duration_says_which_mistake_it_is(text: str, code: str) -> None:
    with pytest.raises(Mistake) as caught:
        duration_of(text)

    assert code == caught.value.code


def test_a_share_is_a_percentage_and_says_how_to_write_one() -> None:
    assert 600_000 == share_of("60%")
    assert 125_000 == share_of("12.5 %")

    with pytest.raises(Mistake) as caught:
        share_of("0.6")

    assert ("HW145", "write 60%") == (caught.value.code, caught.value.mend)


def test_a_factor_is_a_number_or_a_percentage() -> None:
    assert factor_of("0.25") == factor_of("25%") == 250_000
    assert 2_048_000_000 == factor_of("2Ki")


def test_a_portion_is_a_share_or_an_amount() -> None:
    assert Portion(share_ppm=400_000) == portion_of("40%")
    assert Portion(amount_micro=40_000_000) == portion_of("40")


@pytest.mark.parametrize(
    ("text", "kind", "micro"),
    [
        ("0.01", "number", 10_000),
        ("-5", "number", -5_000_000),
        ("0", "number", 0),
        ("10k", "number", 10_000_000_000),
        ("250ms", "duration", 250_000),
        ("1h30min", "duration", 5_400_000_000),
        ("110%", "percent", 1_100_000),
        ("5GiB", "bytes", 5 * 2**30 * 1_000_000),
        ("500B", "bytes", 500_000_000),
    ],
)
def test_a_threshold_keeps_its_kind_in_millionths_of_the_base_unit(text: str, kind: str, micro: int) -> None:
    """A query in seconds is compared with 250ms as 0.25, one in bytes with 5GiB as 5,368,709,120."""
    assert Threshold(kind, micro) == threshold_of(text)  # type: ignore[arg-type]


def test_500m_is_refused_as_a_threshold_because_it_could_be_minutes() -> None:
    with pytest.raises(Mistake) as caught:
        threshold_of("500m")

    assert ("HW138", "write 500ms, 500min or 0.5") == (caught.value.code, caught.value.mend)


@given(st.integers(min_value=1, max_value=AMOUNT_MAX))
def test_every_amount_has_a_spelling_that_means_it(micro: int) -> None:
    assert micro == amount_of(render_decimal(micro))
    assert Decimal(render_decimal(micro)) * 1_000_000 == micro


@given(st.integers(min_value=1, max_value=FACTOR_MAX))
def test_every_factor_has_a_spelling_that_means_it(ppm: int) -> None:
    adapter = TypeAdapter(scalars.Factor)
    if ppm <= AMOUNT_MAX:
        assert ppm == adapter.validate_python(str(adapter.dump_python(ppm)))


@given(st.integers(min_value=0, max_value=DURATION_MAX_MS))
def test_every_duration_has_a_spelling_that_means_it(ms: int) -> None:
    assert ms == duration_of(render_duration(ms))


@given(st.integers(min_value=0, max_value=1_000_000))
def test_every_share_has_a_spelling_that_means_it(ppm: int) -> None:
    adapter = TypeAdapter(scalars.Share)

    assert ppm == adapter.validate_python(adapter.dump_python(ppm))


@given(
    st.one_of(
        st.builds(Threshold, st.just("number"), st.integers(-AMOUNT_MAX, AMOUNT_MAX)),
        st.builds(Threshold, st.just("bytes"), st.integers(0, AMOUNT_MAX)),
        st.builds(Threshold, st.just("percent"), st.integers(0, AMOUNT_MAX)),
        st.builds(lambda ms: Threshold("duration", ms * 1_000), st.integers(0, DURATION_MAX_MS)),
    )
)
def test_every_threshold_has_a_spelling_that_means_it(threshold: Threshold) -> None:
    assert threshold == threshold_of(str(threshold))


@given(st.text(max_size=80))
def test_any_text_is_a_value_or_a_mistake(text: str) -> None:
    """No parser raises anything but a Mistake, whatever an author writes."""
    for parse in (amount_of, factor_of, share_of, portion_of, duration_of, threshold_of):
        assert (code_of(parse, text) or "HW1").startswith("HW1")


@given(st.text(alphabet="0123456789.,eE+-kMGi% smhd", max_size=24))
def test_any_text_that_looks_like_a_number_is_a_value_or_a_mistake(text: str) -> None:
    for parse in (amount_of, factor_of, share_of, portion_of, duration_of, threshold_of):
        assert (code_of(parse, text) or "HW1").startswith("HW1")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (scalars.Name, "orders-db", "Orders DB"),
        (scalars.Name, "a" * 63, "a" * 64),
        (scalars.StageName, "1687.5", "the big one"),
        (scalars.Text, "line\nbreak, é", "bell \x07"),
        (scalars.Text, "x" * 4096, "x" * 4097),
        (scalars.Secret, "env:PROM_TOKEN", "hunter2"),
        (scalars.Secret, "file:/run/secrets/x", "file:"),
        (scalars.Url, "https://prometheus.example:9090/base", "https://ana:pw@prometheus.example"),
        (scalars.Url, "http://127.0.0.1:9090", "ftp://x"),
        (scalars.Address, "127.0.0.1:7700", "127.0.0.1"),
        (scalars.Address, "[::1]:0", "[::1]:70000"),
        (scalars.Zone, "America/New_York", "../etc/passwd"),
        (scalars.Zone, "UTC", "Europe/Springfield"),
        (scalars.Flag, "true", "yes"),
        (scalars.Per, "day", "fortnight"),
        (scalars.Gates, {"max": "3"}, {"max": "0"}),
        (scalars.Hash, "a" * 64, "a" * 63),
    ],
)
def test_a_field_takes_what_it_is_for_and_refuses_the_rest(kind: Any, good: object, bad: object) -> None:
    adapter: TypeAdapter[object] = TypeAdapter(kind)

    adapter.validate_python(good)
    with pytest.raises(ValidationError):
        adapter.validate_python(bad)


@pytest.mark.parametrize(
    "text",
    [
        "https://wiki.example/orders-db",
        "http://wiki:8080",
        "https://wiki.example?page=7#load",
        "https://wiki.example/größe/(draft)",
        "https://[2001:db8::1]/x",
        "https://wiki.example/@ana",
        "https://wiki.example?mail=ana@shop.example",
    ],
)
def test_a_link_leads_to_a_web_page(text: str) -> None:
    """What a browser's address line shows may be pasted, umlauts, brackets and all."""
    assert text == TypeAdapter(scalars.Link).validate_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "javascript://wiki.example/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "mailto:ana@shop.example",
        "//wiki.example/x",
        "wiki.example/x",
        "https:wiki.example",
        "https://",
        "https:///x",
        "https://wiki.example/two words",
        "https://wiki.example\\@evil.example",
        'https://wiki.example/"onclick="alert(1)',
        "https://ana:hunter2@wiki.example/x",
        " https://wiki.example",
        "https://wiki.example/\x07bell",
        "https://wiki.example/\u202egnp.exe",
    ],
)
def test_a_link_runs_nothing_and_reveals_nothing(text: str) -> None:
    """Pages show links to be followed: a script, a local file or a password in one would be ours to answer for."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(scalars.Link).validate_python(text)

    assert "HW166" == caught.value.errors()[0]["type"]


def test_a_stage_is_required_by_name_and_a_level_by_number() -> None:
    adapter: TypeAdapter[object] = TypeAdapter(scalars.Requirement)

    assert "replica" == adapter.validate_python("replica")
    assert "2nd" == adapter.validate_python("2nd")
    assert {"": 80_000_000} == adapter.validate_python("80")
    assert {"tokens": 5_000_000} == adapter.validate_python({"tokens": "5"})
