/* The instruction `einsum`: sums of products along any axes.

   in: up to 4 operands of one rank: an axis for each label, of size 1 where an operand does not have
   it; strides of labels that it has twice are added, so that the diagonal is read. out: y, with 1 along
   the axes that are summed.
   params: the summed axes (bits). All operands have one type: float32, float64, int32 or int64. */
#ifndef PM_EINSUM_H
#define PM_EINSUM_H

#include "reduce_path.h"

enum { PM_EINSUM_PARAMS = 1, PM_EINSUM_OPERANDS = 4 };

/* All axes, each as large as the largest operand has it. */
static inline pm_tensor pm_einsum_whole(const pm_call *call) {
  pm_tensor whole = *call->in[0].t;
  for (int axis = 0; axis < whole.rank; axis++)
    for (int i = 0; i < call->n_in; i++)
      if (call->in[i].t->dims[axis] != 1) whole.dims[axis] = call->in[i].t->dims[axis];
  return whole;
}

#endif
