"""einsum"""

__all__: list[str] = []
