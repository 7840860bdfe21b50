"""Displays in JupyterLab: of a notebook that is not trusted, light and dark, without a style sheet or a script."""

from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import THEME, TOKEN
from tests.displays.objects import html, objects

#: A script, an element and a formula, wherever the text of others can be.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> $x^2$ \\(y\\) <b>bold</b>"


@pytest.fixture(scope="module")
def shown(lab: Any) -> dict[str, Any]:
    """Write a notebook with the display of each public type; JupyterLab does not trust it."""
    found = objects(HOSTILE)
    cells = []
    for name, item in found.items():
        data = {"text/html": html(item), "text/plain": repr(item)}
        cell = nbformat.v4.new_code_cell(f"# {name}", execution_count=1)
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, lab.folder / "displays.ipynb")
    return found


@pytest.fixture(params=["JupyterLab Light", "JupyterLab Dark"])
def page(lab: Any, context: BrowserContext, shown: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open the notebook in a theme; every alert is collected on the page."""
    settings = lab.folder / "settings" / THEME
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'{{"theme": "{request.param}"}}')
    page = context.new_page()
    page.add_init_script("window.alerts = 0; window.alert = () => { window.alerts += 1; };")
    page.goto(f"{lab.url}/doc/tree/displays.ipynb?token={TOKEN}")
    page.locator(".jp-RenderedHTML, .jp-RenderedHTMLCommon").nth(len(shown) - 1).wait_for()
    page.wait_for_function("() => [...document.querySelectorAll('.jp-OutputArea img')].every(one => one.complete)")
    yield page
    page.close()


CONTRAST = """() => {
  const channels = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0.99) { return found; }
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('.jp-OutputArea-output *')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) { continue; }
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) { poor.push(`${ratio.toFixed(1)} ${element.textContent.slice(0, 40)}`); }
  }
  return poor;
}"""


def test_displays_of_hostile_text_do_no_harm_and_are_legible(page: Page, shown: dict[str, Any]) -> None:
    """No script runs, no element of theirs appears, nothing is typeset; every text has a contrast of 4.5 or more.

    Charts are drawn, and their numbers unfold.
    """
    outputs = page.locator(".jp-OutputArea-output")
    assert len(shown) == outputs.count()
    assert 0 == page.evaluate("window.alerts")
    assert 0 == outputs.locator("script, img[src=x], mjx-container, .MathJax").count()
    bold = outputs.locator("b").all_inner_texts()
    assert "bold" not in bold
    assert HOSTILE in " ".join(outputs.all_inner_texts())
    assert [] == page.evaluate(CONTRAST)
    sizes = outputs.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert 2 == len(sizes)
    assert min(sizes) > 300
    folded = outputs.filter(has=page.locator("img")).first.locator("details")
    assert not folded.locator("table").is_visible()
    folded.locator("summary").click()
    assert folded.locator("table").is_visible()
