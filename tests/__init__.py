"""The tests. A package, so that `tests.samples` is this one whatever else a site-packages folder holds."""
