/* The instruction `argmax`: where along one axis the largest or smallest element is.

   in: x. out: y, int64, of x's rank with 1 along the axis.
   params: axis, whether the smallest is meant, whether of equals the last is. */
#ifndef PM_REDUCE_ARG_H
#define PM_REDUCE_ARG_H

#include "reduce_path.h"

enum { PM_ARGMAX_PARAMS = 3 };

#endif
