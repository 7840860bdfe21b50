"""Explore, document and use one GraphQL mutation: Amazon Buy with Prime's `sendUserEvents`.

The first send, to the sandbox, which is the documented API simulated in the process:

    >>> import bwp_nb as bwp
    >>> client = bwp.connect()
    >>> client.send(client.new_event("page-load", current_url="https://example.com"))
    Receipt(status='successful', events=1, attempts=1)

The public names; `help()` of each says more:

    connect             a client of a new sandbox, of the one you give it, or of the live API
    Client              sends events and any GraphQL text, makes a `new_event`; has a `history` and the `last_error`
    Retries             how often and how long a client retries
    UserEvent           one event, an immutable value; `problems()` are broken rules, `hints()` likely mistakes
    Hint                what is probably a mistake in an event but not refused, with its certainty and source
    EVENT_TYPES         the documented event types; `reference('event types')` says when each is sent
    Mutation            one request as a value: `payload`, `text`, `problems()`, and `parse` for pasted text
    Receipt             the proof that events were accepted: status, number of events, attempts, seconds
    send_table          sends a table with several workers and returns a `Report`
    Report              the outcome of each row, and the rows to fix as a table
    dry_run             everything that `send_table` does except the sending; returns a `DryRun`
    DryRun              what `send_table` would do with each row
    Sandbox             the simulated API: what was `accepted` and `rejected`, `fail_next()`, `reset()`
    serve               the sandbox on 127.0.0.1, for cURL and other clients
    documented          the documentation's own requests and responses
    reference           what is known of the API, and what this package makes of it, as tables
    Reference           one of these tables
    History             the calls of a client, each an `Exchange`; `frame()`, `save()`, `load()`
    Exchange            one call: its request, its response or error, its time
    compare             the differences of two responses, exchanges or histories, each a `Difference`
    Difference          one place in which two of them differ
    faults              the faults that `Sandbox.fail_next` can simulate, each a `Fault`
    Fault               one of them: its name, its options, what happens
    doctor              checks everything that must be right before the first send; sends no event
    Diagnosis           the result of `doctor`: a step for each check
    checklist           which documented events a client has sent, and what was refused; returns a `Checklist`
    Checklist           the result of `checklist`; `save()` writes a page for the merchant
    drift               how a server differs from what is known of the API
    Drift               the result of `drift`: each difference, and what it concerns
    BwpError            the base class of the errors
    InvalidEvent        an event or a request breaks a rule; nothing was sent
    InvalidSettings     settings are missing or malformed; nothing was sent
    InvalidTable        a table cannot be read, or its columns do not fit; nothing was sent
    LedgerError         a run cannot begin, resume or continue with its ledger
    RequestFailed       no GraphQL response came back
    MutationRejected    the API answered with errors
    OutcomeUnknown      the response proves neither success nor failure
    explain             an error as a table: event, field, value, rule with its source, what to do
    CLASSIFICATIONS     the meaning of the API's error classifications, what to do, and how certain that is
    forms               `EventForm(client)` makes and sends events; also `SandboxPanel` and `CredentialsForm`
    snippets            a request as GraphQL, JSON, cURL, Python, JavaScript, a Postman collection
    plots               charts: `outcomes`, `errors`, `latency`, `arrivals`, `rows`, `reasons`; with `save()`, `table`
    traffic             `shop_day()`, a made-up day of shop events, and its `replay()`
    Problem             a rule that an event breaks: field, value, rule, message
    RejectedValue       a value that the API's error names: event, field, value, rule

How the package is laid out. Sandbox and live API are both httpx transports: a client gets one or the other, and nothing
else differs.

    bwp_nb/
                          the core: an event, a request, a send, its outcome
      __init__.py         the public names; each module loads on first use
      event.py            UserEvent, and the rules that it is checked against
      mutation.py         one request as a value
      client.py           sends, and raises or returns the outcome
      errors.py           the error tree; a rule that an event breaks, a value that the API refuses
      history.py          every call of a client as a row; two of them compared
      text.py             text for people, escaped and cut
                          leaves: where a client points, and what is done with one
      __main__.py         the command line: check, doctor, drift, send, serve
      connection.py       connect: a client of the sandbox or of the live API
      settings.py         the settings of the live API
      snippets/           a request as text for other tools
      pasted.py           pasted text as events: GraphQL, JSON, cURL, Python
      plots.py            charts
      checklist.py        which documented events were sent
      reference.py        what is known, as tables
      doctor.py           checks everything before the first send
      drift.py            compares the API with what is known of it
      traffic.py          a made-up day of a shop's events, and its replay
                          rooms, each with its interface in its __init__.py
      contract/           what is known of the API: schema.graphql, facts.toml, documented examples, hints
      displays/           what a person sees: HTML, short errors, the drawing of charts
      wire/               how a request travels: response, token, retries, transport, clock
      sandbox/            the API in this process, faults to order, and a server for other programs
      tables/             many events: source, mapping, encoding, sender, ledger, report
      forms/              events made by hand

Imports go to the left, so that each module can be read without those to its right; the sandbox shares `contract` and
`displays` with them, and no code of the client:

    text ← displays ← errors ← event ← mutation ← client
"""

import lazy_loader

# The public names are in __init__.pyi; each module loads when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
