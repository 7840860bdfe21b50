"""What is checked before, beside and after a send: `doctor`, `drift`, `checklist`."""
