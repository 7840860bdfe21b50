"""The report: the outcome of each row, and the rows to fix in forms that can be sent again."""

import contextlib
import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import traffic
from tests.strategies import VALID, event


def _send(source: Any, sandbox: bwp.Sandbox | None = None, **options: Any) -> bwp.Report:
    return bwp.send_table(bwp.connect(sandbox), source, workers=1, progress=False, **options)


def _mixed(tmp_path: Path) -> tuple[bwp.Report, pd.DataFrame]:
    """Return a report with every state in it, and its table."""
    sandbox = bwp.Sandbox()
    day = traffic.shop_day(250, invalid_rate=0)
    day.loc[3, "event_time"] = "2023"
    sandbox.refuse(day["event_id"][60])
    sandbox.fail_next("slow", times=3, seconds=0)
    sandbox.fail_next("timeout_after", times=4)
    sandbox.fail_next("html")
    sandbox.fail_next("refused", times=4)
    return _send(day, sandbox, ledger=tmp_path / "a"), day


def test_every_state_is_counted_and_every_row_is_in_one(tmp_path: Path) -> None:
    """The counts are those of the frame, and their sum is the number of rows."""
    report, day = _mixed(tmp_path)
    frame = report.frame()
    assert report.counts == frame["state"].value_counts().reindex(list(report.counts), fill_value=0).to_dict()
    assert 250 == report.rows == sum(report.counts.values()) == len(frame)
    assert [] == [state for state, count in report.counts.items() if not count]
    assert list(day["event_id"]) == list(frame["event_id"])


def test_a_report_is_the_same_text_each_time(tmp_path: Path) -> None:
    """Counts, reasons with their first rows, and what to do next."""
    (tmp_path / "b").mkdir()
    report = _mixed(tmp_path)[0]
    assert repr(report) == repr(_mixed(tmp_path / "b")[0])
    first, *reasons, resume, fix = repr(report).splitlines()
    assert "250 rows: " in first
    assert (
        "  row 3: invalid, eventTime: '2023' is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'" == reasons[0]
    )
    assert "make the same call again" in resume
    assert "report.quarantine()" in fix


def test_many_reasons_are_cut_and_the_others_are_counted() -> None:
    """All of them are in the frame."""
    rows = [event(event_id=str(number), event_time=str(number)) for number in range(30)]
    text = repr(_send(rows))
    assert 14 == len(text.splitlines()) - 1
    assert "  others: 20 more reasons, all in frame()" in text.splitlines()


def test_what_others_wrote_is_text_in_html() -> None:
    """Any value is escaped."""
    page = _send([event(event_time="<script>alert(1)</script>")])._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


@pytest.mark.parametrize("source", ["frame", "events", "jsonl"])
def test_the_quarantine_can_be_fixed_and_sent(source: str, tmp_path: Path) -> None:
    """As a frame, whatever the source was: with the same ids and times, and nothing more than the source has."""
    day = traffic.shop_day(100, invalid_rate=0.05).drop(columns="event_id")
    if source == "events":
        given: Any = [traffic.user_event({"event_id": str(n), **row}) for n, row in enumerate(day.to_dict("records"))]
    elif source == "jsonl":
        given = tmp_path / "a.jsonl"
        day.to_json(given, orient="records", lines=True)
    else:
        given = day
    report, sandbox = _send(given), bwp.Sandbox()
    fixed = report.quarantine()
    fixed["event_time"] = fixed["event_time"].str.removesuffix("Z") + "Z"
    fixed["event_type"] = fixed["event_type"].replace("pl", "click")
    assert 5 == _send(fixed, sandbox).counts["sent"]
    ids = report.frame()["event_id"]
    assert list(ids[fixed.index]) == [arrived["eventId"] for arrived in sandbox.accepted]
    names = {pair["property"] for pair in sandbox.accepted[0]["additionalProperties"]["additionalProperties"]}
    assert {"product_sku", "page_type", "current_url"} == names


