"""How Sphinx builds the pages; `build.py` calls it, in a copy of this folder beside the notebooks."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Punctuation, String, Whitespace
from sphinx.application import Sphinx

from bwp_nb.displays.sources import CITED, PAGES

_PROJECT = tomllib.loads((Path(os.environ["BWP_ROOT"]) / "pyproject.toml").read_text("utf-8"))["project"]

project = "bwp_nb"
author = _PROJECT["authors"][0]["name"]
project_copyright = author
version = release = _PROJECT["version"]
html_baseurl = _PROJECT["urls"]["Homepage"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
default_role = "py:obj"  # A name in backticks links to its entry, if it has one.
nb_execution_mode = "off"  # The outputs are those that are committed, which the tests compare.
nb_render_error_lexer = "text"  # An error is shown in a few lines, which are not a traceback.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # They would be loaded from another host.
myst_enable_extensions = ["attrs_block", "colon_fence"]
myst_heading_anchors = 3

add_module_names = False
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

exclude_patterns = ["README.md", "examples", "lab"]  # shown in parts, and in the lab

html_theme = "sphinx_book_theme"
html_title = "bwp_nb"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "navbar_persistent": [],  # the search is in the side bar
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


class _SchemaLexer(RegexLexer):
    """The language of GraphQL's types; Pygments knows that of its requests."""

    tokens: ClassVar[dict[str, list[tuple[str, Any]]]] = {
        "root": [
            (r'^( *)("""[^"]*"""|"(?:\\.|[^"\\])*")', bygroups(Whitespace, String.Doc)),
            (r'"(?:\\.|[^"\\])*"', String),
            (r"#.*", Comment),
            (r"^[a-z]+|\b(?:on|repeatable)\b", Keyword),
            (r"@\w+", Name.Decorator),
            (r"[A-Z]\w*", Name.Class),
            (r"\d+", Number),
            (r"\w+", Name),
            (r"\s", Whitespace),
            (r"[][(){}:!|=,]", Punctuation),
        ]
    }


def _is_alias(_app: Sphinx, _what: str, _name: str, found: object, _skip: bool, _options: Any) -> bool | None:
    """Leave out what Python says of the fields of a named tuple."""
    return True if re.match(r"Alias for field number \d", found.__doc__ or "") else None


def _keep_dots(_app: Sphinx, _what: str, _name: str, _found: object, _options: Any, lines: list[str]) -> None:
    """Show a name in backticks that begins with a dot, such as that of a file, as it is."""
    lines[:] = [re.sub(r"(^|[\s(])(`[.~!][^`]*`)", r"\1`\2`", line) for line in lines]


def _keep_first_words(_app: Sphinx, what: str, _name: str, _found: object, _options: Any, lines: list[str]) -> None:
    """Put back before its colon what napoleon took from the sentence of an attribute for a type."""
    taken = [line for line in lines if line.startswith(":type: ")]
    if what in {"attribute", "data", "property"} and taken:
        first, *rest = [line for line in lines if line not in taken]
        lines[:] = [f"{taken[0].removeprefix(':type: ')}: {first}", *rest]


def _hide_reprs(
    _app: Sphinx, _what: str, _name: str, _found: object, _options: Any, given: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Leave out of a signature the defaults that are not written in Python, such as those of a dataclass's factory."""
    return re.sub(r"= ?<.*?>+(?=[,)])", "= ...", given or "") or None, returned


def _parameters_as_spans(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Show the parameters of a long signature as lines; Sphinx writes a list of definitions without terms."""
    names = {"<dl>": '<span class="parameters">', "</dl>": "</span>", "<dd>": "<span>", "</dd>": "</span>"}

    def replaced(signature: re.Match[str]) -> str:
        return re.sub("</?d[ld]>", lambda tag: names[tag[0]], signature[0])

    context["body"] = re.sub(r'<dt class="sig .*?</dt>', replaced, context.get("body", ""), flags=re.DOTALL)


def _link_pages(_app: Sphinx, doctree: nodes.document) -> None:
    """Link each title of a page of Amazon's documentation to the page."""
    for text in list(doctree.findall(nodes.Text)):
        parents = (nodes.reference, nodes.literal, nodes.literal_block, nodes.raw, nodes.title)
        if CITED.search(text) and not any(isinstance(parent, parents) for parent in _ancestors(text)):
            text.parent.replace(text, list(_linked(str(text))))


def _ancestors(node: nodes.Node) -> list[nodes.Node]:
    return [node.parent, *_ancestors(node.parent)] if node.parent is not None else []


def _linked(text: str) -> list[nodes.Node]:
    parts = CITED.split(text)  # text, title, text, title, …, text
    links = [nodes.reference("", f"“{title}”", refuri=PAGES[title]) for title in parts[1::2]]
    return [node for pair in zip(map(nodes.Text, parts[::2]), [*links, nodes.Text("")], strict=True) for node in pair]


def setup(app: Sphinx) -> None:
    """Connect them to Sphinx."""
    app.add_lexer("graphql-schema", _SchemaLexer)
    app.connect("autodoc-skip-member", _is_alias)
    app.connect("autodoc-process-docstring", _keep_dots)
    app.connect("autodoc-process-docstring", _keep_first_words, priority=600)
    app.connect("autodoc-process-signature", _hide_reprs)
    app.connect("html-page-context", _parameters_as_spans)
    app.connect("doctree-read", _link_pages)


#: An attribute that is also a property is described once.
napoleon_use_ivar = True
