"""What `schema.graphql` says of each field of an event, with its sources, as help beside the field."""

import re
from functools import cache
from html import escape
from typing import Any

from bwp_nb.contract import schema_text
from bwp_nb.forms import style


@cache
def helps() -> dict[str, str]:
    """Return the help of each field by the API's name, folded up behind a question mark."""
    from graphql import build_schema

    event: Any = build_schema(schema_text()).type_map["UserEvent"]
    return {name: _help(name, field) for name, field in event.fields.items()}


def _help(name: str, field: Any) -> str:
    from graphql import is_non_null_type, value_from_ast_untyped

    sources, limits = [], ""
    for directive in field.ast_node.directives:
        given = {item.name.value: value_from_ast_untyped(item.value) for item in directive.arguments}
        if directive.name.value == "length":
            limits = f" {given['min']} to {given['max']} characters."
        elif directive.name.value == "provenance":
            sources.append(style.sourced(f"{given['certainty'].lower()}: {given['source']}"))
    text = style.sourced(" ".join(field.description.split()) + limits)
    text = re.sub("`([^`]+)`", r"<code>\1</code>", text)
    required = "Required." if is_non_null_type(field.type) else "Optional: left out while it is empty."
    label = f"About {escape(name)}"
    return (
        f'<details name="bwp-help"><summary aria-label="{label}" title="{label}">?</summary>'
        f'<p>{text} {required} <span class="bwp-rule">({"; ".join(sources)})</span></p></details>'
    )
