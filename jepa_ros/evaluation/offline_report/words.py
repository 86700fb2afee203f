"""Figures as people read them; a dash where there is none."""

import math
from collections.abc import Iterable
from datetime import datetime

NOTHING = "–"


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent where that stays short: 0.0312, 12.3, 4,210, 3.1e-06."""
    if not _given(value):
        return NOTHING
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if exponent < -4 or exponent > 8:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def count(value: float | None) -> str:
    return f"{value:,.0f}" if _given(value) else NOTHING


def percent(share: float | None) -> str:
    """A share of 1 as "31 %", with a decimal where it is small."""
    if not _given(share):
        return NOTHING
    value = 100 * abs(share)
    text = f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"
    return f"{'−' if share < 0 else ''}{text}\u00a0%"


def signed(value: float | None) -> str:
    if not _given(value):
        return NOTHING
    return ("+" if value > 0 else "−" if value < 0 else "") + number(abs(value))


def fixed(value: float | None, decimals: int) -> str:
    return f"{value:.{decimals}f}" if _given(value) else NOTHING


def interval(pair: Iterable[float] | None) -> str:
    """(low, high) as "0.12 to 0.18"."""
    low, high = pair or (None, None)
    return f"{signed_or_plain(low)} to {signed_or_plain(high)}" if _given(low) and _given(high) else NOTHING


def signed_or_plain(value: float) -> str:
    return "−" + number(-value) if value < 0 else number(value)


def seconds(value: float | None) -> str:
    return f"{number(value)} s" if _given(value) else NOTHING


def duration(seconds: float | None) -> str:
    """ "48 s", "3 min 20 s", "1 h 05 min"."""
    if not _given(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def date(iso: str | None) -> str:
    try:
        return datetime.fromisoformat(iso).strftime("%-d %B %Y, %H:%M UTC")
    except (TypeError, ValueError):
        return str(iso or "")


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters; the middle gives way, because ends of bag names tell them apart."""
    text = str(text)
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def plural(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}" + ("" if amount == 1 else "s")


def _given(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
