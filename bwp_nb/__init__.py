"""Explore, document and use one GraphQL mutation: Amazon Buy with Prime's `sendUserEvents`."""

import lazy_loader

# Names and their homes stand in __init__.pyi; each module loads when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
