/* The instruction `softmax`: shares along one axis, or their logarithms.

   in: x. out: y, of x's type and shape; may be x itself.
   params: kind, axis. */
#ifndef PM_SOFTMAX_H
#define PM_SOFTMAX_H

#include "reduce_path.h"

/* In the order of SOFTMAX_KINDS in program/lower/reduction.py. */
typedef enum { PM_SOFTMAX_PLAIN, PM_SOFTMAX_LOG, PM_SOFTMAX_HARD, PM_SOFTMAX_KINDS } pm_softmax_kind;

enum { PM_SOFTMAX_PARAMS = 2 };

#endif
