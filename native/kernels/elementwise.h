/* Functions of one and two elements: their codes, and what checks and kernels share.

   unary and activation: one input; parameters code, class, alpha, beta.
   binary: two inputs or more, of which the result with the first two is combined with the third and so
   on; parameters code, class, alpha.
   Inputs are broadcast to the output's shape. All are computed in the class (classes.def) and may have
   any types; the output may lie in the place of an input of the same size, shape and strides. */
#ifndef PM_ELEMENTWISE_H
#define PM_ELEMENTWISE_H

#include "elements.h"
#include "nest.h"

#define PM_FLOATS (1u << PM_AS_F32 | 1u << PM_AS_F64)
#define PM_WHOLES (1u << PM_AS_I64 | 1u << PM_AS_U64)
#define PM_ALL (PM_FLOATS | PM_WHOLES)

typedef enum {
#define PM_UNARY(name, text, classes, vector, real, whole) PM_UNARY_##name,
#include "unary.def"
#undef PM_UNARY
  PM_UNARY_COUNT
} pm_unary_code;

typedef enum {
#define PM_BINARY(name, text, classes, vector, real, whole) PM_BINARY_##name,
#include "binary.def"
#undef PM_BINARY
  PM_BINARY_COUNT
} pm_binary_code;

/* The function of `n` elements of a class that lie one after the other; b is not read where there
   is only one. y may be a or b. */
typedef void pm_math_fn(const void *a, const void *b, void *y, int64_t n, const double *params);

/* For the classes but F32, which is compiled for each instruction set; NULL where a class is not
   among those of the function. */
pm_math_fn *pm_wide_unary(unsigned code, unsigned class);
pm_math_fn *pm_wide_binary(unsigned code, unsigned class);
pm_math_fn *pm_wide_activation(unsigned code, unsigned class);

/* Whether any of `n` integers of a 64-bit class is 0. */
bool pm_any_zero(const void *x, int64_t n);

#endif
