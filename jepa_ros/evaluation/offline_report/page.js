// Draws the figures one after another, in the colours of the moment, and again where those change.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const darkColours = JSON.parse(document.getElementById("dark-colours").textContent);
  // A finger scrolls the page over a plot, a mouse zooms in it.
  const finger = matchMedia("(pointer: coarse)").matches;
  const figures = [...document.querySelectorAll("script.figure")].map((script) => ({
    place: script.parentNode.querySelector(".plot"),
    content: JSON.parse(script.textContent),
  }));

  function coloured(node) {
    if (typeof node === "string") return darkColours[node] || node;
    if (Array.isArray(node)) return typeof node[0] === "number" ? node : node.map(coloured);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, coloured(value)]));
  }

  async function draw({ place, content }) {
    const { data, layout } = dark.matches ? coloured(content) : structuredClone(content);
    const paper = getComputedStyle(document.body).getPropertyValue("--paper").trim();
    layout.hoverlabel = { bgcolor: paper, font: { color: layout.font.color } };
    for (const words of layout.annotations || []) words.bgcolor = paper + "c0";
    const narrow = place.clientWidth < 480;
    if (narrow) {
      layout.legend.font = { size: 11 };
      const entries = data.filter((trace) => trace.showlegend !== false && trace.name).length;
      place.style.height = `${270 + (entries > 1 ? 18 * entries : 0)}px`;
    }
    layout.dragmode = finger ? false : "zoom";
    const words = place.querySelector(".alt");
    if (words) words.remove();
    await Plotly.react(place, data, layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: finger ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: { filename: place.dataset.name, scale: 2 },
    });
  }

  let round = 0;
  async function drawAll() {
    const mine = ++round;
    document.documentElement.dataset.plots = "drawing";
    for (const figure of figures) {
      try {
        await draw(figure);
      } catch (error) {
        figure.place.textContent = figure.place.getAttribute("aria-label");
        console.error(figure.place.id, error);
      }
      await new Promise((resume) => setTimeout(resume));
      if (mine !== round) return;
    }
    document.documentElement.dataset.plots = "drawn";
  }
  dark.addEventListener("change", drawAll);
  drawAll();

  // The section being read is marked in the bar at the top.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const bar = document.querySelector("nav div");
  function mark() {
    const read = [...document.querySelectorAll("main > section")].filter((s) => s.getBoundingClientRect().top < 120);
    const here = links.get(read.length ? read[read.length - 1].id : "summary");
    for (const link of links.values()) link.classList.toggle("here", link === here);
    if (here) bar.scrollLeft = here.offsetLeft - bar.offsetLeft - bar.clientWidth / 3;
  }
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
})();
