"""What a person sees: HTML that is readable without a style sheet, light and dark; short errors; the drawing of charts.

Its interface: `Html`, `Listing`, `Shown`, `card`, `chip`, `code`, `columns`, `document`, `folded`, `html_table` and
`linked` of `html`; `InvalidArgument` and `ShortError` of `short_errors`; `Chart`, `bars` and `one_bar` of `chart`.
"""
