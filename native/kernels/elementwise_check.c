#include "activation.h"
#include "elementwise.h"

/* The first `count` inputs and the output fit the parameters code and class. */
static bool fits(const pm_call *call, unsigned codes) {
  if (call->n_in < 1 || !pm_has(call, call->n_in, 1, call->n_params)) return false;
  if (!pm_are_whole(call)) return false;
  if (call->params[0] < 0 || call->params[0] >= codes) return false;
  if (call->params[1] < 0 || call->params[1] >= PM_CLASS_COUNT) return false;
  for (int i = 0; i < call->n_in; i++)
    if (!pm_broadcasts(call->in[i].t, call->out[0].t)) return false;
  return true;
}

static const unsigned unary_classes[] = {
#define PM_UNARY(name, text, classes, vector, real, whole) classes,
#include "unary.def"
#undef PM_UNARY
};

static const unsigned binary_classes[] = {
#define PM_BINARY(name, text, classes, vector, real, whole) classes,
#include "binary.def"
#undef PM_BINARY
};

PM_CHECK(unary) {
  (void)need;
  if (call->n_in != 1 || call->n_params != 4 || !fits(call, PM_UNARY_COUNT)) return PM_E_PARAMS;
  return unary_classes[call->params[0]] >> call->params[1] & 1 ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(activation) {
  (void)need;
  if (call->n_in != 1 || call->n_params != 4 || !fits(call, PM_ACT_COUNT)) return PM_E_PARAMS;
  return PM_FLOATS >> call->params[1] & 1 ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(binary) {
  (void)need;
  if (call->n_in < 2 || call->n_params != 3 || !fits(call, PM_BINARY_COUNT)) return PM_E_PARAMS;
  return binary_classes[call->params[0]] >> call->params[1] & 1 ? PM_OK : PM_E_PARAMS;
}

/* where: a condition of bytes, and two inputs of the output's type. */
PM_CHECK(where) {
  (void)need;
  if (!pm_has(call, 3, 1, 0) || !pm_are_whole(call)) return PM_E_PARAMS;
  if (pm_dtype_size(call->in[0].t->dtype) != 1) return PM_E_PARAMS;
  for (int i = 0; i < 3; i++)
    if (!pm_broadcasts(call->in[i].t, call->out[0].t)) return PM_E_PARAMS;
  for (int i = 1; i < 3; i++)
    if (call->in[i].t->dtype != call->out[0].t->dtype) return PM_E_PARAMS;
  return PM_OK;
}
