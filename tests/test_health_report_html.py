"""The page of gradient health: what is in it, and how a browser takes it."""

from __future__ import annotations

import html
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from measured import budget, measured, prediction, verdicts

from fastgrad.health import Measurements, Verdict
from fastgrad.health.report import write

pytest.importorskip("matplotlib")

BROWSERS = (
    *("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable"),
)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Elements of a page, all of which must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    run = measured(3, 60, recurrent=1, times=12)
    time = Verdict(
        "time", "vanishing", "critical", "In time.", layer="0", time_step=3, first_step=50
    )
    write(path, run, (*verdicts(), time), prediction(), budget())
    return path


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text("utf-8"))


def test_links_lead_somewhere_and_names_are_unique(page):
    names = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(names) == len(set(names))
    targets = {attrs["href"].removeprefix("#") for attrs in page.all("a")}
    assert targets <= set(names)
    assert {"figure-time-0.l0", "figure-gradients", "tensor-0", "layer-0", "verdict-1"} <= targets


def test_nothing_is_asked_of_the_network(path, page):
    text = path.read_text("utf-8")
    assert not page.all("link")
    assert all("src" not in attrs for attrs in page.all("script"))
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for attrs in page.all("img"))
    assert not re.findall(r"https?://", text)
    assert "default-src 'none'" in page.all("meta")[1]["content"]


def test_the_page_can_be_read_without_pictures(page):
    assert all(len(attrs["alt"]) > 20 for attrs in page.all("img"))
    assert page.all("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(headings))
    for verdict in verdicts():
        assert verdict.severity in page.text
        assert verdict.cause in page.text


def test_predicted_and_measured_norms_are_a_table_of_their_own(page):
    rows = [attrs["id"] for attrs in page.all("tr") if attrs.get("id", "").startswith("expected-")]
    assert len(rows) == 6
    assert prediction().sentence in page.text
    run = measured(3, 60, recurrent=1, times=12)
    scale = run.delta_norms[0, -1]
    found = [10 * np.log10(n / scale / p) for n, p in zip(
        run.gradient_norms[0], prediction().gradient_norms.values(), strict=True)]  # fmt: skip
    far = sum(abs(z) > 3 for z in found)
    assert f"{far} of 6 more than 3" in page.text
    assert page.text.count("far above") + page.text.count("far below") == far
    for z in found:
        assert f"{z:+.1f}" in page.text


def test_text_is_escaped(tmp_path):
    nasty = '<script>alert("1")</script>&'
    run = measured(1, 2)
    names = Measurements(
        **{**vars(run), "tensors": (f"{nasty}.weight", "'\"><b>"), "layers": (nasty,)}
    )
    found = Verdict("r", "loss", "info", nasty, (nasty,), {nasty: 1.0}, nasty, f"{nasty}.weight")
    write(tmp_path / "page.html", names, [found], title=nasty)
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert len(page.all("script")) == 1
    assert not page.all("b")
    assert nasty in page.text


@pytest.mark.parametrize("bad", [False, True])
def test_values_to_point_at_are_the_measured_ones(bad, tmp_path):
    run = measured(3, 20, bad=bad)
    write(tmp_path / "page.html", run)
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    found = [json.loads(attrs["data-hover"]) for attrs in page.all("div") if "data-hover" in attrs]
    ratios = found[2]
    assert ratios["names"] == list(run.tensors)
    assert ratios["values"][2][3] == float(f"{run.update_ratios[3, 2]:.3g}")
    if bad:
        assert found[0]["values"][0][-1] == "nan"
    left, top, right, bottom = found[0]["box"]
    assert 0 < left < right <= 1
    assert 0 < top < bottom < 1


def test_a_page_of_nothing(tmp_path):
    write(tmp_path / "page.html", Measurements.empty(["0.weight"], [4], ["0"]))
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert "No findings." in page.text
    assert "No step has been measured." in page.text
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write(tmp_path / "none" / "page.html", measured())


def test_the_same_run_makes_the_same_page(tmp_path, path):
    for name in ("a", "b"):
        write(tmp_path / name, measured(2, 5), verdicts())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert path.stat().st_size < 1_000_000


def contrast(one, other):
    """Of two colours as "#rrggbb", by WCAG 2."""

    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("color", "ground"),
    [
        ("#1a1a1a", "#ffffff"),
        ("#0b4f8a", "#ffffff"),
        ("#444444", "#ffffff"),
        ("#ffffff", "#8a2a00"),
        ("#1a1a1a", "#ffe3a3"),
        ("#1a1a1a", "#f0f0f0"),
    ],
)
def test_text_stands_out(color, ground, path):
    text = re.sub(r"#([0-9a-f])([0-9a-f])([0-9a-f])\b", r"#\1\1\2\2\3\3", path.read_text("utf-8"))
    assert color in text
    assert ground in text
    assert contrast(color, ground) >= 4.5


