"""The commands of the command line; each returns a `Result` with its `Case`s, which decide its exit status.

To add one, write its function, and add a line to `COMMANDS` in `__main__.py`. Its docstring becomes its help. An error
that it raises is shown by what is `said` of it.
"""
