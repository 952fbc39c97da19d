"""The instruction sets of variants.h, for kernels whose loops exist in several."""

cdef extern from "variants.h" nogil:
    enum:
        VARIANTS
    const char **variant_names
    int variant_runs(int variant)


cdef inline list runnable_variants():
    """Names of those that this processor can run, the best one last."""
    return [variant_names[v].decode() for v in range(VARIANTS) if variant_runs(v)]


cdef inline int variant_index(variant) except -1:
    """Its index; of the best one for None. ValueError for one that cannot run here."""
    cdef int v
    cdef int best = 0
    for v in range(VARIANTS):
        if variant_runs(v):
            best = v
            if variant_names[v].decode() == variant:
                return v
    if variant is not None:
        raise ValueError(f"variant: got {variant!r}, expected one of {', '.join(runnable_variants())}")
    return best
