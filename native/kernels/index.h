/* Reading and writing by index. Indices are int32 or int64 and may be negative; one that is out of
   range ends the run with PM_E_INDEX, and nothing is read or written for it.

   gather: parameter axis. Inputs x, and indices that are broadcast to the output's shape. Along all
     other axes x is read at the output's own place, so that it may be longer there.
   gather_nd: inputs x (batch, sizes..., inner) and tuples of indices (batch, count, number of sizes);
     the output is (batch, count, inner).
   scatter: parameters axis and reduction. Inputs indices, broadcast to the shape of the updates, and
     updates. The output is changed in place.
   scatter_nd: parameter reduction. Inputs tuples (count, number of sizes) and updates (count, inner);
     the output (sizes..., inner) is changed in place.
   tensor_scatter: parameter circular. Inputs the first places (batch) and updates (batch, outer,
     count, inner); the output (batch, outer, length, inner) is changed in place. Places beyond the
     length are left out, or counted from its start again.
   one_hot: inputs indices of any type (outer, inner) and the two values; the output is
     (outer, classes, inner). Indices out of range have no class. */
#ifndef PM_INDEX_H
#define PM_INDEX_H

#include <string.h>

#include "nest.h"

typedef enum {
#define PM_REDUCTION(name, text) PM_SCATTER_##name,
#include "scatter.def"
#undef PM_REDUCTION
  PM_SCATTER_COUNT
} pm_scatter_kind;

static inline int64_t pm_index_at(const uint8_t *at, unsigned dtype) {
  if (dtype == PM_I64) {
    int64_t index;
    memcpy(&index, at, sizeof index);
    return index;
  }
  int32_t index;
  memcpy(&index, at, sizeof index);
  return index;
}

/* The index counted from the front, or -1 where it is out of range. */
static inline int64_t pm_index_in(const uint8_t *at, unsigned dtype, int64_t size) {
  const int64_t index = pm_index_at(at, dtype);
  if (index >= 0) return index < size ? index : -1;
  return index >= -size ? index + size : -1;
}

#endif
