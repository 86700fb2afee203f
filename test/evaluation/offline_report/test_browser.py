"""The report in a real headless Chromium, opened from a file, at desktop and phone width, light and dark."""

import shutil

import numpy as np
import pytest
from PIL import Image

from jepa_ros.evaluation.offline_report import png
from jepa_ros.evaluation.offline_report.report import write_report

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")

# Of every plot: its width and height, and the marks that plotly has drawn into it.
DRAWN = """() => [...document.querySelectorAll(".plot")].map((plot) => {
  const box = plot.querySelector("svg.main-svg")?.getBoundingClientRect();
  const marks = plot.querySelectorAll(".scatterlayer path, .barlayer path, .heatmaplayer image").length;
  const seen = plot.getBoundingClientRect();
  return {name: plot.dataset.name, width: box?.width, height: box?.height, marks, room: seen.width};
})"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (requirements/test.txt)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(make_result, make_hostile, tmp_path_factory):
    """Reports by name: one bag, two checkpoints on three bags, fifty bags, and one with hostile names."""
    made = {
        "one": make_result(),
        "two": make_result(bags=3, checkpoints=2, frames=120),
        "fifty": make_result(bags=50, episodes=3, frames=100),
        "hostile": make_result(bags=2, checkpoints=2, frames=60),
    }
    made["hostile"] = make_hostile(made["hostile"][0]), made["hostile"][1]
    folder = tmp_path_factory.mktemp("reports")
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # test_report.py looks at the pictures; here each is only counted
        patch.setattr(png, "write_png", lambda path, chart: path.touch())
        return {name: write_report(folder / name, *content) for name, content in made.items()}


class Visit:
    """One page opened in a context of its own; errors and requests are gathered from the first moment on."""

    def __init__(self, browser, path, size, scheme="light"):
        width, height = SIZES[size]
        phone = size == "phone"
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=phone, is_mobile=phone
        )
        self.page = self.context.new_page()
        self.errors, self.requests, self.path = [], [], path
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.errors.append(m.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def __enter__(self):
        self.page.goto(self.path.as_uri())
        self.drawn()
        return self

    def __exit__(self, *_):
        self.context.close()

    def drawn(self):
        self.page.wait_for_selector("html[data-plots=drawn]", state="attached", timeout=60_000)

    def fits(self):
        return self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    "name, size, scheme",
    [
        ("one", "desktop", "light"),
        ("two", "desktop", "dark"),
        ("two", "phone", "light"),
        ("fifty", "phone", "dark"),
        ("hostile", "phone", "light"),
    ],
)
def test_the_page_opens_whole(browser, reports, tmp_path, name, size, scheme):
    expected = len(list((reports[name].parent / "plots").iterdir()))
    with Visit(browser, reports[name], size, scheme) as visit:
        plots = visit.page.evaluate(DRAWN)
        visit.page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert visit.errors == []
        outside = [u for u in visit.requests if not u.startswith(("file:", "data:", "blob:"))]
        assert outside == [] and [u for u in visit.requests if u.startswith("file:")] == [
            reports[name].as_uri()
        ]
        assert len(plots) == expected >= 14
        for plot in plots:
            assert plot["width"] > 200 and plot["height"] > 200 and plot["marks"] > 0, plot
            assert plot["width"] <= plot["room"] + 1, plot
        assert visit.fits()
        assert visit.page.evaluate("window.hacked") is None
        # Tables that are folded away need room of their own when opened.
        visit.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert visit.fits()
        assert visit.errors == []
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    assert pixels.shape[0] > 5000
    assert (np.median(pixels) > 200) == (scheme == "light") and pixels.std() > 15


def test_plots_follow_the_window(browser, reports):
    with Visit(browser, reports["one"], "desktop") as visit:
        before = visit.page.evaluate(DRAWN)
        visit.page.set_viewport_size({"width": 600, "height": 800})
        visit.page.wait_for_function(
            "[...document.querySelectorAll('.plot')].every((p) =>"
            " p.querySelector('svg.main-svg').getBoundingClientRect().width <= p.clientWidth + 1)",
            timeout=20_000,
        )
        assert visit.fits() and visit.errors == []
        after = visit.page.evaluate(DRAWN)
        assert max(p["width"] for p in after) < 600 < max(p["width"] for p in before)


def test_colours_follow_the_scheme(browser, reports):
    colour = (
        "document.querySelector('#plot-prediction .scatterlayer .trace:last-child path.js-line').style.stroke"
    )
    with Visit(browser, reports["one"], "desktop", "light") as visit:
        light = visit.page.evaluate(colour)
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_function(f"{colour} !== {light!r}", timeout=20_000)
        visit.drawn()
        assert (light, visit.page.evaluate(colour)) == ("rgb(0, 114, 178)", "rgb(77, 163, 224)")
        assert visit.errors == []


def test_links_of_findings_lead_to_their_section(browser, reports):
    with Visit(browser, reports["one"], "desktop") as visit:
        visit.page.click(".findings.bad a >> nth=0")
        visit.page.wait_for_function(
            "Math.abs(document.getElementById('surprise').getBoundingClientRect().top - 64) < 8",
            timeout=20_000,
        )
        visit.page.wait_for_selector("nav a.here[href='#surprise']", timeout=20_000)


def test_hovering_shows_the_stamp_of_a_frame(browser, reports):
    with Visit(browser, reports["one"], "desktop") as visit:
        plot = visit.page.locator("#plot-surprise")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        visit.page.wait_for_selector("#plot-surprise .hoverlayer :text('stamp 17543000')", timeout=20_000)


def test_a_finger_scrolls_the_page_over_a_plot(browser, reports):
    with Visit(browser, reports["one"], "phone") as visit:
        page = visit.page
        page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        page.evaluate("document.getElementById('plot-prediction').scrollIntoView({block: 'center'})")
        before, box = page.evaluate("scrollY"), page.locator("#plot-prediction").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = visit.context.new_cdp_session(page)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 16):
            moved = [{"x": x, "y": y - 12 * step}]
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": moved})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_function(f"scrollY > {before} + 100", timeout=20_000)
