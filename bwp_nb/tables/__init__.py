"""Many events: reads a table, sends it in batches, and reports the outcome of each row.

A row passes through the modules in one direction: `source` reads it (Arrow data by `arrow`) into `chunks`, `mapping`
finds its fields and properties (`columns` knows the names that are nearly fields) and makes texts of their values (by
`conversion`), `encoding` checks and encodes it, and `staging` keeps it, after the whole table was read, in a temporary
file. From there `sender` takes what is to be sent, and sends it when `throttle` allows it; `ledger` records the
outcome, and `report` shows it; `bulk` connects them, and `parts` does it for many files, on any executor. The interface
is `send_table` and `dry_run` in `bulk`, `send_parts` and `PartsReport` in `parts`, `Report` and `DryRun` in `report`,
and `rows` (`events_of`, `file`, `to_json` and `to_csv`), by which forms read and save events.
"""
