"""The README's tables are those that the committed figures give."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_tables_in_the_readme_are_made_from_the_committed_figures():
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "benchmarks" / "results_table.py")
    results_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(results_table)
    assert results_table.tables() in (ROOT / "README.md").read_text()


def test_the_pages_and_pictures_that_the_readme_links_exist():
    import re

    text = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert "docs/images/reach.png" in links
    assert not [link for link in links if not (ROOT / link).exists()]
