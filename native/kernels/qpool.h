/* The instruction `qpool`: the mean of each window, of 8-bit integers.

   in: x, channels last, with channels side by side; out: y, as well. Rows may be held in rings.
   params: those of `pool`, of the kind average; then the scale of x in units of that of y, the zero points
   of x and y. A mean is float32(sum of x less its zero point) * (scale / count). */
#ifndef PM_QPOOL_H
#define PM_QPOOL_H

#include "pool.h"

enum {
  PM_QPOOL_SCALE = PM_POOL_PARAMS, /* a double */
  PM_QPOOL_ZERO,
  PM_QPOOL_Y_ZERO,
  PM_QPOOL_PARAMS,
};

#endif
