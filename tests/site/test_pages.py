"""The pages: what they link to, what they load, what they contain, and who can read them."""

import json
import re
import tomllib
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect

import bwp_nb as bwp
from bwp_nb.displays.sources import PAGES
from tests.site.conftest import ROOT, Served

URLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]

#: Attributes by which a page loads something; a link that only names the page itself is not one.
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "srcset", "link": "href", "object": "data"}

#: The address of Voila, which notebook 03 names.
VOILA = "https://voila.readthedocs.io"
READ = ["index", "notebooks/01_first_event", "notebooks/06_chart_responses", "reference/sending", "lab"]


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect from one element."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADING and LOADING[tag] in given and given.get("rel") != "canonical":
            self.loaded.append(given[LOADING[tag]])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Return every page that Sphinx wrote."""
    lab = site / "lab"
    return {
        path: Page(path) for path in site.rglob("*.html") if lab not in path.parents and "_static" not in path.parts
    }


def test_nothing_comes_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    """No script, style, font or image of a page has an address with a host, in HTML or in CSS."""
    assert [] == [address for page in pages.values() for address in page.loaded if urlsplit(address).netloc]
    styles = [path for path in site.rglob("*.css") if site / "lab" not in path.parents]
    found = [re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*|@import[^;]*//[^;]*", path.read_text()) for path in styles]
    assert [] == [hit for hits in found for hit in hits]


def test_links_within_the_site_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """To a file, and to an anchor of it."""
    missing = defaultdict(list)
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(urljoin(path.as_uri(), link))
            target = Path(unquote(parts.path))
            is_missing = parts.scheme == "file" and not target.is_file()
            if is_missing or (target in pages and unquote(parts.fragment) not in pages[target].anchors):
                missing[path.name].append(link)
    assert {} == missing


def test_links_to_other_hosts_are_those_of_the_sources(pages: dict[Path, Page]) -> None:
    """A page cites the documentation's pages by the addresses that the package knows, and otherwise this project."""
    external = {link for page in pages.values() for link in page.links if urlsplit(link).netloc}
    assert set() == external - {*PAGES.values(), *URLS.values(), VOILA}


def test_the_notebooks_are_the_committed_ones(pages: dict[Path, Page]) -> None:
    """Each has a page with its title."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
        (page,) = (page for page in pages if page.stem == path.stem)
        assert f"<title>{title}" in page.read_text("utf-8")


def test_the_reference_has_every_public_name(pages: dict[Path, Page]) -> None:
    """Each is an anchor of a page; a module has a heading, and below it what is in it."""
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    names = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith("bwp_nb.")}
    modules = {"documented", "forms", "notebooks", "plots", "snippets", "traffic"}
    assert set() == set(bwp.__all__) - modules - names
    assert set() == modules - {anchor.rpartition("-bwp-")[2] for anchor in anchors}
    assert set() == {"EventForm", "outcomes", "curl", "shop_day", "PAGE_LOAD"} - names


def test_the_reference_is_in_our_words(pages: dict[Path, Page]) -> None:
    """It shows neither the repr of a function or a factory, nor the docstring of a builtin, nor a name as a type."""
    foreign = re.compile(r"&lt;(?:factory|function|bound method)|Built-in|,</em>\)")
    texts = {path.name: path.read_text("utf-8") for path in pages if path.parent.name == "reference"}
    assert {} == {name: foreign.findall(text) for name, text in texts.items() if foreign.search(text)}


def test_the_search_finds_a_notebook_and_a_name(served: Served, context: BrowserContext) -> None:
    """In the browser, as a reader searches."""
    page = context.new_page()
    for words, found in (("killed resumed", "Send a table of events"), ("send_table", "bwp_nb.send_table")):
        page.goto(f"{served.url}/search.html?q={words}")
        expect(page.locator("#search-results").get_by_role("link", name=found).first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible(served: Served, context: BrowserContext, scheme: str) -> None:
    """axe-core finds nothing serious on five pages, in either theme."""
    page = context.new_page()
    # Else a colour that still fades in from that of the other theme is measured.
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    found = {}
    for name in READ:
        page.goto(f"{served.url}/{name}.html")
        faults = Axe().run(page).response["violations"]
        serious = [fault for fault in faults if fault["impact"] in ("serious", "critical")]
        found[name] = [f"{fault['id']}: {node['html'][:200]}" for fault in serious for node in fault["nodes"]]
    assert {name: [] for name in READ} == found


def test_the_address_of_the_site_is_set_in_one_place() -> None:
    """README and first notebook link to it as pyproject.toml has it."""
    first = json.loads((ROOT / "notebooks" / "01_first_event.ipynb").read_text("utf-8"))["cells"][0]["source"]
    readme = (ROOT / "README.md").read_text("utf-8").split("\n\n")[1]
    assert f"({URLS['Homepage']})" in readme
    assert f"({URLS['Homepage']})" in "".join(first)
