"""What the figures mean, in plain words: what is good, what is wrong, what to do. Every threshold stands here."""

from collections.abc import Iterator

GOOD, BAD, NOTE = "good", "bad", "note"
SLOW_MS = 300.0


def findings(result: dict) -> list[dict]:
    """tone, text, todo, anchor (the section that shows it) for the recordings and for every checkpoint."""
    found = list(_recordings(result["bags"]))
    several = len(result["checkpoints"]) > 1
    for checkpoint in result["checkpoints"]:
        prefix = f"{checkpoint['name']}: " if several else ""
        for tone, text, todo, anchor in _checkpoint(checkpoint["measures"]):
            found.append((tone, prefix + text if several else text[0].upper() + text[1:], todo, anchor))
    return [dict(zip(("tone", "text", "todo", "anchor"), row, strict=True)) for row in found]


def _recordings(bags: list[dict]) -> Iterator[tuple[str, str, str, str]]:
    errors = [(b["name"], p) for b in bags for p in b["problems"] if p["severity"] == "error"]
    for name, problem in errors[:5]:
        where = f"{name} {problem['topic']}".strip()
        yield BAD, f"{where}: {problem['text']}", "Correct the recording, or leave this bag out.", "problems"
    if len(errors) > 5:
        yield BAD, f"{len(errors) - 5} further errors in the recordings.", "See the table.", "problems"
    warnings = [p for b in bags for p in b["problems"] if p["severity"] == "warning"]
    if warnings:
        kinds = ", ".join(sorted({p["kind"] for p in warnings}))
        yield (
            NOTE,
            f"{count(len(warnings), 'problem')} in the recorded data: {kinds}.",
            "See the table of data problems.",
            "problems",
        )
    elif not errors:
        yield GOOD, "No problem was found in the recorded data.", "", "problems"
    missed = {b["name"]: b["deadline_misses"] for b in bags if b["deadline_misses"]}
    if missed:
        yield (
            BAD,
            f"{count(sum(missed.values()), 'plan')} ended at the deadline, with fewer iterations, in "
            f"{count(len(missed), 'bag')}.",
            "Raise deadline_s, lower samples or iterations, or free the processor.",
            "timing",
        )
    slow = [b for b in bags if b["stages"].get("image_to_command_ms", {"p95": 0})["p95"] > SLOW_MS]
    if slow:
        worst = max(b["stages"]["image_to_command_ms"]["p95"] for b in slow)
        text = f"from image to command it took up to {worst:.0f} ms (95th percentile) in {count(len(slow), 'bag')}."
        yield BAD, text.capitalize(), "Look at the stages: which of them takes the time?", "timing"


