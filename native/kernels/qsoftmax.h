/* The instruction `qsoftmax`: shares along one axis, of 8-bit integers and in 8-bit integers.

   in: x, and 256 numbers of int32: what exp is at each distance from the largest, which is the last of them.
   out: y of 8 bits and x's shape; may be x itself.
   params: axis; 1 in units of y, a double; zero point of y. Numbers are added up exactly. */
#ifndef PM_QSOFTMAX_H
#define PM_QSOFTMAX_H

#include "reduce_path.h"

enum {
  PM_QSOFTMAX_AXIS,
  PM_QSOFTMAX_FACTOR,
  PM_QSOFTMAX_ZERO,
  PM_QSOFTMAX_PARAMS,
};

#endif
