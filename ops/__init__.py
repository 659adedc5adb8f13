"""tensorgraph.ops: the mathematics. One function per operation, its backward rule under it."""

if __name__ != "tensorgraph.ops":
    raise ImportError("this folder is imported as `tensorgraph.ops` (from tensorgraph import ops)")
