"""special functions"""

__all__: list[str] = []
