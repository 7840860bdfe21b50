"""What a person sees: HTML that is readable without a style sheet, light and dark; short errors; the drawing of charts.

Its interface: `Catalogue`, `Html`, `Listing`, `Shown`, `beside`, `card`, `chip`, `code`, `document`, `folded`,
`highlighted`, `html_table` and `text` of `html`; `InvalidArgument`, `MissingExtra`, `ShortError` and `extra` of
`short_errors`; `frame` of `frames`; `Chart` and `bars` of `chart`; `CITED`, `PAGES`, `facts` and
`pages` of `sources`.
"""
