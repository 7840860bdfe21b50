"""Everything that a user can hold in a notebook, full of one text of somebody else."""

from dataclasses import replace
from typing import Any

import pytest

import bwp_nb as bwp
from bwp_nb import plots, traffic
from bwp_nb.checks.doctor import Step
from bwp_nb.checks.drift import Change


def objects(text: str) -> dict[str, Any]:
    """Return an object of each public type by the type's name, and the lists that functions return."""
    client = bwp.connect()
    sandbox = client.sandbox
    assert sandbox is not None
    properties = {text[:200]: text, "currentUrl": f"{text}?token=1"}
    event = bwp.UserEvent(text[:60], text, text, text, text, text, text, properties)
    receipt = replace(client.send(client.new_event(text.replace("\ud800", "?")[:60])), notes=(text,))
    error = _rejected(client, text)
    day = traffic.shop_day(20, invalid_rate=0.3).assign(product_sku=text.replace("\ud800", "?"))
    report = bwp.send_table(client, day, workers=1, progress=False)
    lost = bwp.RequestFailed(text, may_have_arrived=True)
    exchange = client.history[-1]
    return {
        "UserEvent": event,
        "Mutation": bwp.Mutation([event]),
        "Receipt": receipt,
        "problems": event.problems(),
        "Problem": event.problems()[0],
        "hints": event.hints(),
        "Hint": event.hints()[0],
        "rejected values": error.rejected_values,
        "RejectedValue": bwp.RejectedValue(0, text, text, text, text, text),
        "Client": client,
        "Sandbox": sandbox,
        "History": client.history,
        "Exchange": next(one for one in client.history if one.outcome in ("rejected", "unknown")),
        "differences": bwp.compare(client.history[0], exchange),
        "Difference": bwp.Difference(text, text, ...),
        "Report": report,
        "PartsReport": bwp.PartsReport(report._parts, {text: text}, [text]),
        "DryRun": bwp.dry_run(day),
        "Diagnosis": bwp.Diagnosis([Step(text, "failed", text, text)]),
        "Drift": bwp.Drift([Change(text, "changed", text, text, text, text, text)]),
        "CLASSIFICATIONS": bwp.CLASSIFICATIONS,
        "faults": bwp.faults(),
        "Fault": bwp.faults()[0],
        "example": bwp.documented.PAGE_LOAD,
        "Checklist": bwp.checklist(client),
        "Reference": bwp.reference("limits"),
        "Retries": bwp.Retries(),
        "BwpError": bwp.BwpError(text),
        "InvalidEvent": bwp.InvalidEvent(event.problems()),
        "InvalidSettings": bwp.InvalidSettings([text]),
        "InvalidTable": bwp.InvalidTable(text),
        "LedgerError": bwp.LedgerError(text),
        "RequestFailed": lost,
        "MutationRejected": error,
        "OutcomeUnknown": bwp.OutcomeUnknown(text),
        "chart of arrivals": plots.arrivals(sandbox),
        "chart of reasons": plots.reasons(report),
    }


def html(shown: Any) -> str:
    """Return the HTML that a notebook shows for an object."""
    return str(shown._repr_html_())


def _rejected(client: bwp.Client, text: str) -> bwp.MutationRejected:
    """Return the error of a server that answers with a text, whatever is sent."""
    sent = text.encode("utf-8", "replace").decode()
    assert client.sandbox is not None
    client.sandbox.fail_next("message", text=sent)
    with pytest.raises(bwp.MutationRejected) as caught:
        client.send(client.new_event("click", mine=sent))
    caught.value.rejected_values.append(bwp.RejectedValue(0, text, text, text, text, text))
    return caught.value
