"""Reports: tables, figures and statistics, of whatever was measured."""

import lazy_loader

# Imported when asked for: figures and statistics need no extra, tables and pages do.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
