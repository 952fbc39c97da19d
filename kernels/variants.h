/* One loop, compiled for several instruction sets, the best one that this processor can run chosen at run time.
 *
 * A file of loops names its functions VARIANT(name) and is included once per instruction set by a header that ends in
 * a table of function pointers. gcc 12 leaves hardware gathers and 512-bit vectors off unless it tunes for a processor
 * that has them, hence `tune`. Where the compiler is another or the processor is no x86-64, only `plain` exists; on
 * 64-bit ARM that is NEON. Floating point is compiled without contraction and without reassociation (setup.py), and
 * sums run over 16 lanes everywhere: every variant gives the same bits. */
#ifndef CELLWARD_VARIANTS_H
#define CELLWARD_VARIANTS_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define CELLWARD_X86_VARIANTS 1
#else
#define CELLWARD_X86_VARIANTS 0
#endif

/* Before a loop whose passes do not depend on each other, whatever its pointers look like. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

#define CELLWARD_JOIN_(a, b) a##b
#define CELLWARD_JOIN(a, b) CELLWARD_JOIN_(a, b)
#define VARIANT(name) CELLWARD_JOIN(name, VARIANT_SUFFIX)

enum { VARIANT_PLAIN, VARIANT_V3, VARIANT_V4, VARIANTS };

static const char *const variant_names[VARIANTS] = {"plain", "x86-64-v3", "x86-64-v4"};

/* 1 when this build has the variant and this processor can run it. */
static int variant_runs(int variant)
{
#if CELLWARD_X86_VARIANTS
    __builtin_cpu_init();
    if (variant == VARIANT_V3)
        return __builtin_cpu_supports("x86-64-v3") != 0;
    if (variant == VARIANT_V4)
        return __builtin_cpu_supports("x86-64-v4") != 0;
#endif
    return variant == VARIANT_PLAIN;
}

#endif
