"""gather"""

__all__: list[str] = []
