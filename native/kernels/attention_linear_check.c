#include "attention_linear.h"

#include "reduce_path.h"

/* Whether a tensor, if it is there, has these sizes, or 1 along the axis `one`. */
static bool has(const pm_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d, int one) {
  const int64_t sizes[4] = {a, b, c, d};
  if (!t) return true;
  if (t->rank != 4 || t->dtype != PM_F32) return false;
  for (int i = 0; i < 4; i++)
    if (t->dims[i] != sizes[i] && !(i == one && t->dims[i] == 1)) return false;
  return true;
}

PM_CHECK(linear_attention) {
  const bool counted = call->n_in == PM_LINEAR_INPUTS && call->n_out == 2;
  if (!counted || call->n_params != PM_LINEAR_PARAMS || !call->out[0].t || !call->out[1].t) return PM_E_PARAMS;
  for (int i = 0; i < 3; i++)
    if (!call->in[i].t || call->in[i].t->rank != 4) return PM_E_PARAMS;
  const pm_tensor *q = call->in[PM_LINEAR_Q].t, *k = call->in[PM_LINEAR_K].t, *v = call->in[PM_LINEAR_V].t;
  const int64_t n = k->dims[0], heads = k->dims[1], tokens = k->dims[2], d = k->dims[3], e = v->dims[3];
  if (!pm_are_whole(call) || !has(q, n, q->dims[1], tokens, d, -1)) return PM_E_TENSOR;
  if (!has(k, n, heads, tokens, d, -1) || !has(v, n, heads, tokens, e, -1)) return PM_E_TENSOR;
  if (!heads || q->dims[1] % heads || e > (1 << 24)) return PM_E_TENSOR;
  if (!has(call->in[PM_LINEAR_STATE].t, n, heads, d, e, -1)) return PM_E_TENSOR;
  if (!has(call->in[PM_LINEAR_DECAY].t, n, heads, tokens, d, 3)) return PM_E_TENSOR;
  if (!has(call->in[PM_LINEAR_RATE].t, n, heads, tokens, 1, 1)) return PM_E_TENSOR;
  if (!has(call->out[0].t, n, q->dims[1], tokens, e, -1)) return PM_E_TENSOR;
  if (!has(call->out[1].t, n, heads, d, e, -1)) return PM_E_TENSOR;
  need->own = (size_t)e * sizeof(float);
  return PM_OK;
}
