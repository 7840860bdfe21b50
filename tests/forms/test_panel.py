"""The panel of a sandbox, used through its widgets, without a kernel."""

import pytest

import bwp_nb as bwp
from bwp_nb.forms import EventForm, SandboxPanel
from tests.forms.test_form import every_widget, is_hidden, sandbox_of, shown_texts


def order(panel: SandboxPanel, name: str, times: int = 1, **options: str) -> None:
    """Order a fault with some options."""
    panel.fault.value, panel.times.value = name, times
    for option in panel.options:
        option.value = options.get(option.description, "")
    panel.order.click()


def test_the_panel_is_refreshed_after_a_send() -> None:
    """After a form's send the panels of its sandbox show the event, also the one folded into the form."""
    form = EventForm(bwp.connect())
    panel, other = SandboxPanel(sandbox_of(form)), SandboxPanel(bwp.Sandbox())
    (fold,) = [widget for widget in every_widget(form.view) if getattr(widget, "description", "") == "The sandbox"]
    fold.value = True
    form.send.click()
    for shown in (panel.view, form.view):
        assert "1 accepted, 0 rejected, 1 request." in shown_texts(shown)
        assert ">page-load</td>" in shown_texts(shown)
    assert "0 accepted, 0 rejected, 0 requests." in shown_texts(other.view)
    fold.value = False
    assert "1 accepted" not in shown_texts(form.view)
    panel.reset.click()
    assert (True, []) == ("0 accepted" in shown_texts(panel.view), sandbox_of(form).accepted)


def test_a_fault_ordered_on_the_panel_is_what_the_form_meets() -> None:
    """A send fails as often as ordered, and succeeds after that."""
    form = EventForm(bwp.connect())
    panel = SandboxPanel(sandbox_of(form))
    assert [fault.name for fault in bwp.faults()] == [name for _, name in panel.fault.options]
    order(panel, "access_denied", 2)
    assert "Ordered for the next requests: 2 times access_denied." in shown_texts(panel.view)
    form.send.click()
    assert "failed" == form.state
    form.send.click()
    assert ("sent", False) == (form.state, "Ordered" in shown_texts(panel.view))


def test_a_fault_takes_its_options() -> None:
    """Those that it has are shown with their names; text, seconds and status have an effect."""
    form = EventForm(bwp.connect())
    panel = SandboxPanel(sandbox_of(form))
    panel.fault.value = "message"
    assert ["text", "value"] == [option.description for option in panel.options if not is_hidden(option)]
    order(panel, "message", text="Closed on Sundays")
    form.send.click()
    assert "Closed on Sundays" in shown_texts(form.view)
    order(panel, "other_status", status="perhaps")
    form.send.click()
    assert "perhaps" in shown_texts(form.view)
    order(panel, "slow", seconds="2.5")
    form.send.click()
    assert ("sent", "2.60 s" in shown_texts(form.view)) == (form.state, True)
    order(panel, "http_429_seconds", seconds="7")
    form.send_anyway.click()
    assert "7.2" in shown_texts(form.view)
    for seconds in ("nan", "-1", "1e400"):
        order(panel, "slow", seconds=seconds)
        assert "expected 0 to 1,000,000,000 seconds, got" in shown_texts(panel.view)
    order(panel, "slow", seconds="soon")
    assert "Not ordered: could not convert string to float: &#x27;soon&#x27;." in shown_texts(panel.view)


def test_duplicates_are_marked() -> None:
    """Whether the sandbox keeps or drops them."""
    for sandbox, mark in ((bwp.Sandbox(), "same id as another"), (bwp.Sandbox(deduplicate=True), "known id")):
        client = bwp.connect(sandbox)
        event = client.new_event("click")
        for sent in (event, event, client.new_event("click")):
            client.send(sent)
        shown = shown_texts(SandboxPanel(sandbox).view)
        assert (3, 2 - sandbox.deduplicate) == (shown.count(">click</td>"), shown.count(f">{mark}</td>"))


def test_a_panel_lists_the_pending_faults() -> None:
    """In their order, until they were played."""
    sandbox = bwp.Sandbox()
    panel = SandboxPanel(sandbox)
    order(panel, "reset_after")
    order(panel, "refused", 3)
    assert "Ordered for the next requests: reset_after, 3 times refused." in shown_texts(panel.view)
    client = bwp.connect(sandbox)
    with pytest.raises(bwp.RequestFailed):
        client.send(client.new_event("click"))
    panel.refresh.click()
    assert "Ordered" not in shown_texts(panel.view)


def test_a_panel_counts_events_that_the_sandbox_no_longer_has() -> None:
    """A sandbox keeps a bounded number of events, and counts all."""
    sandbox = bwp.Sandbox(keep=2)
    client = bwp.connect(sandbox)
    client.send([client.new_event("click") for _ in range(5)])
    panel = SandboxPanel(sandbox)
    shown = shown_texts(panel.view)
    assert ("5 accepted, 0 rejected, 1 request." in shown, 2) == (True, shown.count(">click</td>"))
    assert "SandboxPanel(Sandbox(accepted=5" in repr(panel)
    assert ">click</td>" in panel._repr_mimebundle_()["text/html"]
