#include "index.h"

static bool is_index(const pm_tensor *t) { return t->dtype == PM_I32 || t->dtype == PM_I64; }

/* Inputs, output and parameters are there, and whole; the data's element types agree. */
static bool has(const pm_call *call, int n_params, int indices, int data) {
  if (!pm_has(call, 2, 1, n_params) || !pm_are_whole(call)) return false;
  if (indices >= 0 && !is_index(call->in[indices].t)) return false;
  return call->in[data].t->dtype == call->out[0].t->dtype;
}

static bool is_kind(int64_t kind) { return kind >= 0 && kind < PM_SCATTER_COUNT; }

/* Whether `t` is at least as long as `like` along all axes but one. */
static bool covers(const pm_tensor *t, const pm_tensor *like, int64_t axis) {
  if (t->rank != like->rank || axis < 0 || axis >= t->rank) return false;
  for (int i = 0; i < t->rank; i++)
    if (i != axis && t->dims[i] < like->dims[i]) return false;
  return true;
}

PM_CHECK(gather) {
  (void)need;
  if (!has(call, 1, 1, 0)) return PM_E_PARAMS;
  const bool fits = covers(call->in[0].t, call->out[0].t, call->params[0]);
  return fits && pm_broadcasts(call->in[1].t, call->out[0].t) ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(gather_nd) {
  (void)need;
  if (!has(call, 0, 1, 0)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *indices = call->in[1].t, *y = call->out[0].t;
  if (indices->rank != 3 || y->rank != 3 || x->rank < 3) return PM_E_PARAMS;
  if (indices->dims[2] != x->rank - 2u || indices->dims[0] != y->dims[0]) return PM_E_PARAMS;
  if (indices->dims[1] != y->dims[1] || x->dims[0] != y->dims[0]) return PM_E_PARAMS;
  return x->dims[x->rank - 1] == y->dims[2] ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(scatter) {
  (void)need;
  if (!has(call, 2, 0, 1) || !is_kind(call->params[1])) return PM_E_PARAMS;
  const bool fits = covers(call->out[0].t, call->in[1].t, call->params[0]);
  return fits && pm_broadcasts(call->in[0].t, call->in[1].t) ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(scatter_nd) {
  (void)need;
  if (!has(call, 1, 0, 1) || !is_kind(call->params[0])) return PM_E_PARAMS;
  const pm_tensor *indices = call->in[0].t, *updates = call->in[1].t, *y = call->out[0].t;
  if (indices->rank != 2 || updates->rank != 2 || y->rank < 2) return PM_E_PARAMS;
  if (indices->dims[1] != y->rank - 1u || indices->dims[0] != updates->dims[0]) return PM_E_PARAMS;
  return updates->dims[1] == y->dims[y->rank - 1] ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(tensor_scatter) {
  (void)need;
  if (!has(call, 1, 0, 1)) return PM_E_PARAMS;
  const pm_tensor *places = call->in[0].t, *from = call->in[1].t, *y = call->out[0].t;
  if (places->rank != 1 || from->rank != 4 || y->rank != 4) return PM_E_PARAMS;
  if (places->dims[0] != y->dims[0] || from->dims[0] != y->dims[0]) return PM_E_PARAMS;
  return from->dims[1] == y->dims[1] && from->dims[3] == y->dims[3] ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(one_hot) {
  (void)need;
  if (!has(call, 0, -1, 1)) return PM_E_PARAMS;
  const pm_tensor *indices = call->in[0].t, *values = call->in[1].t, *y = call->out[0].t;
  if (indices->rank != 2 || values->rank != 1 || y->rank != 3) return PM_E_PARAMS;
  if (values->dims[0] != 2 || indices->dims[0] != y->dims[0]) return PM_E_PARAMS;
  return indices->dims[1] == y->dims[2] ? PM_OK : PM_E_PARAMS;
}
