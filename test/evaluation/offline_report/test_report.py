"""The page and the pictures: complete, escaped, bearing every missing measure, replacing their own."""

import base64
import copy
import html.parser
import json
import re

import numpy as np
import pytest
from PIL import Image

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.offline_report import summary
from jepa_ros.evaluation.offline_report.chart import PALETTE, Line, Points
from jepa_ros.evaluation.offline_report.html import dark_colours, figure_json
from jepa_ros.evaluation.offline_report.png import is_ours
from jepa_ros.evaluation.offline_report.report import HERE, data_uri, write_report
from jepa_ros.evaluation.offline_report.sections import sections


class Page(html.parser.HTMLParser):
    """tags: every start tag with its attributes.  words: the text a reader sees.  figures: of the plots."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.figures, self._in = [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self._in = "figure data" if attributes.get("class") == "figure" else tag

    def handle_data(self, data):
        if self._in == "figure data":
            self.figures.append(json.loads(data))
        elif self._in not in ("script", "style"):
            self.words.append(data)

    def handle_endtag(self, tag):
        self._in = ""

    def ids(self):
        return [a["id"] for _, a in self.tags if "id" in a]

    def plots(self):
        return [a["data-name"] for _, a in self.tags if "data-name" in a]


@pytest.fixture(scope="module")
def written(make_result, tmp_path_factory):
    """A report on one bag and one checkpoint: (path of the page, Page)."""
    path = write_report(tmp_path_factory.mktemp("report"), *make_result())
    return path, Page(path)


def charts_of(result, thumbnails=()):
    return {chart.name: chart for section in sections(result, thumbnails) for chart in section.charts}


def test_the_page_names_no_other_file_and_no_host(written):
    _, page = written
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    links = {a["href"][1:] for t, a in page.tags if t == "a"}
    assert links <= set(page.ids())


def test_the_page_tells_its_story_in_order(written):
    _, page = written
    wanted = ["summary", "prediction", "actions", "goal_distance", "landscapes", "surprise", "health"]
    wanted += ["timing", "problems", "reproduced", "formulas", "settings"]
    assert [i for i in page.ids() if i in wanted] == wanted
    text = " ".join(page.words)
    for word in (
        "What is wrong",
        "What is good",
        "To do:",
        "run_00",
        "reach_v2",
        "1754300044.100",
        "clock jump",
    ):
        assert word in text, word


def test_every_plot_of_the_page_lies_beside_it_as_a_picture(written):
    path, page = written
    pictures = sorted((path.parent / "plots").iterdir())
    assert (
        sorted(p.stem for p in pictures) == sorted(page.plots()) and len(page.figures) == len(pictures) == 14
    )
    for picture in pictures:
        pixels = np.asarray(Image.open(picture).convert("L"))
        assert pixels.shape[1] >= 900 and (pixels < 128).mean() > 0.002, picture.name
    assert not list(path.parent.rglob("*.partial"))


def test_figures_hold_what_was_measured(make_result):
    result, _ = make_result()
    figure = json.loads(figure_json(charts_of(result)["prediction"]))
    model = next(t for t in figure["data"] if t["name"] == "model")
    values = np.frombuffer(base64.b64decode(model["y"]["bdata"]), model["y"]["dtype"])
    np.testing.assert_allclose(values, result["checkpoints"][0]["measures"]["prediction"]["model"], rtol=1e-6)


def test_every_colour_of_a_figure_has_a_dark_one(make_result):
    result, _ = make_result(bags=2, checkpoints=2)
    known = dark_colours()
    for chart in charts_of(result).values():
        drawn = re.sub(
            r'"colorscale":\[\[.*?\]\]', "", figure_json(chart)
        )  # of a heatmap: the same on any ground
        found = re.findall(r'"(#[0-9a-f]{6}|rgba\([^)]*\))"', drawn)
        assert set(found) - {"#ffffff", "rgba(0,0,0,0)"} <= set(known), chart.name


def test_words_are_readable_on_their_ground():
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in (HERE / "page.css").read_text().split("@media (prefers-color-scheme: dark)")[:2]
    )
    for index, ground in enumerate((light, dark)):
        ink = PALETTE["ink"][index]
        for colour in (ink, ground["faint"], ground["link"]):
            for behind in ("paper", "panel"):
                assert contrast(colour, ground[behind]) >= 4.5, (colour, behind)
        for tone in ("good", "bad", "note"):
            assert contrast(ground[tone], ground[f"{tone}-bg"]) >= 4.5, (index, tone)
            assert contrast(ink, ground[f"{tone}-bg"]) >= 7
        for colour in (pair[index] for name, pair in PALETTE.items() if name != "grid"):
            assert contrast(colour, ground["paper"]) >= 2.6, (index, colour)


def contrast(one, other):
    """Of WCAG 2: 1 to 21."""

    def luminance(colour):
        share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_names_from_bags_are_text_and_nothing_else(make_result, make_hostile, tmp_path):
    result, thumbnails = make_result(bags=2, checkpoints=2)
    page = Page(write_report(tmp_path, make_hostile(result), thumbnails))
    assert not [a for _, a in page.tags if "onerror" in a]
    assert not [t for t, a in page.tags if t == "img" and not a["src"].startswith("data:image/")]
    assert result["bags"][0]["name"] + make_hostile("") in "".join(page.words)
    assert len(page.figures) == len(page.plots()) == len(list((tmp_path / "plots").iterdir()))
    assert "<img" not in json.dumps(page.figures)


def test_two_checkpoints_stand_side_by_side(make_result):
    result, _ = make_result(bags=2, checkpoints=2)
    found = charts_of(result)
    assert {"prediction_a", "prediction_b", "prediction_relative", "surprise_a", "surprise_b"} <= set(found)
    assert [s.name for s in found["action_cosine"].series] == [
        "A\u00a0·\u00a0reach_v2",
        "B\u00a0·\u00a0reach_v1",
    ]
    comparison = next(s for s in sections(result, ()) if s.anchor == "comparison")
    verdict, table = comparison.parts
    assert verdict.text == result["comparison"]["verdict"]
    assert [row[-1].text for row in table.rows] == ["A is better"] * 3 + ["no clear difference"]
    assert [whose for whose, _ in summary.cards(result)[0].values] == ["A", "B"]


def test_fifty_bags_stay_readable(make_result):
    result, _ = make_result(bags=50, episodes=3, frames=200)
    found = charts_of(result)
    for chart in found.values():
        assert len(chart.series) <= 8, chart.name
        for series in chart.series:
            if isinstance(series, Line | Points):
                assert np.isfinite(series.y).sum() <= 2000, chart.name
    assert "150 episodes" in found["goal_distance"].note
    assert re.search(r"of 30,000 frames are drawn", found["surprise"].note)
    drawn, measured = (
        found["surprise"].series[0].y,
        result["checkpoints"][0]["measures"]["surprise"]["series"],
    )
    assert np.nanmax(drawn) == max(max(track["surprise"]) for track in measured)
    timing = next(s for s in sections(result, ()) if s.anchor == "timing")
    assert [type(p).__name__ for p in timing.parts] == ["Plots", "Table", "Table", "Fold"]
    problems = next(s for s in sections(result, ()) if s.anchor == "problems")
    assert problems.parts[0].rows[-1][3].detail == "and 49 more bags"
    assert sum(len(figure_json(chart)) for chart in found.values()) < 500_000


def places(node, path=()):
    """Every place of a nested result, by the first item of each list."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node[:1]):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def test_every_figure_may_be_missing(make_result):
    result, thumbnails = make_result(bags=6, checkpoints=2, episodes=1, frames=20)
    tried = 0
    for path in places(result):
        if isinstance(path[-1], int):
            continue
        partial = copy.deepcopy(result)
        node = partial
        for key in path[:-1]:
            node = node[key]
        for broken in ("null", "gone"):
            node[path[-1]] = None
            if broken == "gone":
                del node[path[-1]]
            found = sections(partial, thumbnails)
            summary.findings(partial, {s.anchor: s.title for s in found})
            summary.cards(partial), summary.subtitle(partial)
            tried += 1
    assert tried > 250


