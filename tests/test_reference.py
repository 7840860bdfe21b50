"""The reference: tables that say of each fact where it comes from, and that agree with the code."""

import doctest
import re
from importlib import import_module

import pytest
from graphql import build_schema

import bwp_nb as bwp
from bwp_nb.contract import schema_text
from bwp_nb.displays.sources import PAGES
from bwp_nb.event import EVENT_TYPES, PROPERTY_NAMES
from bwp_nb.settings import SETTINGS

TOPICS = [row[0] for row in bwp.reference().rows]
EVERY_TOPIC = pytest.mark.parametrize("topic", TOPICS)

#: The topics that state facts of the API, and the column with their certainty.
OF_THE_API = {
    "fields": "certainty and source",
    "event types": "certainty",
    "properties": "certainty",
    "limits": "certainty",
    "classifications": "certainty",
}


def column(topic: str, name: str) -> list[str]:
    """Return one column of a table."""
    table = bwp.reference(topic)
    return [row[table.head.index(name)] for row in table.rows]


@EVERY_TOPIC
def test_every_table_is_filled(topic: str) -> None:
    """Each row has a text for every column, and no row occurs twice."""
    table = bwp.reference(topic)
    assert {len(table.head)} == {len(row) for row in table.rows}
    assert len(table.rows) == len(set(table.rows))
    assert table.rows == tuple(table.frame().itertuples(index=False, name=None))


@pytest.mark.parametrize("topic", OF_THE_API)
def test_every_fact_says_how_certain_it_is(topic: str) -> None:
    """Each fact is documented, with a page that is cited, or inferred, unknown, or a choice of this package."""
    for said in column(topic, OF_THE_API[topic]):
        assert re.search(r"\b(documented|inferred|unknown|chosen by this package)\b", said)
        assert not re.search(r"\bdocumented\b", said) or re.search("“.+?”", said)


@EVERY_TOPIC
def test_every_cited_page_is_linked(topic: str) -> None:
    """Each title in quotation marks is the title of a page that is known, and leads to it."""
    table = bwp.reference(topic)
    cited = set(re.findall("“([^”]+)”", " ".join(cell for row in table.rows for cell in row)))
    assert cited == cited & set(PAGES)
    assert {PAGES[title] for title in cited} == set(re.findall('href="([^"]+)"', table._repr_html_()))


def test_every_field_of_the_schema_is_in_the_table() -> None:
    """The fields and enum values are those of `schema.graphql`, without what it defines for itself."""
    types = build_schema(schema_text()).type_map
    names = ["Mutation", "SendUserEventInput", "UserEvent", "AdditionalPropertiesInput", "AdditionalProperty"]
    names += ["ClientType", "SendUserEventOutput"]
    expected = [
        f"{name}.{item}" for name in names for item in getattr(types[name], "fields", None) or types[name].values
    ]
    assert expected == column("fields", "field")


def test_event_types_and_properties_are_those_of_the_code() -> None:
    """The tables list the constants that the form and the checks use, in their order."""
    assert list(EVENT_TYPES) == column("event types", "name")
    assert set(PROPERTY_NAMES) == set(column("properties", "name"))


def test_faults_settings_and_classifications_are_those_of_the_code() -> None:
    """Each name once, in the code's order."""
    assert [fault.name for fault in bwp.faults()] == column("faults", "name")
    assert [setting.name for setting in SETTINGS] == column("settings", "name")
    assert list(bwp.CLASSIFICATIONS) == column("classifications", "name")


def test_the_states_are_those_of_a_report() -> None:
    """The states that need proof are the ones that a report counts."""
    report = bwp.send_table(bwp.connect(), bwp.traffic.shop_day(5), workers=1, progress=False)
    assert set(report.counts) == set(column("states", "state"))


def test_text_is_for_a_terminal() -> None:
    """`str()` has a line for each cell, within 100 characters."""
    lines = str(bwp.reference("limits")).splitlines()
    assert "what: events in a call" == lines[0]
    assert max(map(len, lines)) <= 100


def test_the_columns_of_the_settings_have_names() -> None:
    """Which say what is in them."""
    assert ("name", "default", "expected", "source") == bwp.reference("settings").head


def test_an_unknown_topic_says_which_there_are() -> None:
    """The message lists the topics."""
    with pytest.raises(ValueError, match="unknown topic 'fault'; expected one of fields, event types") as raised:
        bwp.reference("fault")
    assert ", ".join(TOPICS) in str(raised.value)


def test_the_examples_run() -> None:
    """The examples of the docstrings print what they say."""
    assert 0 == doctest.testmod(import_module("bwp_nb.reference")).failed
