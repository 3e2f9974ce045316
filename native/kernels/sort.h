/* The instruction `topk`: the first elements along one axis, in order, and where they were.

   in: x. out: values (of x's type), places (int64); one of them may be left out. Both have x's shape
   but along the axis, where their size says how many are wanted.
   params: axis, whether the largest are meant. */
#ifndef PM_SORT_H
#define PM_SORT_H

#include "reduce_path.h"

enum { PM_TOPK_PARAMS = 2 };

/* A place and a value of up to 8 bytes. */
enum { PM_TOPK_ENTRY = 16 };

static inline const pm_tensor *pm_topk_shape(const pm_call *call) {
  return call->out[0].t ? call->out[0].t : call->out[1].t;
}

#endif
