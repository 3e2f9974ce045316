#include "matmul.h"

#define MOST ((int64_t)1 << 31)

bool pm_stacks(const pm_tensor *t, const pm_tensor *y) {
  if (t->rank != y->rank) return false;
  for (int i = 0; i < y->rank - 2; i++)
    if (t->dims[i] != 1 && t->dims[i] != y->dims[i]) return false;
  return true;
}

bool pm_has_rows_of(const pm_tensor *t, int64_t rows, int64_t columns, bool swapped) {
  const int r = t->rank;
  return t->dims[swapped ? r - 1 : r - 2] == rows && t->dims[swapped ? r - 2 : r - 1] == columns;
}

static bool is_packed(const pm_tensor *b, int64_t k, int64_t n) {
  return b->rank == 3 && b->dims[0] == pm_panels(n) && b->dims[1] == k && b->dims[2] == PM_PANEL &&
         pm_is_contiguous(b);
}

bool pm_last_is_dense(const pm_tensor *t) {
  return t->strides[t->rank - 1] == 1 || t->dims[t->rank - 1] <= 1;
}

static bool has_no_ring(const pm_tensor *t) { return !t || !t->ring; }

bool pm_matmul_fits(const pm_call *call) {
  if (call->n_in < 4 || call->n_out != 1 || call->n_params != MATMUL_PARAMS) return false;
  const pm_tensor *a = call->in[0].t, *b = call->in[1].t, *y = call->out[0].t;
  const pm_tensor *bias = call->in[2].t, *r = call->in[3].t;
  if (!a || !b || !y || y->rank < 2 || !pm_stacks(a, y)) return false;
  if (a->dtype != y->dtype) return false;
  if (bias && (bias->dtype != y->dtype || bias->rank != 1)) return false;
  if (r && (r->dtype != y->dtype || !pm_same_shape(r, y))) return false;
  if (!has_no_ring(a) || !has_no_ring(b) || !has_no_ring(y) || !has_no_ring(r)) return false;
  const int64_t *p = call->params;
  const int64_t m = y->dims[y->rank - 2], n = y->dims[y->rank - 1];
  const bool trans_a = p[MATMUL_TRANS_A] != 0, trans_b = p[MATMUL_TRANS_B] != 0;
  const int64_t k = a->dims[trans_a ? a->rank - 2 : a->rank - 1];
  if (!pm_has_rows_of(a, m, k, trans_a) || (bias && bias->dims[0] != n)) return false;
  if (!pm_epilogue_fits(p[MATMUL_KIND], p[MATMUL_AFTER])) return false;
  if (p[MATMUL_PACKED]) {
    const bool stored = b->dtype == y->dtype ? call->n_in == 4 : pm_is_stored(call);
    return stored && is_packed(b, k, n) && pm_param_f64(p[MATMUL_ALPHA]) == 1;
  }
  return call->n_in == 4 && b->dtype == y->dtype && pm_stacks(b, y) && pm_has_rows_of(b, k, n, trans_b);
}

PM_CHECK(matmul) {
  if (!pm_matmul_fits(call)) return PM_E_PARAMS;
  for (int i = 0; i < 4; i++)
    if (call->in[i].t && !pm_last_is_dense(call->in[i].t)) return PM_E_TENSOR;
  if (call->out[0].t->dtype != PM_F32 || !pm_last_is_dense(call->out[0].t)) return PM_E_TENSOR;
  const pm_matmul p = pm_matmul_of(call);
  const int64_t *v = call->params;
  const int64_t depth = v[MATMUL_DEPTH], columns = v[MATMUL_COLUMNS];
  if (depth < 1 || depth > PM_MAX(p.k, 1) || v[MATMUL_ROWS] < 1) return PM_E_PARAMS;
  if (columns < 1 || columns % (2 * PM_PANEL) || columns > MOST) return PM_E_PARAMS;
  if (v[MATMUL_AFTER] && depth < p.k) return PM_E_PARAMS;
  const int64_t held = PM_MIN(columns, pm_panels(p.n) * PM_PANEL);
  const bool moved = !p.packed || pm_is_narrow(call);
  if (moved && held > MOST / depth) return PM_E_PARAMS;
  const int64_t floats = pm_tile_rows(&p) * (pm_packed_stride(depth) + pm_packed_stride(held)) +
                         (moved ? depth * held : 0);
  need->own = (size_t)floats * sizeof(float);
  return PM_OK;
}

