/* Activation functions of a vector of floats, for epilogues and for the instruction `activation`.

   In: a vector, the function's number and two parameters. Out: a vector. Errors as in vmath.h,
   relative to the larger of x and the result where a function is a product with x. */
#ifndef PM_ACTIVATION_H
#define PM_ACTIVATION_H

#include "vmath.h"

typedef enum {
#define PM_ACTIVATION(name, text) PM_ACT_##name,
#include "activations.def"
#undef PM_ACTIVATION
  PM_ACT_COUNT
} pm_activation;

PM_INLINE pm_vf pm_softplus(pm_vf x) {
  return pm_vmax((pm_vf){0}, x) + pm_vlog1p(pm_vexp(-pm_vabs(x)));
}

PM_INLINE pm_vf pm_mish(pm_vf x) {
  /* tanh(log(1 + w)) = n / (n + 2) with n = w (w + 2), w = exp(x); from 20 on it is 1. */
  const pm_vf w = pm_vexp(pm_vmin(pm_splat(20.0f), x)), n = w * (w + 2.0f);
  return x * (n / (n + 2.0f));
}

PM_INLINE pm_vf pm_gelu_tanh(pm_vf x) {
  /* (1 + tanh(u)) / 2 = sigmoid(2 u); the factors are 2 sqrt(2 / pi) and that times 0.044715. */
  return x * pm_vsigmoid(x * pm_vaxpb(x * x, 0.0713548162f, 1.59576912f));
}

PM_INLINE pm_vf pm_hard_sigmoid(pm_vf x, float alpha, float beta) {
  return pm_vclip(pm_vaxpb(x, alpha, beta), (pm_vf){0}, pm_splat(1.0f));
}

PM_INLINE pm_vf pm_shrink(pm_vf x, float bias, float lambda) {
  const pm_vf zero = {0};
  const pm_vf above = pm_if_less(pm_splat(lambda), x, x - bias, zero);
  return pm_if_less(x, pm_splat(-lambda), x + bias, above);
}

/* With a constant kind this is straight code. */
PM_INLINE pm_vf pm_activate(pm_vf x, pm_activation kind, float alpha, float beta) {
  const pm_vf zero = {0};
  switch (kind) {
    case PM_ACT_RELU: return pm_vmax(zero, x);
    case PM_ACT_CLIP: return pm_vclip(x, pm_splat(alpha), pm_splat(beta));
    case PM_ACT_LEAKY_RELU: return pm_if_less(x, zero, x * alpha, x);
    case PM_ACT_HARD_SWISH: return x * pm_hard_sigmoid(x, 1.0f / 6.0f, 0.5f);
    case PM_ACT_HARD_SIGMOID: return pm_hard_sigmoid(x, alpha, beta);
    case PM_ACT_SIGMOID: return pm_vsigmoid(x);
    case PM_ACT_SWISH: return x * pm_vsigmoid(x * alpha);
    case PM_ACT_TANH: return pm_vtanh(x);
    case PM_ACT_GELU: return x * 0.5f * (pm_verf(x * 0.707106781f) + 1.0f);
    case PM_ACT_GELU_TANH: return pm_gelu_tanh(x);
    case PM_ACT_ELU: return pm_if_less(x, zero, pm_vexpm1(x) * alpha, x);
    case PM_ACT_SOFTPLUS: return pm_softplus(x);
    case PM_ACT_MISH: return pm_mish(x);
    case PM_ACT_SELU: return pm_if_less(zero, x, x, pm_vexpm1(x) * alpha) * beta;
    case PM_ACT_CELU: return pm_if_less(x, zero, pm_vexpm1(x / alpha) * alpha, x);
    case PM_ACT_THRESHOLDED_RELU: return pm_if_less(pm_splat(alpha), x, x, zero);
    case PM_ACT_SOFTSIGN: return x / (pm_vabs(x) + 1.0f);
    case PM_ACT_SHRINK: return pm_shrink(x, alpha, beta);
    case PM_ACT_NONE:
    case PM_ACT_COUNT: break;
  }
  return x;
}

/* y = activation of x, `n` floats; y may be x. The kind is looked at once. */
PM_INLINE void pm_activate_row_of(const float *x, float *y, int64_t n, pm_activation kind,
                                  float alpha, float beta) {
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL)
    pm_store(y + i, pm_activate(pm_load(x + i), kind, alpha, beta));
  if (i < n)
    pm_store_some(y + i, pm_activate(pm_load_some(x + i, n - i), kind, alpha, beta), n - i);
}

__attribute__((unused)) static void pm_activate_row(const float *x, float *y, int64_t n,
                                                    pm_activation kind, float alpha, float beta) {
  switch (kind) {
#define PM_ACTIVATION(name, text) \
  case PM_ACT_##name: pm_activate_row_of(x, y, n, PM_ACT_##name, alpha, beta); break;
#include "activations.def"
#undef PM_ACTIVATION
    case PM_ACT_COUNT: break;
  }
}

#endif
