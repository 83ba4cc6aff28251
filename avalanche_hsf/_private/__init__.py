"""Private attributes of libraries, each behind a function, with the reason.

No library has a public way to them. An update is checked here; `tests/test_structure.py` finds
other uses.
"""
