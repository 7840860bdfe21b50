"""Many events: reads a table, sends it in batches, and reports the outcome of each row.

A row passes through the modules in one direction: `source` reads it (by `files`) into `chunks`, `mapping` finds its
fields and properties, `encoding` checks and encodes it, `batches` puts it into a batch (`duplicates` has compared the
ids), `sender` sends that when `throttle` allows it, `ledger` records the outcome, and `report` shows it; `bulk`
connects them. The interface is `send_table` and `dry_run` in `bulk`, `Report` and `DryRun` in `report`, and `rows`
(`events_of`, `File`, `to_json` and `to_csv`), by which forms read and save events.
"""
