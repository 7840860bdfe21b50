"""What is checked before, beside and after a send, and a pytest plugin.

Its interface is `doctor` with its `Step`, `drift` with its `Change`, `checklist`, and `Arrivals` with its `Arrival`.
"""