def test_the_saved_quarantine_has_the_rows_unchanged(tmp_path: Path) -> None:
    """Each line makes the event again, opens in a form, and can be sent."""
    properties = {"event_type": "the name of a field", "formula": "=1+1", "empty": ""}
    bad = event(event_time="2023", additional_properties=properties)
    report = _send([event(event_id="fine"), bad])
    report.save_quarantine(tmp_path / "fix.jsonl")
    (line,) = (tmp_path / "fix.jsonl").read_text("utf-8").splitlines()
    assert bad == bwp.UserEvent(**json.loads(line))
    again = _send(tmp_path / "fix.jsonl")
    assert bad.event_id == again.frame()["event_id"][0]
    again.save_quarantine(tmp_path / "b.jsonl")
    assert (tmp_path / "fix.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert [properties] == list(report.quarantine()["additional_properties"])


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]


def test_the_spreadsheet_contains_no_formula(tmp_path: Path) -> None:
    """Neither in a cell nor in the name of a column; it has the reason of each row."""
    rows = [VALID | {"event_id": text, "=name": text, "event_time": "2023"} for text in FORMULAS]
    report = _send(pd.DataFrame(rows))
    report.save_spreadsheet(tmp_path / "refused.csv")
    with (tmp_path / "refused.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *found = csv.reader(file)
    assert ["row", "state", "reason"] == head[:3]
    assert [] == [
        cell for row in [head, *found] for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    ]
    assert [f"'{text}" for text in FORMULAS] == [row[head.index("event_id")] for row in found]
    assert {"invalid"} == {row[1] for row in found}
    with pytest.raises(bwp.BwpError, match="was written by save_spreadsheet"):
        _send(tmp_path / "refused.csv")


def test_each_file_has_its_own_ending(tmp_path: Path) -> None:
    """So that one is not mistaken for the other."""
    report = _send([event(event_time="2023")])
    with pytest.raises(ValueError, match=r"\.jsonl"):
        report.save_quarantine(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"\.csv"):
        report.save_spreadsheet(tmp_path / "a.jsonl")


def test_rows_of_any_state_are_a_table_to_send(tmp_path: Path) -> None:
    """Which is how to continue without a ledger."""
    report, _ = _mixed(tmp_path)
    sandbox = bwp.Sandbox()
    left = report.events("failed", "unknown")
    assert report.counts["failed"] + report.counts["unknown"] == _send(left, sandbox).counts["sent"]
    ended = report.frame()["state"]
    expected = list(report.frame()["event_id"][ended.isin(["failed", "unknown"])])
    assert expected == [arrived["eventId"] for arrived in sandbox.accepted]


def test_a_report_is_read_from_ledger_and_source(tmp_path: Path) -> None:
    """The same as the run itself returned; not from different data, nor from a ledger that does not exist."""
    report, day = _mixed(tmp_path)
    pd.testing.assert_frame_equal(report.frame(), bwp.Report.read(tmp_path / "a", day).frame())
    with pytest.raises(bwp.BwpError, match=r"different data than the DataFrame, .* Pass what it was made with\.$"):
        bwp.Report.read(tmp_path / "a", day[:5])
    with pytest.raises(bwp.BwpError, match=r"Cannot open the ledger b: No such file or directory\.$"):
        bwp.Report.read(tmp_path / "b", day)


@pytest.mark.parametrize("other", [None, b"", b"{}\n", 3])
def test_a_report_whose_ledger_is_gone_still_has_its_counts(tmp_path: Path, other: Any) -> None:
    """And says what it no longer knows, also if another run's ledger is there now."""
    day = traffic.shop_day(2, invalid_rate=0)
    day.loc[1, "event_type"] = ""
    report = _send(day, ledger=tmp_path / "gone")
    (tmp_path / "gone").unlink()
    if isinstance(other, bytes):
        (tmp_path / "gone").write_bytes(other)
    elif other is not None:
        _send(traffic.shop_day(other, invalid_rate=0), ledger=tmp_path / "gone")
    assert (
        "2 rows: 1 sent, 1 invalid\n"
        "  reasons: not known, the ledger gone cannot be read any more\n"
        "fields: event_type, event_id, event_time, client_type, client_version\n"
        "properties: product_sku, page_type, current_url\n"
        "To fix the rejected and invalid rows, see report.quarantine()."
    ) == repr(report)
    assert "the ledger gone cannot be read any more" in report._repr_html_()
    with pytest.raises((OSError, bwp.BwpError)):
        report.frame(ids=False)


def test_problems_of_a_dry_run_are_rows() -> None:
    """All problems of each row, with their rules."""
    frame = bwp.dry_run([event(event_type="a", event_time="2023"), event(event_id="b")]).frame()
    assert [(0, "eventType"), (0, "eventTime")] == list(frame[["row", "field"]].itertuples(index=False, name=None))
    assert ["row", "field", "value", "what", "rule"] == list(frame.columns)


def _file(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


BROKEN = {
    "day.csv": "{names},sku\n{values},a,b\n",
    "short.csv": "{names},sku,page\n{values},a\n",
    "day.jsonl": '{{"event_type": "click", \n',
    "text.jsonl": '{{"additional_properties": "sku=1", {pairs}}}\n',
    "both.jsonl": '{{"eventId": "b", {pairs}}}\n',
    "twice.jsonl": '{{"sku": "a", "additional_properties": {{"sku": "b"}}, {pairs}}}\n',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_that_could_not_be_read_is_kept_whole_and_refused_again_until_it_is_fixed(
    name: str, tmp_path: Path
) -> None:
    """Nothing of it is lost, and sending the file unchanged sends nothing."""
    pairs = json.dumps(VALID)[1:-1]
    text = BROKEN[name].format(names=",".join(VALID), values=",".join(VALID.values()), pairs=pairs)
    report = _send(_file(tmp_path / name, text))
    assert {"invalid": 1} == {state: count for state, count in report.counts.items() if count}
    report.save_quarantine(tmp_path / "fix.jsonl")
    (row,) = map(json.loads, (tmp_path / "fix.jsonl").read_text("utf-8").splitlines())
    lost = {"day.csv": "b", "short.csv": "a", "day.jsonl": '{"event_type": "click", ', "text.jsonl": "sku=1"}
    assert lost.get(name, "b") in json.dumps(row).replace('\\"', '"')
    for convert in (False, True):
        assert 1 == _send(tmp_path / "fix.jsonl", convert=convert).counts["invalid"]
    sandbox = bwp.Sandbox()
    with contextlib.suppress(bwp.BwpError):  # as a table it may lack a column, or have one twice
        _send(report.quarantine(), sandbox)
    assert [] == sandbox.accepted


@pytest.mark.parametrize("value", [Decimal("1.50"), pd.Timestamp("2024-01-01"), {"a"}, b"a"])
def test_what_json_cannot_represent_is_refused_again_until_it_is_fixed(value: Any, tmp_path: Path) -> None:
    """It does not silently become text."""
    report = _send(pd.DataFrame([VALID | {"price": value}], dtype=object))
    report.save_quarantine(tmp_path / "fix.jsonl")
    assert 1 == _send(tmp_path / "fix.jsonl").counts["invalid"]


def test_a_property_with_the_name_of_a_field_stays_a_property(tmp_path: Path) -> None:
    """Then all rows have theirs in a column of mappings, which can be sent unchanged."""
    rows = [
        VALID | {"event_time": "2023", "additional_properties": {"schemaName": "mine"}},
        VALID | {"event_id": "b", "event_time": "2023", "additional_properties": {"sku": "a"}},
        VALID | {"event_id": "c", "event_time": "2023"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    fixed = _send(_file(tmp_path / "day.jsonl", text)).quarantine()
    fixed["event_time"] = VALID["event_time"]
    sandbox = bwp.Sandbox()
    assert 3 == _send(fixed, sandbox).counts["sent"]
    found = [event.get("additionalProperties", {}).get("additionalProperties") for event in sandbox.accepted]
    assert [[{"property": "schemaName", "value": "mine"}], [{"property": "sku", "value": "a"}], None] == found
    assert [None] * 3 == [event.get("schemaName") for event in sandbox.accepted]


def test_nothing_to_fix_is_a_table_without_rows() -> None:
    """It can be sent like any other."""
    fixed = _send([event()]).quarantine()
    assert 0 == len(fixed) == _send(fixed).rows


@pytest.mark.parametrize("value", ["\ud800", ["a"], pd.NA, float("nan"), {"a": "b"}])
def test_the_spreadsheet_contains_any_value(value: Any, tmp_path: Path) -> None:
    """Also one that UTF-8 cannot encode."""
    report = _send(pd.DataFrame([VALID | {"event_time": "2023", "sku": value}], dtype=object))
    report.save_spreadsheet(tmp_path / "refused.csv")
    (row,) = csv.DictReader((tmp_path / "refused.csv").read_text("utf-8-sig").splitlines())
    assert "invalid" == row["state"]


def test_a_report_is_read_only_with_the_mapping_that_was_sent(tmp_path: Path) -> None:
    """With another one it would list ids that were never sent."""
    day = traffic.shop_day(3, invalid_rate=0).rename(columns={"event_id": "order"})
    sent = _send(day, columns={"order": "event_id"}, ledger=tmp_path / "a")
    with pytest.raises(
        bwp.BwpError,
        match=r"it was made with other columns=",
    ):
        bwp.Report.read(tmp_path / "a", day)
    read = bwp.Report.read(tmp_path / "a", day, columns={"order": "event_id"})
    pd.testing.assert_frame_equal(sent.frame(), read.frame())


@pytest.mark.parametrize("change", ["grows", "shrinks", "another version of a row"])
def test_a_source_that_changes_while_it_is_sent_does_not_change_what_is_sent(change: str, tmp_path: Path) -> None:
    """The rows are those that were read, with their numbers and ids."""
    day, path, sandbox = traffic.shop_day(800, invalid_rate=0), tmp_path / "day.csv", bwp.Sandbox()
    day[:700].to_csv(path, index=False)
    content = day[: {"grows": 800, "shrinks": 600}.get(change, 700)].to_csv(index=False)

    def answer(request: httpx.Request) -> httpx.Response:
        if not sandbox.accepted:
            path.write_text(content.replace(",1.0,", ",1.1,") if change.startswith("another") else content)
        return sandbox.handle_request(request)

    played = bwp.connect(sandbox)
    client = bwp.Client(httpx.MockTransport(answer), sandbox.endpoint, auth=played._auth, clock=sandbox.clock)
    report = bwp.send_table(client, path, workers=1, progress=False)
    assert (700, 700) == (report.rows, report.counts["sent"])
    expected = [{"event_id": found["eventId"], "client_version": found["clientVersion"]} for found in sandbox.accepted]
    assert expected == day[:700][["event_id", "client_version"]].to_dict("records")
    assert list(day["event_id"][:700]) == list(report.frame()["event_id"])


def _ended(report: bwp.Report) -> set[str]:
    """Return the ids of the rows that failed."""
    return {event_id for event_id in report.events("failed")["event_id"] if isinstance(event_id, str)}


def test_a_report_keeps_the_frame_that_was_sent() -> None:
    """Whatever its owner does with it later: sort it, overwrite it, or change a mapping in a cell."""
    day = traffic.shop_day(300, invalid_rate=0)
    day["additional_properties"] = [{"note": str(row)} for row in range(300)]
    sandbox = bwp.Sandbox()
    sandbox.fail_next("refused", times=8)
    report = _send(day, sandbox)
    before, failed = report.frame(), report.events("failed")
    assert {"sent": 200, "failed": 100} == {state: count for state, count in report.counts.items() if count}
    day.iloc[:] = day.iloc[::-1].to_numpy()
    day.loc[:, "event_id"] = "changed"
    day["additional_properties"].iloc[0]["note"] = "changed"
    pd.testing.assert_frame_equal(before, report.frame())
    pd.testing.assert_frame_equal(failed, report.events("failed"))
    arrived = {found["eventId"] for found in sandbox.accepted}
    assert not arrived & _ended(report)
    assert 300 == len(arrived | _ended(report))


def test_a_report_keeps_the_list_that_was_sent() -> None:
    """Also if its owner adds to it later."""
    events = [event(event_id=str(number)) for number in range(3)]
    report = _send(events)
    events.clear()
    assert ["0", "1", "2"] == list(report.frame()["event_id"])


def test_a_report_keeps_the_file_that_was_sent(tmp_path: Path) -> None:
    """Whatever is written there later; a ledger's report is not read from another file."""
    day, path, sandbox = traffic.shop_day(200, invalid_rate=0.05), tmp_path / "day.csv", bwp.Sandbox()
    day.to_csv(path, index=False)
    sandbox.fail_next("refused", times=4)
    report = _send(path, sandbox, ledger=tmp_path / "a")
    before = [report.frame(), report.events("failed"), report.quarantine()]
    day[::-1].to_csv(path, index=False)
    with pytest.raises(bwp.LedgerError, match=r"belongs to different data than day\.csv"):
        bwp.Report.read(tmp_path / "a", path)
    path.unlink()
    for expected, found in zip(before, (report.frame(), report.events("failed"), report.quarantine()), strict=True):
        pd.testing.assert_frame_equal(expected, found)
    report.save_quarantine(tmp_path / "fix.jsonl")
    report.save_spreadsheet(tmp_path / "fix.csv")
    assert report.counts["invalid"] == len((tmp_path / "fix.jsonl").read_text("utf-8").splitlines())


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([f"order {row}" for row in range(0, 40, 10)], name="order"),
        pd.Index([7, 7, 8, 9], name="state"),
        pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["shop", "row"]),
        pd.date_range("2024-01-01", periods=4),
    ],
    ids=["text", "with duplicates", "several levels", "dates"],
)
def test_the_index_of_a_frame_is_the_index_of_its_outcomes(index: "pd.Index[Any]") -> None:
    """So that they can be joined; of the rows to fix too, which keep it when they are sent."""
    rows = [
        VALID | {"event_id": str(row), "event_time": "2023" if row % 2 else VALID["event_time"]} for row in range(4)
    ]
    report = _send(pd.DataFrame(rows, index=index))
    assert "  row 1 and 1 more: invalid, " in repr(report)
    for frame, expected in (
        (report.frame(), index),
        (report.frame(ids=False), index),
        (report.quarantine(), index[1::2]),
    ):
        assert expected.equals(frame.index)
        assert expected.names == frame.index.names
    again = _send(report.quarantine())
    assert index[1::2].equals(again.frame().index)


HALF = "a\ud800"


@pytest.mark.parametrize(
    "row",
    [
        {"event_id": HALF},
        {"event_type": HALF, "event_time": HALF, "client_version": HALF},
        {HALF: "value"},
        {"additional_properties": {HALF: "value"}},
        {HALF: "one", "additional_properties": {HALF: "other"}},
        {"additional_properties": HALF},
    ],
    ids=["id", "fields", "column", "property", "twice", "no properties"],
)
@pytest.mark.parametrize("source", ["frame", "jsonl"])
def test_lone_surrogates_break_no_report(source: str, row: dict[str, Any], tmp_path: Path) -> None:
    """The row is invalid, and every form of the report can be made and encoded."""
    rows = [VALID, VALID | {"event_id": "b"} | row]
    names = list(dict.fromkeys(name for row in rows for name in row))
    given: Any = tmp_path / "day.jsonl"
    if source == "frame":
        cells = [[row.get(name) for name in names] for row in rows]
        given = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)
    else:
        given.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = _send(given)
    assert ["sent", "invalid"] == list(report.frame()["state"])
    assert rows[1]["event_id"] == report.frame()["event_id"][1]
    for text in (repr(report), report._repr_html_(), repr(bwp.dry_run(given))):
        assert text.encode()
    assert 1 == len(report.quarantine()) <= len(bwp.dry_run(given).frame())
    report.save_quarantine(tmp_path / "fix.jsonl")
    report.save_spreadsheet(tmp_path / "fix.csv")
    assert 1 == _send(tmp_path / "fix.jsonl").counts["invalid"]
    assert 1 == _send(report.quarantine()).counts["invalid"]


def test_a_report_is_ok_if_all_rows_are_sent(tmp_path: Path) -> None:
    """And only then; an empty table is, too."""
    report, day = _mixed(tmp_path)
    assert (False, True) == (report.ok, _send(traffic.shop_day(3, invalid_rate=0)).ok)
    assert (True, 0) == (_send(day[:0]).ok, _send(day[:0]).rows)


def test_merged_reports_have_the_rows_of_all(tmp_path: Path) -> None:
    """Each with its source and its number there; the rows to fix of all are one table to send."""
    first, day = _mixed(tmp_path)
    day[:20].assign(event_time="2023").to_csv(tmp_path / "b.csv", index=False)
    second = _send(tmp_path / "b.csv", ledger=tmp_path / "b")
    merged = bwp.Report.merge([first, second])
    assert (270, False) == (merged.rows, merged.ok)
    assert merged.counts == {state: first.counts[state] + second.counts[state] for state in first.counts}
    frame = merged.frame()
    parts = [report.frame().reset_index(drop=True) for report in (first, second)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), frame.drop(columns=["source", "row"]))
    assert ["the DataFrame"] * 250 + ["b.csv"] * 20 == list(frame["source"])
    assert [*range(250), *range(20)] == list(frame["row"])
    assert "270 rows of 2 tables: " in repr(merged)
    assert first.columns.fields == merged.columns.fields
    assert "properties: product_sku, page_type, current_url" in repr(merged).splitlines()
    assert "row 3 of the DataFrame and 20 more: invalid, eventTime: '2023'" in repr(merged)
    quarantine = merged.quarantine()
    assert [3, 60, *range(250, 270)] == list(quarantine.index)
    assert list(frame["event_id"][quarantine.index]) == list(quarantine["event_id"])


