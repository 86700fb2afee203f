"""The tables of README, safety.md and results.md are those that the committed figures give."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def results_table(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("results_table")


def test_the_tables_in_the_readme_are_made_from_the_committed_figures(results_table):
    assert results_table.tables() in (ROOT / "README.md").read_text()


def test_the_safety_bars_are_made_from_the_committed_figures(results_table):
    assert results_table.safety_bars.table(results_table.RESULTS) in (ROOT / "docs" / "safety.md").read_text()


def test_counts_in_the_table_of_recording_are_those_of_the_files(results_table, monkeypatch):
    real, other = results_table.load, {"bag_cache.json": {"bags": 7}, "record_rate.json": {"seconds": 5.0}}
    monkeypatch.setattr(results_table, "load", lambda name: real(name) | other[name])
    table = "\n".join(results_table.recording_table())
    assert "| reading 7 bags," in table and "record_rate.py --seconds 5`" in table
    other["record_rate.json"]["command"] = "python benchmarks/record_rate.py --rate 5"
    assert results_table.recording_table()[0].startswith("`python benchmarks/record_rate.py --rate 5`, ")


def test_the_results_page_is_made_from_the_committed_figures(results_table):
    page = (ROOT / "docs" / "results.md").read_text()
    assert results_table.fill(page, results_table.results_page()) == page


def test_a_table_without_its_place_in_the_page_is_told(results_table):
    page = "a\n<!-- results of x: benchmarks/results_table.py --write -->\nold\n<!-- /results -->\nb\n"
    assert results_table.fill(page, {" of x": "new"}) == page.replace("old", "new")
    for name in (" of y", ""):
        with pytest.raises(ValueError, match="there is no"):
            results_table.fill(page, {name: "new"})


def test_a_bar_without_a_result_file_says_so(results_table, tmp_path):
    rows = results_table.safety_bars.table(tmp_path).splitlines()[2:]
    assert len(rows) == 6 and all("| not measured |  |" in row for row in rows)


def test_a_figure_beyond_its_bar_stays_as_it_is_and_says_no(results_table, tmp_path):
    fuzz = json.loads((results_table.RESULTS / "guard_fuzz.json").read_text())
    fuzz["found"] = ["seed 3: a command beyond a limit"]
    (tmp_path / "guard_fuzz.json").write_text(json.dumps(fuzz))
    row = results_table.safety_bars.table(tmp_path).splitlines()[4]
    assert "1 findings | **no** |" in row


@pytest.mark.parametrize(
    "page, one_of_them",
    [("README.md", "docs/images/reach.png"), ("docs/results.md", "results/shifts_reach.md")],
)
def test_the_pages_and_pictures_that_a_page_links_exist(page, one_of_them):
    import re

    links = [x for x in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()) if "://" not in x]
    assert one_of_them in links
    assert not [link for link in links if not ((ROOT / page).parent / link).exists()]
