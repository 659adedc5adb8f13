"""normalisation"""

__all__: list[str] = []
