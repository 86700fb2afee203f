"""The top of the page: what was evaluated, what was found, the key figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jepa_ros.evaluation.offline_report import words
from jepa_ros.evaluation.offline_report.parts import Card
from jepa_ros.evaluation.offline_report.subject import Subject, subjects

TONES = ("bad", "note", "good")
HEADINGS = {"bad": "What is wrong", "note": "Worth knowing", "good": "What is good"}


@dataclass(frozen=True)
class Finding:
    """texts: what was found; several where one thing is to be done about all of them.  todo: what, "" for nothing.
    anchor, place: id and title of the section it links to, or ""."""

    texts: list[str]
    todo: str
    anchor: str
    place: str


def subtitle(result: dict) -> list[str]:
    """Facts for under the title."""
    bags = result.get("bags") or []
    seconds = sum(b.get("seconds") or 0 for b in bags)
    frames = sum(b.get("frames") or 0 for b in bags)
    facts = [
        words.plural(len(bags), "bag") if len(bags) != 1 else f"bag {words.shorten(bags[0].get('name'), 40)}"
    ]
    if seconds:
        facts.append(f"{words.duration(seconds)} recorded, {words.plural(frames, 'frame')}")
    for subject in subjects(result):
        facts.append(
            f"checkpoint {words.shorten(subject.name, 40)}"
            + (f" ({subject.letter})" if subject.letter else "")
        )
    return [*facts, words.date(result.get("created"))]


def findings(result: dict, titles: dict[str, str]) -> list[tuple[str, str, list[Finding]]]:
    """(tone, heading, findings), worst first. titles: anchors of the page's sections to their titles."""
    groups = []
    for tone in TONES:
        found: dict[object, Finding] = {}
        for i, f in enumerate(result.get("findings") or ()):
            if f.get("tone") != tone:
                continue
            todo, anchor = str(f.get("todo") or ""), f["anchor"] if f.get("anchor") in titles else ""
            same = found.setdefault(
                (todo, anchor) if todo else i, Finding([], todo, anchor, titles.get(anchor, ""))
            )
            same.texts.append(str(f.get("text", "")))
        if found:
            groups.append((tone, HEADINGS[tone], list(found.values())))
    return groups


def cards(result: dict) -> list[Card]:
    """The key figures; those that no checkpoint has are left out."""
    found = subjects(result)

    def of(name: str, *path: str) -> Callable[[Subject], float | None]:
        def value(subject: Subject) -> float | None:
            node = subject.measure(name)
            for key in path:
                node = (node or {}).get(key)
            return node

        return value

    def fixed(value: float | None) -> str:
        return words.fixed(value, 2)

    wanted = (
        ("Better than copying", of("prediction", "gain_over_copy"), words.percent, "one block ahead; 0\u00a0% knows no motion"),
        ("Owed to the actions", of("prediction", "action_gain"), words.percent, "0\u00a0%: it does not look at actions"),
        ("Rank of the recorded block", of("actions", "rank", "mean"), fixed, "0 is best, 0.5 is chance"),
        ("Planned and recorded agree", of("actions", "cosine", "mean"), fixed, "cosine; 1 is the same way, 0 unrelated"),
        ("Distance orders the way", of("goal_distance", "spearman_time", "mean"), fixed, "Spearman with time to go; 1 is best"),
        ("Surprising frames", of("surprise", "share_above"), words.percent, "above the threshold; about 1\u00a0% is normal"),
        ("Unlike training", of("health", "ood", "share_above"), words.percent, "frames above the threshold; about 1\u00a0% is normal"),
        ("Effective rank", of("health", "effective_rank"), words.number, "directions in use; 1 or 2 is a collapse"),
    )  # fmt: skip
    shown = [
        Card(title, tuple((s.letter, write(value(s))) for s in found), hint)
        for title, value, write, hint in wanted
        if any(value(s) is not None for s in found)
    ]
    return [*shown, *_run_cards(result, found)]


def _run_cards(result: dict, found: Sequence[Subject]) -> list[Card]:
    shown = []
    again = [(s, r) for s in found if (r := s.measure("reproduced")).get("plans")]
    if again:
        values = tuple(
            (s.letter, f"{words.count(r.get('bit_equal'))}/{words.count(r['plans'])}") for s, r in again
        )
        shown.append(
            Card("Plans reproduced", values, "recorded plans equal to the last bit when planned again")
        )
    bags = result.get("bags") or []
    if bags:
        problems = sum(
            p.get("severity") in ("error", "warning") for b in bags for p in b.get("problems") or ()
        )
        shown.append(
            Card("Data problems", (("", words.count(problems)),), "errors and warnings in the recordings")
        )
    speed = (result.get("speed") or {}).get("times_real_time")
    if speed is not None:
        shown.append(Card("Evaluated", (("", f"{words.number(speed)} ×"),), "as fast as it was recorded"))
    return shown
