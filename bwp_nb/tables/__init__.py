"""Many events: reads a table, sends it in batches, and reports the outcome of each row.

A row passes through the modules in one direction: `source` reads it (by `files` and `arrow`) into `chunks`, `mapping`
finds its fields and properties (`columns` knows the names that are nearly fields) and makes texts of their values (by
`conversion`), `encoding` checks and encodes it, `batches` puts it into a batch, `sender` sends that when `throttle`
allows it, `ledger` records the outcome, and `report` shows it; `bulk` connects them. Before that, `survey` has read the
table once: it counts what is generated and refuses repeated ids (found by `duplicates`). The interface is `send_table`
and `dry_run` in `bulk`, `Report` and `DryRun` in `report`, and `rows` (`events_of`, `File`, `to_json` and `to_csv`), by
which forms read and save events.
"""
