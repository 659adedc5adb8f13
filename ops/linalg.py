"""linear algebra"""

__all__: list[str] = []
