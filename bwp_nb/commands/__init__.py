"""The commands of the command line; each returns a `Result` with its exit `Status` and its `Case`s, or raises an
error, of which `said` gives the text.

To add one, write its function, and add a line to `COMMANDS` in `__main__.py`. Its docstring becomes its help.
"""