def count(number: int, what: str) -> str:
    """ "1 plan", "2 plans"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _checkpoint(m: dict) -> Iterator[tuple[str, str, str, str]]:
    yield from _prediction(m["prediction"])
    yield from _actions(m["actions"])
    yield from _distance(m["goal_distance"])
    yield from _surprise(m["surprise"])
    yield from _health(m["health"])
    again = m["reproduced"]
    if again and again["plans"]:
        if again["bit_equal"] == again["plans"] and again["embeddings_bit_equal"] == again["embeddings"]:
            text = f"{count(again['plans'], 'recorded plan')} planned again, every one equal to the last bit."
            yield GOOD, text, "", "reproduced"
        else:
            text = f"{again['bit_equal']} of {again['plans']} recorded plans came out again bit for bit; {again['note']}."
            yield (
                NOTE,
                text,
                "Plans differ after deadline misses, other settings or another machine.",
                "reproduced",
            )
    elif again and again["note"]:
        yield NOTE, f"{again['note']}.", "", "reproduced"


def _prediction(p: dict | None) -> Iterator[tuple[str, str, str, str]]:
    if p is None:
        text = "no episode is long enough to predict from."
        yield BAD, text, "Record longer runs without gaps; see the data problems.", "prediction"
        return
    gain, blind = p["gain_over_copy"], p["action_gain"]
    if gain is not None and gain >= 0.3:
        yield (
            GOOD,
            f"one block ahead its error is {100 * gain:.0f} % below that of copying the last frame.",
            "",
            "prediction",
        )
    elif gain is not None:
        yield (
            BAD,
            f"one block ahead its error is {1 - gain:.2f} times that of copying the last frame.",
            "Does the arm move in this recording? Is the camera the one of training? Else train on bags like this.",
            "prediction",
        )
    if blind is not None and blind >= 0.3:
        yield (
            GOOD,
            f"it uses the actions: with shuffled ones its error is {1 / (1 - blind):.1f} times as large.",
            "",
            "prediction",
        )
    elif blind is not None:
        yield (
            BAD,
            f"it hardly looks at the actions: shuffling them makes the error only {1 / max(1 - blind, 1e-9):.2f} times as large.",
            "Check the command topic, the joint order and the clocks; else train with more varied motion.",
            "prediction",
        )


def _actions(a: dict | None) -> Iterator[tuple[str, str, str, str]]:
    if a is None:
        return
    rank = a["rank"]["mean"]
    if rank is None:
        yield (
            NOTE,
            "the recorded arm hardly moves: planned and recorded actions cannot be compared.",
            "",
            "actions",
        )
        return
    text = f"the recorded block ranks at {rank:.2f} among {a['rank']['candidates']} random ones (0 best, 0.5 chance)"
    if rank <= 0.2:
        yield GOOD, f"{text}: the energy knows what was done.", "", "actions"
    elif rank >= 0.4:
        todo = "Expected where the recorded motion had no purpose; else the energy does not lead there."
        yield (BAD if rank >= 0.45 else NOTE), f"{text}.", todo, "actions"
    cosine = a["cosine"]["median"]
    if cosine is not None and cosine < 0.3:
        text = f"planned and recorded motion agree little (median cosine {cosine:.2f})."
        yield (
            NOTE,
            text,
            "Another way may be as good: look at goal distance and landscapes before you worry.",
            "actions",
        )


def _distance(g: dict | None) -> Iterator[tuple[str, str, str, str]]:
    if g is None:
        return
    truth = g["spearman_distance"]
    if truth is not None:
        value, words = truth["mean"], "the end effector's true distance"
    elif g["spearman_time"] is not None:
        value, words = g["spearman_time"]["mean"], "the time to go"
    else:
        return
    if value >= 0.8:
        yield GOOD, f"latent distance follows {words} (Spearman {value:.2f}).", "", "goal_distance"
    elif value < 0.5:
        todo = "Look at the episodes that are hardest; far goals may need sub-goals."
        yield BAD, f"latent distance says little about {words} (Spearman {value:.2f}).", todo, "goal_distance"


def _surprise(s: dict | None) -> Iterator[tuple[str, str, str, str]]:
    if s is None:
        return
    if s["threshold"] is None:
        todo = "Run `jepa calibrate --checkpoint CKPT --bags BAGS` with the bags of its training."
        yield (
            NOTE,
            "the checkpoint has no calibration: what is surprising is judged by this recording alone.",
            todo,
            "surprise",
        )
        return
    share = s["share_above"]
    text = f"{100 * share:.1f} % of the frames surprise it (1 % on frames held out of training)"
    if share > 0.05:
        yield (
            BAD,
            f"{text}.",
            "Look at the frames below: light, camera, contact, or a delay between camera and joints?",
            "surprise",
        )
    elif share <= 0.02:
        yield GOOD, f"{text}.", "", "surprise"
    else:
        yield NOTE, f"{text}.", "Look at the frames below.", "surprise"


def _health(h: dict) -> Iterator[tuple[str, str, str, str]]:
    if h["effective_rank"] < 2:
        text = f"its latents use {h['effective_rank']:.1f} directions of {h['dim']}: collapsed, or nothing happens in view."
        yield BAD, text, "Compare with the rank in training; check that the images differ.", "health"
    ood = h["ood"]
    if ood is None:
        return
    text = f"{100 * ood['share_above']:.1f} % of the frames look unlike training (1 % is normal)"
    if ood["share_above"] > 0.1:
        todo = "Compare the camera's pose, light and colours with the checkpoint's reference view; or train on these bags."
        yield BAD, f"{text}.", todo, "health"
    elif ood["share_above"] <= 0.03:
        yield GOOD, f"{text}.", "", "health"
    else:
        yield NOTE, f"{text}.", "Look when they occur.", "health"
