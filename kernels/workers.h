/* Threads that share a row of strings take them in portions: one that was held up leaves more to the others. */
#ifndef CELLWARD_WORKERS_H
#define CELLWARD_WORKERS_H

#include <stddef.h>

/* The first of the next `portion` that nobody has taken yet. */
static ptrdiff_t taken(ptrdiff_t *next, ptrdiff_t portion)
{
    return __atomic_fetch_add(next, portion, __ATOMIC_RELAXED);
}

#endif
