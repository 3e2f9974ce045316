/* resize: images made larger or smaller along neighbouring axes.

   In: x (outer, sizes..., inner) and for each of the axes between a table of places (outputs, taps) of
   int32, and their weights, float64 of the same shape, or none for a plain copy. Out: y (outer,
   outputs..., inner): along each axis a sum of what lies at the places, times its weight. Where any
   place is -1 it is the value.
   Parameters: the value; the first and last + 1 row of outputs to make along the first of the axes
   (with two axes x and y may hold only some of their rows). */
#ifndef PM_RESIZE_H
#define PM_RESIZE_H

#include "nest.h"

#define PM_RESIZE_AXES (PM_MAX_RANK - 2)

static inline int pm_resize_axes(const pm_call *call) { return (call->n_in - 1) / 2; }

/* NULL where an axis is copied. */
static inline const pm_view *pm_resize_weights(const pm_call *call, int axis) {
  const pm_view *weights = &call->in[2 + 2 * axis];
  return weights->t ? weights : NULL;
}

/* Whether elements are only moved. */
static inline bool pm_resize_moves(const pm_call *call) {
  for (int i = 0; i < pm_resize_axes(call); i++)
    if (pm_resize_weights(call, i)) return false;
  return true;
}

/* What a worker needs: a row of the input, and the last axis' table. */
typedef struct {
  int64_t row, places, weights, total; /* where each starts, in bytes */
} pm_resize_room;

static inline pm_resize_room pm_resize_room_of(const pm_call *call) {
  const pm_tensor *x = call->in[0].t, *table = call->in[2 * pm_resize_axes(call) - 1].t;
  const int64_t size = call->out[0].t->dtype == PM_F32 ? 4 : 8;
  const int64_t pixels = pm_count(x) ? (int64_t)x->dims[x->rank - 2] * x->dims[x->rank - 1] : 0;
  const int64_t taps = (int64_t)table->dims[0] * table->dims[1];
  pm_resize_room room = {0, 0, 0, 0};
  room.places = (int64_t)pm_aligned((size_t)(pixels * size));
  room.weights = room.places + (int64_t)pm_aligned((size_t)(taps * 8));
  room.total = room.weights + (int64_t)pm_aligned((size_t)(taps * size));
  return room;
}

#endif
