#include "attention.h"
#include "reduce_path.h"

#define MOST ((int64_t)1 << 30)

static bool is_contiguous(const pm_tensor *t) { return t->strides[3] == 1 || t->dims[3] <= 1; }

static bool fit(const pm_tensor *q, const pm_tensor *k, const pm_tensor *v, const pm_tensor *y) {
  if (q->rank != 4 || k->rank != 4 || v->rank != 4 || y->rank != 4) return false;
  if (q->dtype != PM_F32 || k->dtype != PM_F32 || v->dtype != PM_F32 || y->dtype != PM_F32) return false;
  if (!is_contiguous(k) || !is_contiguous(v)) return false;
  if (k->dims[0] != q->dims[0] || k->dims[3] != q->dims[3]) return false;
  for (int i = 0; i < 3; i++)
    if (v->dims[i] != k->dims[i] || y->dims[i] != q->dims[i]) return false;
  if (y->dims[3] != v->dims[3] || k->dims[2] > MOST || q->dims[2] > MOST) return false;
  if (q->dims[3] > MOST / PM_ATTENTION_QUERIES || v->dims[3] > MOST / PM_ATTENTION_QUERIES) return false;
  return k->dims[1] ? q->dims[1] % k->dims[1] == 0 : q->dims[1] == 0;
}

static bool mask_fits(const pm_tensor *mask, const pm_tensor *q, const pm_tensor *k) {
  if (!mask) return true;
  if (mask->rank != 4 || (mask->dtype != PM_F32 && mask->dtype != PM_BOOL)) return false;
  for (int i = 0; i < 3; i++)
    if (mask->dims[i] != 1 && mask->dims[i] != q->dims[i]) return false;
  return mask->dims[3] <= k->dims[2];
}

static bool counts_fit(const pm_tensor *counts, const pm_tensor *q) {
  return !counts || (counts->dtype == PM_I64 && counts->rank == 1 && counts->dims[0] == q->dims[0]);
}

static bool scores_fit(const pm_tensor *scores, const pm_tensor *q, const pm_tensor *k) {
  if (!scores) return true;
  if (scores->rank != 4 || scores->dtype != PM_F32 || scores->dims[3] != k->dims[2]) return false;
  for (int i = 0; i < 3; i++)
    if (scores->dims[i] != q->dims[i]) return false;
  return true;
}

static bool params_fit(const int64_t *params) {
  for (int i = PM_ATTENTION_BEFORE; i <= PM_ATTENTION_RIGHT; i++)
    if (params[i] < (i == PM_ATTENTION_BEFORE ? 0 : -1) || params[i] > MOST) return false;
  return params[PM_ATTENTION_STAGE] >= 0 && params[PM_ATTENTION_STAGE] <= PM_STAGE_SHARES;
}

PM_CHECK(attention) {
  const bool counted = call->n_in == 5 && call->n_out == 2 && call->n_params == PM_ATTENTION_PARAMS;
  if (!counted || !call->out[0].t) return PM_E_PARAMS;
  for (int i = 0; i < 3; i++)
    if (!call->in[i].t) return PM_E_PARAMS;
  const pm_tensor *q = call->in[PM_ATTENTION_Q].t, *k = call->in[PM_ATTENTION_K].t;
  const pm_tensor *v = call->in[PM_ATTENTION_V].t;
  if (!params_fit(call->params)) return PM_E_PARAMS;
  if (!pm_are_whole(call) || !fit(q, k, v, call->out[0].t)) return PM_E_TENSOR;
  if (!mask_fits(call->in[PM_ATTENTION_MASK].t, q, k)) return PM_E_TENSOR;
  if (!counts_fit(call->in[PM_ATTENTION_COUNTS].t, q)) return PM_E_TENSOR;
  if (!scores_fit(call->out[1].t, q, k)) return PM_E_TENSOR;
  const size_t rows = (size_t)q->dims[3] + v->dims[3] + PM_ATTENTION_KEYS;
  need->own = rows * PM_ATTENTION_QUERIES * sizeof(float);
  return PM_OK;
}
