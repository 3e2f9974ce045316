/* The instruction `lrn`: each number divided by a power of the squares of its neighbours.

   in: x. out: y, of x's type and shape.
   params: axis, size, alpha, beta, bias (the last three are doubles).
   y = x / (bias + alpha / size * sum of squares of size neighbours along the axis) ^ beta */
#ifndef PM_NORM_LRN_H
#define PM_NORM_LRN_H

#include "reduce_path.h"

enum { PM_LRN_PARAMS = 5, PM_LRN_SLACK = 16 };

/* More neighbours than elements add nothing. */
static inline int64_t pm_lrn_before(int64_t size, int64_t n) { return PM_MIN((size - 1) / 2, n); }
static inline int64_t pm_lrn_after(int64_t size, int64_t n) { return PM_MIN(size - 1 - (size - 1) / 2, n); }

#endif