def test_nothing_measured_still_makes_a_page(make_result, tmp_path):
    result, _ = make_result()
    for checkpoint in result["checkpoints"]:
        checkpoint["measures"] = dict.fromkeys(checkpoint["measures"])
    for bag in result["bags"]:
        bag |= {"stages": {}, "topics": [], "problems": []}
    result["findings"] = []
    page = Page(write_report(tmp_path, result, []))
    text = " ".join(page.words)
    assert page.figures == [] and text.count("Not measured in this run.") == 7 and "None found." in text


def test_an_empty_result_makes_a_page(tmp_path):
    assert "No bag was read." in " ".join(Page(write_report(tmp_path, {"format": 1}, [])).words)


def test_a_new_report_replaces_its_own_pictures_only(make_result, tmp_path):
    write_report(tmp_path, *make_result(checkpoints=2, frames=40))
    (tmp_path / "notes.txt").write_text("mine")
    Image.new("RGB", (4, 4)).save(tmp_path / "plots/mine.png")
    (tmp_path / "plots/broken.png").write_bytes(b"no picture")
    assert is_ours(tmp_path / "plots/prediction_a.png")
    path = write_report(tmp_path, *make_result(frames=40))
    names = {p.name for p in (tmp_path / "plots").iterdir()}
    assert {"mine.png", "broken.png"} <= names and "prediction.png" in names
    assert not {"prediction_a.png", "surprise_b.png"} & names
    assert (tmp_path / "notes.txt").read_text() == "mine" and path.is_file()


def test_the_same_result_makes_the_same_bytes(make_result, tmp_path):
    first, second = (write_report(tmp_path / n, *make_result(frames=40)).parent for n in "ab")
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(make_result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JepaError, match=r"cannot write the report to .*file/report: .*choose another folder"):
        write_report(tmp_path / "file/report", *make_result(frames=40))


def test_thumbnails_are_small_pictures_in_the_page():
    small, large = np.zeros((48, 64, 3), np.uint8), np.zeros((720, 1280, 3), np.uint8)
    assert data_uri(small).startswith("data:image/png;base64,")
    assert data_uri(large).startswith("data:image/jpeg;base64,") and len(data_uri(large)) < 20_000


def test_findings_are_worst_first_and_link_only_to_what_is_there():
    result = {
        "findings": [
            {"tone": "good", "text": "g", "todo": "", "anchor": "prediction"},
            {"tone": "bad", "text": "b", "todo": "do", "anchor": "nowhere"},
            {"tone": "bad", "text": "c", "todo": "do", "anchor": "nowhere"},
            {"tone": "good", "text": "h", "todo": "", "anchor": "prediction"},
        ]
    }
    (worst, _, bad), (best, _, good) = summary.findings(result, {"prediction": "Prediction"})
    assert (worst, best) == ("bad", "good")
    assert [(f.texts, f.todo, f.anchor) for f in bad] == [
        (["b", "c"], "do", "")
    ]  # one thing to do about both
    assert [(f.texts, f.anchor, f.place) for f in good] == [([t], "prediction", "Prediction") for t in "gh"]
