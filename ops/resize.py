"""resizing"""

__all__: list[str] = []
