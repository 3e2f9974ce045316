#include "resize.h"

/* The table of an axis: places for every output, and weights of the same shape. */
static bool is_table(const pm_call *call, int axis) {
  const pm_tensor *places = call->in[1 + 2 * axis].t, *y = call->out[0].t;
  if (!places || places->dtype != PM_I32 || places->rank != 2 || !pm_is_contiguous(places)) return false;
  if (places->dims[0] != y->dims[axis + 1] || places->dims[1] < 1) return false;
  const pm_view *weights = pm_resize_weights(call, axis);
  if (!weights) return places->dims[1] == 1;
  const pm_tensor *w = weights->t;
  return w->dtype == PM_F64 && pm_is_contiguous(w) && pm_same_shape(w, places);
}

/* Only the rows of two axes can be held in part. */
static bool are_rows_held(const pm_tensor *t, int axes) {
  return !t->ring || (axes == 2 && t->ring <= t->dims[1]);
}

static bool has_neighbours(const pm_tensor *t) {
  return t->dims[t->rank - 1] == 1 || t->strides[t->rank - 1] == 1;
}

PM_CHECK(resize) {
  const int axes = pm_resize_axes(call);
  if (call->n_in < 3 || call->n_in % 2 == 0 || call->n_out != 1 || call->n_params != 3) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if (!x || !y || axes > PM_RESIZE_AXES || x->rank != axes + 2 || y->rank != axes + 2) return PM_E_PARAMS;
  if (x->dtype != y->dtype || x->dims[0] != y->dims[0]) return PM_E_PARAMS;
  if (x->dims[axes + 1] != y->dims[axes + 1]) return PM_E_PARAMS;
  if (!are_rows_held(x, axes) || !are_rows_held(y, axes)) return PM_E_PARAMS;
  for (int i = 0; i < axes; i++)
    if (!is_table(call, i)) return PM_E_PARAMS;
  const int64_t row0 = call->params[1], row1 = call->params[2];
  if (row0 < 0 || row0 > row1 || row1 > y->dims[1]) return PM_E_PARAMS;
  if (axes == 1 && (row0 != 0 || row1 != y->dims[1])) return PM_E_PARAMS;
  if (!pm_resize_moves(call)) {
    if (!has_neighbours(x) || !has_neighbours(y)) return PM_E_PARAMS;
    need->own = (size_t)pm_resize_room_of(call).total;
  }
  return PM_OK;
}
