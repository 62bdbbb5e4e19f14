"""The report in a real browser: sorting works, and nothing goes wrong."""

import base64
import hashlib
import re
import shutil
import subprocess

import pytest

from deis.study import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
]
SCRIPT = """
const say = (...words) => {
  document.body.append(Object.assign(document.createElement("output"), { textContent: words.join("|") }));
};
const images = [...document.images];
say(document.documentElement.scrollWidth <= document.documentElement.clientWidth, images.length,
    images.every((image) => image.complete && image.naturalWidth > 0));
const table = document.querySelector("table.sortable");
for (const title of ["Error per sample", "Error per sample", "Integrator", "Budget"]) {
  const header = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === title);
  header.querySelector("button").click();
  const sorted = [...table.querySelectorAll("[aria-sort]")].map((cell) => cell.textContent + " " + cell.ariaSort);
  say(sorted, ...[...table.tBodies[0].rows].map((row) => row.cells[0].textContent + " " + row.cells[2].textContent));
}
"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def opened(page, tmp_path, *options):
    """The document after its scripts ran, and what the browser's console says."""
    command = [BROWSER, *OPTIONS, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_script(page, script):
    """A copy of the page with one more script, which its policy allows."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text().replace("script-src ", f"script-src 'sha256-{digest}' ")
    copy = page.with_name("tested.html")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    return copy


def test_the_page_opens_without_complaint(digits_study, tmp_path):
    dom, console = opened(report(digits_study), tmp_path)
    assert console == []
    assert "<h1>Samplers &amp; &lt;digits&gt;</h1>" in dom


@pytest.fixture
def outputs(digits_study, tmp_path):
    dom, console = opened(with_script(report(digits_study), SCRIPT), tmp_path, "--window-size=500,800")
    assert console == []
    return [text.split("|") for text in re.findall(r"<output>(.*?)</output>", dom)]


def test_clicks_on_headings_sort_with_missing_values_last(outputs):
    rising, falling, named, budget = outputs[1:]
    measured = ["dopri5 -", "tab3 10", "rhoab3 10", "tab3 5", "rhoab3 5", "ddim 10", "ddim 5"]
    assert rising == ["Error per sample ascending", *measured, "sddim 5", "euler 5"]
    assert falling == ["Error per sample descending", *measured[::-1], "sddim 5", "euler 5"]
    assert named[0] == "Integrator ascending"
    names = [row.split()[0] for row in named[1:]]
    assert names == sorted(names)
    assert budget[0] == "Budget ascending"
    assert [row.split()[1] for row in budget[1:]] == [*["5"] * 5, *["10"] * 3, "-"]


def test_a_narrow_window_does_not_scroll_sideways_and_shows_all_pictures(outputs):
    narrow, images, complete = outputs[0]
    assert (narrow, complete) == ("true", "true")
    assert int(images) > 10


def test_scripts_that_are_not_the_reports_own_do_not_run(digits_study, tmp_path):
    page = report(digits_study)
    copy = page.with_name("attacked.html")
    copy.write_text(page.read_text().replace("</body>", "<script>document.title = 'attacked'</script></body>"))
    dom, console = opened(copy, tmp_path)
    assert "<title>attacked</title>" not in dom
    assert any("Content Security Policy" in line for line in console)
