/* The inverse of a maximum's places. */
#include "pool_unpool.h"

#include <string.h>

static void clear(const pm_call *call, const pm_worker *worker) {
  const pm_tensor *y = call->out[0].t;
  const pm_path path = pm_path_over(&y, 1, ~0u);
  const size_t size = pm_dtype_size(y->dtype);
  int64_t begin, end;
  pm_share(worker, path.count, &begin, &end);
  pm_spot spot = pm_path_seek(&path, begin);
  for (int64_t i = begin; i < end; i++, pm_path_next(&path, &spot))
    memset(call->out[0].data + (size_t)spot.offset[0] * size, 0, size);
}

/* The element of y at a place of the flattened image, or -1. */
static int64_t element_of(const pm_call *call, int64_t place) {
  const pm_tensor *y = call->out[0].t;
  int64_t rest = place, offset = 0;
  if (place < 0) return -1;
  for (int axis = y->rank - 1; axis >= 0; axis--) {
    const int64_t size = axis < 2 ? y->dims[axis] : call->params[axis + 5 - y->rank - 2];
    const int64_t at = axis ? rest % size : rest;
    if (at >= y->dims[axis]) return -1;
    offset += at * y->strides[axis];
    rest /= size;
  }
  return offset;
}

PM_KERNEL(unpool) {
  const pm_tensor *tensors[] = {call->in[0].t, call->in[1].t};
  const size_t size = pm_dtype_size(tensors[0]->dtype);
  if (!pm_count(call->out[0].t)) return;
  clear(call, worker);
  pm_barrier(worker);
  /* In one order, so that it is always the same number that counts. */
  if (worker->id) return;
  const pm_path path = pm_path_over(tensors, 2, ~0u);
  for (int64_t i = path.count - 1; i >= 0; i--) {
    const pm_spot spot = pm_path_seek(&path, i);
    const int64_t at = element_of(call, ((const int64_t *)call->in[1].data)[spot.offset[1]]);
    if (at < 0) continue;
    const uint8_t *x = call->in[0].data + (size_t)spot.offset[0] * size;
    memcpy(call->out[0].data + (size_t)at * size, x, size);
  }
}
