#include "qmatmul.h"

#define MOST ((int64_t)1 << 30)

static bool has_no_ring(const pm_tensor *t) { return !t->ring; }

/* One number for each column, left out or not as the rows behind panels say. */
static bool is_row(const pm_tensor *t, unsigned dtype, int64_t columns, bool wanted) {
  if (!t || !wanted) return !t && !wanted;
  return t->dtype == dtype && t->rank == 1 && t->dims[0] == columns && pm_is_contiguous(t);
}

static bool operands_fit(const pm_call *call) {
  const pm_tensor *a = call->in[0].t, *b = call->in[1].t, *y = call->out[0].t;
  if (!a || !b || !y || y->rank < 2 || !pm_is_byte(a) || !pm_is_byte(b)) return false;
  if (!pm_stacks(a, y) || !pm_last_is_dense(a) || !pm_last_is_dense(y)) return false;
  return has_no_ring(a) && has_no_ring(b) && has_no_ring(y);
}

static bool b_fits(const pm_call *call, int64_t k, int64_t n) {
  const int64_t *v = call->params, tail = v[QMATMUL_TAIL];
  const pm_tensor *b = call->in[1].t, *y = call->out[0].t;
  if (v[QMATMUL_PACKED]) {
    if (call->in[4].t || call->in[5].t || call->in[6].t) return false;
    return pm_qpanels_fit(b, pm_qpanels(n), k, tail);
  }
  if (!pm_stacks(b, y) || !pm_last_is_dense(b) || !pm_has_rows_of(b, k, n, v[QMATMUL_TRANS_B] != 0))
    return false;
  if (!(tail & PM_QSUMS) || tail & PM_QMULTIPLIERS || tail < 0 || tail > PM_QROWS) return false;
  return pm_qzero_fits(b, call->in[4].t, v[QMATMUL_B_ZERO]) &&
         is_row(call->in[5].t, PM_I32, n, tail & PM_QBIAS) &&
         is_row(call->in[6].t, PM_F32, n, tail & PM_QFLOATS);
}

PM_CHECK(qmatmul) {
  if (call->n_in != 7 || call->n_out != 1 || call->n_params != QMATMUL_PARAMS) return PM_E_PARAMS;
  if (!operands_fit(call)) return PM_E_TENSOR;
  const int64_t *v = call->params;
  const pm_tensor *a = call->in[0].t, *y = call->out[0].t;
  const int64_t m = y->dims[y->rank - 2], n = y->dims[y->rank - 1], k = a->dims[a->rank - 1];
  if (k > MOST || !pm_has_rows_of(a, m, k, false) || !b_fits(call, k, n)) return PM_E_TENSOR;
  if (!pm_qzero_fits(a, call->in[2].t, v[QMATMUL_ZERO])) return PM_E_PARAMS;
  if (!pm_qfinish_fits(y, v[QMATMUL_Y_ZERO], v[QMATMUL_LOW], v[QMATMUL_HIGH])) return PM_E_PARAMS;
  if (!pm_qmultiplier_fits(y, call->in[3].t, n, v[QMATMUL_TAIL])) return PM_E_PARAMS;
  const int64_t columns = v[QMATMUL_COLUMNS];
  if (columns < 1 || columns % (2 * PM_QPANEL) || columns > MOST || v[QMATMUL_ROWS] < 1) return PM_E_PARAMS;
  const pm_matmul p = pm_qmatmul_of(call);
  const int64_t panel = pm_qgroups(k, v[QMATMUL_TAIL]) * PM_QGROUP;
  const int64_t held = p.packed ? 0 : pm_qmatmul_columns(&p, v) / PM_QPANEL;
  if (held > (MOST << 10) / panel) return PM_E_PARAMS;
  need->own = (size_t)(pm_qtile_bytes(k) + held * panel);
  return PM_OK;
}
