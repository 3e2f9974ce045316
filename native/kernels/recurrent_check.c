#include "recurrent.h"

#include "activation.h"
#include "reduce_path.h"

#define MOST ((int64_t)1 << 20)

/* Whether a tensor, if it is there, has these sizes, the last axis contiguous. */
static bool has(const pm_tensor *t, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t sizes[4] = {a, b, c, d};
  if (!t) return true;
  if (t->rank != rank || t->dtype != PM_F32) return false;
  for (int i = 0; i < rank; i++)
    if (t->dims[i] != sizes[i]) return false;
  return t->strides[rank - 1] == 1 || t->dims[rank - 1] <= 1;
}

static bool sizes_are_possible(const pm_call *call) {
  for (int i = 0; i < 3; i++) {
    const pm_tensor *t = call->in[i].t;
    if (!t || t->rank != 3) return false;
    for (int j = 0; j < 3; j++)
      if (t->dims[j] > MOST) return false;
  }
  return true;
}

static bool inputs_fit(const pm_call *call, const pm_recurrent *s) {
  const int64_t rows = s->gates * s->hidden, d = s->directions;
  const pm_tensor *lengths = call->in[PM_RECURRENT_LENGTHS].t;
  if (lengths && lengths->dtype != PM_I32 && lengths->dtype != PM_I64) return false;
  if (lengths && (lengths->rank != 1 || lengths->dims[0] != s->batch)) return false;
  return has(call->in[PM_RECURRENT_X].t, 3, s->steps, s->batch, s->inputs, 0) &&
         has(call->in[PM_RECURRENT_W].t, 3, d, rows, s->inputs, 0) &&
         has(call->in[PM_RECURRENT_R].t, 3, d, rows, s->hidden, 0) &&
         has(call->in[PM_RECURRENT_BIAS].t, 2, d, 2 * rows, 0, 0) &&
         has(call->in[PM_RECURRENT_STATE].t, 3, d, s->batch, s->hidden, 0) &&
         has(call->in[PM_RECURRENT_CELL].t, 3, d, s->batch, s->hidden, 0) &&
         has(call->in[PM_RECURRENT_PEEPHOLES].t, 2, d, 3 * s->hidden, 0, 0);
}

static bool functions_are_known(const int64_t *params) {
  for (int i = 0; i < 6; i++) {
    const int64_t function = params[PM_RECURRENT_FUNCTIONS + 3 * i];
    if (function < PM_FUNCTION_SCALED_TANH || function >= PM_ACT_COUNT) return false;
  }
  return params[PM_RECURRENT_KIND] >= 0 && params[PM_RECURRENT_KIND] < PM_RECURRENT_KINDS;
}

PM_CHECK(recurrent) {
  const bool counted = call->n_in == PM_RECURRENT_INPUTS && call->n_out == 3;
  if (!counted || call->n_params != PM_RECURRENT_PARAMS) return PM_E_PARAMS;
  if (!functions_are_known(call->params)) return PM_E_PARAMS;
  if (!sizes_are_possible(call) || !pm_are_whole(call)) return PM_E_TENSOR;
  const pm_recurrent s = pm_recurrent_of(call);
  const int64_t d = s.directions;
  if (d < 1 || d > 2 || s.batch * s.hidden > MOST || !inputs_fit(call, &s)) return PM_E_TENSOR;
  if (!has(call->out[0].t, 4, s.steps, d, s.batch, s.hidden)) return PM_E_TENSOR;
  if (!has(call->out[1].t, 3, d, s.batch, s.hidden, 0)) return PM_E_TENSOR;
  if (!has(call->out[2].t, 3, d, s.batch, s.hidden, 0)) return PM_E_TENSOR;
  need->shared = (size_t)pm_recurrent_scratch(&s) * sizeof(float);
  return PM_OK;
}
