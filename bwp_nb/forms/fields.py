"""The fields of a `UserEvent`, read from `schema.graphql`, from which the form is built."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from bwp_nb.contract import schema_text
from bwp_nb.event import TEXT_FIELDS

if TYPE_CHECKING:
    from graphql import GraphQLInputField, GraphQLInputObjectType

_NAMES = {**TEXT_FIELDS, "additional_properties": "additionalProperties"}


@dataclass(frozen=True)
class Field:
    """One field: `sources` gives the certainty and source of each statement, `choices` the values of an enum."""

    name: str
    api_name: str
    required: bool
    description: str
    sources: tuple[str, ...]
    choices: tuple[str, ...] = ()
    length: tuple[int, int] | None = None


@cache
def fields() -> tuple[Field, ...]:
    """Return the fields of a `UserEvent`, in the order of the schema."""
    from graphql import build_schema

    schema = build_schema(schema_text())
    ours = {api_name: name for name, api_name in _NAMES.items()}
    event = cast("GraphQLInputObjectType", schema.type_map["UserEvent"])
    return tuple(_field(ours[api_name], api_name, field) for api_name, field in event.fields.items())


def _field(name: str, api_name: str, field: "GraphQLInputField") -> Field:
    from graphql import GraphQLEnumType, get_named_type, is_non_null_type, value_from_ast_untyped

    kind = get_named_type(field.type)
    directives = [
        (node.name.value, {item.name.value: value_from_ast_untyped(item.value) for item in node.arguments or ()})
        for node in (field.ast_node and field.ast_node.directives) or ()
    ]
    found = [given for directive, given in directives if directive == "provenance"]
    return Field(
        name,
        api_name,
        required=is_non_null_type(field.type),
        description=" ".join((field.description or "").split()),
        sources=tuple(f"{given['certainty'].lower()}: {given['source']}" for given in found),
        choices=tuple(kind.values) if isinstance(kind, GraphQLEnumType) else (),
        length=next(((given["min"], given["max"]) for directive, given in directives if directive == "length"), None),
    )
