/* The functions of elements in single precision, for the instruction set this is compiled for. */
#ifndef PM_ELEMENTWISE_ROWS_H
#define PM_ELEMENTWISE_ROWS_H

#include "activation.h"
#include "elementwise.h"
#include "vtrig.h"

PM_INLINE pm_vf pm_vis_inf(pm_vf x, float negative, float positive) {
  const pm_vf below = pm_if_equal(x, pm_splat(-INFINITY), pm_splat(negative), (pm_vf){0});
  return pm_if_equal(x, pm_splat(INFINITY), pm_splat(positive), below);
}

/* The remainder with the sign of b. */
static inline float pm_modf(float a, float b) {
  const float rest = fmodf(a, b);
  if (rest == 0) return copysignf(0.0f, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

#define PM_UNARY(name, text, classes, vector, real, whole) \
  PM_INLINE pm_vf pm_unary_of_##name(pm_vf x, float alpha, float beta) { \
    const pm_vf zero = {0}, one = zero + 1.0f; \
    (void)zero, (void)one, (void)alpha, (void)beta; \
    return vector; \
  } \
  static void pm_f32_##name(const void *from, const void *none, void *to, int64_t n, \
                            const double *params) { \
    const float *x = from; \
    float *y = to; \
    const float alpha = (float)params[0], beta = (float)params[1]; \
    int64_t i = 0; \
    (void)none; \
    for (; i + PM_VL <= n; i += PM_VL) \
      pm_store(y + i, pm_unary_of_##name(pm_load(x + i), alpha, beta)); \
    if (i < n) \
      pm_store_some(y + i, pm_unary_of_##name(pm_load_some(x + i, n - i), alpha, beta), n - i); \
  }
#include "unary.def"
#undef PM_UNARY

#define PM_BINARY(name, text, classes, vector, real, whole) \
  PM_INLINE pm_vf pm_binary_of_##name(pm_vf a, pm_vf b, float alpha) { \
    const pm_vf zero = {0}, one = zero + 1.0f; \
    (void)zero, (void)one, (void)alpha, (void)b; \
    return vector; \
  } \
  static void pm_f32_##name(const void *left, const void *right, void *to, int64_t n, \
                            const double *params) { \
    const float *a = left, *b = right; \
    float *y = to; \
    const float alpha = (float)params[0]; \
    int64_t i = 0; \
    for (; i + PM_VL <= n; i += PM_VL) \
      pm_store(y + i, pm_binary_of_##name(pm_load(a + i), pm_load(b + i), alpha)); \
    if (i < n) \
      pm_store_some(y + i, pm_binary_of_##name(pm_load_some(a + i, n - i), \
                                               pm_load_some(b + i, n - i), alpha), n - i); \
  }
#include "binary.def"
#undef PM_BINARY

#define PM_ACTIVATION(name, text) \
  static void pm_f32_act_##name(const void *from, const void *none, void *to, int64_t n, \
                                const double *params) { \
    (void)none; \
    pm_activate_row_of(from, to, n, PM_ACT_##name, (float)params[0], (float)params[1]); \
  }
#include "activations.def"
#undef PM_ACTIVATION

static pm_math_fn *pm_f32_unary(unsigned code) {
  static pm_math_fn *const rows[] = {
#define PM_UNARY(name, text, classes, vector, real, whole) pm_f32_##name,
#include "unary.def"
#undef PM_UNARY
  };
  return rows[code];
}

static pm_math_fn *pm_f32_binary(unsigned code) {
  static pm_math_fn *const rows[] = {
#define PM_BINARY(name, text, classes, vector, real, whole) pm_f32_##name,
#include "binary.def"
#undef PM_BINARY
  };
  return rows[code];
}

static pm_math_fn *pm_f32_activation(unsigned code) {
  static pm_math_fn *const rows[] = {
#define PM_ACTIVATION(name, text) pm_f32_act_##name,
#include "activations.def"
#undef PM_ACTIVATION
  };
  return rows[code];
}

#endif