def test_a_merged_report_is_saved_with_the_sources(tmp_path: Path) -> None:
    """In one spreadsheet and one quarantine."""
    for name in ("a.csv", "b.csv"):
        pd.DataFrame([VALID | {"event_time": name}]).to_csv(tmp_path / name, index=False)
    merged = bwp.Report.merge(_send(tmp_path / name) for name in ("a.csv", "b.csv"))
    merged.save_spreadsheet(tmp_path / "refused.csv")
    with (tmp_path / "refused.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [("a.csv", "0", "a.csv"), ("b.csv", "0", "b.csv")] == [
            (row["source"], row["row"], row["event_time"]) for row in csv.DictReader(file)
        ]
    merged.save_quarantine(tmp_path / "fix.jsonl")
    assert 2 == _send(tmp_path / "fix.jsonl", on_duplicates="send").counts["invalid"]
    with pytest.raises(ValueError, match="expected at least one Report, got none"):
        bwp.Report.merge([])


def test_merged_reports_keep_why_each_run_stopped(tmp_path: Path) -> None:
    """The same reason once."""
    reports = []
    for _ in range(2):
        sandbox = bwp.Sandbox()
        sandbox.fail_next("access_denied", times=9)
        reports.append(_send(traffic.shop_day(3, invalid_rate=0), sandbox))
    assert reports[0].stopped
    assert reports[0].stopped == bwp.Report.merge(reports).stopped


def test_each_invalid_row_has_its_own_reason() -> None:
    """Although the ledger has one line for many of them."""
    rows = [event(event_id=str(number), event_time=f"{number}" if number % 3 else "2023") for number in range(700)]
    reasons = _send(rows).frame()["reason"]
    assert [True] * 700 == [f"'{row.event_time}'" in reason for row, reason in zip(rows, reasons, strict=True)]
