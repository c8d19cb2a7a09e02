# SPDX-License-Identifier: MIT
"""The report as a browser shows it, on a desk and on a phone."""

import html
import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from tsanomaly._cli import main

BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")),
    ),
    None,
)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium is installed to show the page in"
)

# Is appended to a copy of the page, and leaves there what it finds.
MEASURE = """<script>
addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const scrolls = (element) =>
    element && (/auto|scroll/.test(getComputedStyle(element).overflowX)
      || scrolls(element.parentElement));
  const name = (element) => element.outerHTML.slice(0, 60);
  const box = (element) => element.getBoundingClientRect();
  const page = document.documentElement;
  const found = {
    window_width: innerWidth,
    width: page.clientWidth,  // without the scroll bar
    content_width: page.scrollWidth,
    n_images: document.images.length,
    not_shown: all("img").filter((image) => !image.complete || !image.naturalWidth
      || !image.width).map(name),
    distorted: all("img").filter((image) => Math.abs(image.width / image.height
      / (image.naturalWidth / image.naturalHeight) - 1) > 0.02).map(name),
    // What is wide on purpose is in a box that scrolls by itself.
    sticking_out: all("body *").filter((element) => !scrolls(element.parentElement)
      && (box(element).left < 0 || box(element).right > page.clientWidth)).map(name),
    overlapping: all("body > *, section > *").filter((element) =>
      element.previousElementSibling && box(element).height
      && box(element).top < box(element.previousElementSibling).bottom - 1).map(name),
    requests: performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((address) => !address.startsWith("data:")),
  };
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script>"""

IN_ORDER = {
    "not_shown": [],
    "distorted": [],
    "sticking_out": [],
    "overlapping": [],
    "requests": [],
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with all its pictures, and names that are hard to place."""
    folder = tmp_path_factory.mktemp("report")
    results = ["--output-dir", str(folder)]
    options = ["--rows", "600", "--contamination", "0.1", "--no-plots"]
    assert main(["generate", *options, *results]) == 0
    readings = pd.read_csv(folder / "plant.csv")
    readings = readings.rename(columns={"sensor_2": f"press{'_in_between' * 6}"})
    # A name of one word, wider than a phone.
    file = folder / f"pump_station_3{'_readings' * 8}.csv"
    readings.to_csv(file, index=False)
    train = ["train", str(file), "--detector", "pca", "--no-plots"]
    assert main([*train, *results]) == 0
    model = str(folder / "model.skops")
    assert main(["report", model, str(file), "--quantile", "0.9", *results]) == 0
    return (folder / "report.html").read_text()


def show(text, width, folder):
    """What a browser without a network makes of a page."""
    file = folder / "page.html"
    file.write_text(text.replace("</html>", f"{MEASURE}</html>"))
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",  # which a container does not allow for
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={folder / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--window-size={width},900",
            "--virtual-time-budget=10000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search('<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-1000:] + done.stderr[-1000:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", [1280, 500])  # Chromium's windows are no narrower
def test_the_page_in_a_browser(width, page, tmp_path):
    found = show(page, width, tmp_path)
    assert found["window_width"] == width
    assert found["content_width"] == found["width"]
    assert found["n_images"] == page.count("<img ") == 10
    assert {key: found[key] for key in IN_ORDER} == IN_ORDER


def test_measuring_sees_a_broken_page(page, tmp_path):
    """None of the checks passes whatever the page looks like."""
    broken = page.replace("data:image/png;base64,", "data:image/png;base64,AAAA", 1)
    broken = broken.replace("<img ", '<img style="height: 900px" ', 2)
    broken = broken.replace(
        "</body>",
        '<p style="width: 2000px">wide</p><p style="margin-top: -99px">above it</p>'
        '<img src="http://example.com/x.png"></body>',
    )
    found = show(broken, 1280, tmp_path)
    assert found["content_width"] > found["width"]
    assert len(found["not_shown"]) == 2
    assert len(found["distorted"]) == 1
    assert [name[:3] for name in found["sticking_out"]] == ["<p "]
    assert ["above it" in name for name in found["overlapping"]] == [True]
    assert found["requests"] == ["http://example.com/x.png"]