WATCH = """<script>
window.errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.violatedDirective));
</script>"""
TRY = """<script>
addEventListener("load", () => {
const seen = {};
const rows = () => [...document.querySelectorAll("#tensor-0")[0].parentNode.rows].map((r) => r.id);
const button = document.querySelectorAll("table")[0].querySelectorAll("button")[2];
button.click(); seen.ascending = rows();
button.click(); seen.descending = rows();
seen.shown = [...document.querySelectorAll(".picture[data-hover]")].map((picture) => {
  const box = picture.getBoundingClientRect();
  // the middle of the axes
  const [left, top, right, bottom] = JSON.parse(picture.dataset.hover)?.box ?? [0, 0, 1, 1];
  const at = {
    clientX: box.left + box.width * (left + right) / 2,
    clientY: box.top + box.height * (top + bottom) / 2,
  };
  picture.dispatchEvent(new PointerEvent("pointermove", at));
  return picture.querySelector(".value")?.textContent ?? null;
});
seen.pictures = [...document.images].every((image) => image.complete && image.naturalWidth > 0);
seen.wide = document.documentElement.scrollWidth > innerWidth;
seen.errors = errors;
document.body.dataset.seen = JSON.stringify(seen);
});
</script>"""


def browsed(text, folder):
    """What the page looks like to a browser once its scripts have run."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    (folder / "page.html").write_text(text, "utf-8")
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"),
        *(f"--user-data-dir={folder}", "--virtual-time-budget=5000", "--dump-dom"),
    )
    command = [browser, *options, (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    return done.stdout, json.loads(html.unescape(found[1])) if found else None


def test_in_a_browser(path, tmp_path):
    text = path.read_text("utf-8")
    text = text.replace("<head>", "<head>" + WATCH, 1).replace("</body>", TRY + "</body>", 1)
    dom, seen = browsed(text, tmp_path)
    assert seen["errors"] == []
    assert seen["pictures"]
    assert not seen["wide"]
    for verdict in verdicts():
        assert html.escape(verdict.cause, quote=False) in dom
        assert f'<span class="severity">{verdict.severity}</span>' in dom
    norms = measured(3, 60, recurrent=1, times=12).gradient_norms[-1]
    order = [f"tensor-{i}" for i in norms.argsort()]
    assert seen["ascending"] == order
    assert seen["descending"] == order[::-1]
    loss, gradients, ratios, _, time, *_ = seen["shown"]
    assert re.fullmatch(r"loss, step (29|30): 1\.[0-9]+", loss)
    assert re.fullmatch(r"layer 1, step (29|30): 0\.[0-9]+", gradients)
    assert re.fullmatch(r"[0-2]\.(weight|bias), step (29|30): [0-9.e-]+", ratios)
    assert re.fullmatch(r"time step [56], step (39|40): [0-9.e-]+", time)


def test_an_error_of_a_script_would_be_seen(path, tmp_path):
    text = path.read_text("utf-8").replace("</main>", "</main><script>none.such</script>", 1)
    text = text.replace("<head>", "<head>" + WATCH, 1).replace("</body>", TRY + "</body>", 1)
    _, seen = browsed(text, tmp_path)
    assert len(seen["errors"]) == 1
    assert "none is not defined" in seen["errors"][0]
