/* The functions of elements in double precision and in 64-bit integers; compiled once. */
#include <math.h>

#include "activation.h"
#include "elementwise.h"

#define PM_WHOLE(name) PM_JOIN(PM_JOIN(name, _), W)
#define PM_IS_INF(x, alpha, beta) ((x) == -INFINITY ? alpha : (x) == INFINITY ? beta : 0)

static double pm_mod(double a, double b) {
  const double rest = fmod(a, b);
  if (rest == 0) return copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

/* Integers are divided towards zero; by zero gives zero, which the caller reports. */
static int64_t div_int64_t(int64_t a, int64_t b) {
  if (b == -1) return (int64_t)(0 - (uint64_t)a);
  return b ? a / b : 0;
}

static uint64_t div_uint64_t(uint64_t a, uint64_t b) { return b ? a / b : 0; }

static int64_t fmod_int64_t(int64_t a, int64_t b) { return b && b != -1 ? a % b : 0; }
static uint64_t fmod_uint64_t(uint64_t a, uint64_t b) { return b ? a % b : 0; }

static int64_t mod_int64_t(int64_t a, int64_t b) {
  const int64_t rest = fmod_int64_t(a, b);
  return rest && (rest < 0) != (b < 0) ? rest + b : rest;
}

static uint64_t mod_uint64_t(uint64_t a, uint64_t b) { return fmod_uint64_t(a, b); }

static uint64_t pow_uint64_t(uint64_t a, uint64_t b) {
  uint64_t power = 1;
  for (; b; b >>= 1, a *= a)
    if (b & 1) power *= a;
  return power;
}

static int64_t pow_int64_t(int64_t a, int64_t b) {
  if (b < 0) return a == 1 || (a == -1 && !(b & 1)) ? 1 : a == -1 ? -1 : 0;
  return (int64_t)pow_uint64_t((uint64_t)a, (uint64_t)b);
}

/* Right shifts of negative numbers repeat the sign with the compilers that are supported. */
static int64_t shift_right_int64_t(int64_t a, int64_t b) { return a >> ((uint64_t)b > 63 ? 63 : b); }
static uint64_t shift_right_uint64_t(uint64_t a, uint64_t b) { return b > 63 ? 0 : a >> b; }

static int64_t prelu_int64_t(int64_t a, int64_t b) {
  return a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a;
}

static uint64_t prelu_uint64_t(uint64_t a, uint64_t b) {
  (void)b;
  return a;
}

#define ROW1(prefix, name, type, expression) \
  static void prefix##_##name(const void *from, const void *none, void *to, int64_t n, \
                              const double *params) { \
    const type *xs = from; \
    type *ys = to; \
    const double alpha = params[0], beta = params[1]; \
    (void)none, (void)alpha, (void)beta; \
    for (int64_t i = 0; i < n; i++) { \
      const type x = xs[i]; \
      ys[i] = (type)(expression); \
    } \
  }

#define ROW2(prefix, name, type, expression) \
  static void prefix##_##name(const void *left, const void *right, void *to, int64_t n, \
                              const double *params) { \
    const type *as = left, *bs = right; \
    type *ys = to; \
    const double alpha = params[0]; \
    (void)alpha; \
    for (int64_t i = 0; i < n; i++) { \
      const type a = as[i], b = bs[i]; \
      (void)b; \
      ys[i] = (type)(expression); \
    } \
  }

#define PM_UNARY(name, text, classes, vector, real, whole) ROW1(f64, name, double, real)
#define PM_BINARY(name, text, classes, vector, real, whole) ROW2(f64, name, double, real)
#include "binary.def"
#include "unary.def"
#undef PM_UNARY
#undef PM_BINARY

#define PM_UNARY(name, text, classes, vector, real, whole) ROW1(i64, name, W, whole)
#define PM_BINARY(name, text, classes, vector, real, whole) ROW2(i64, name, W, whole)
#define W int64_t
#include "binary.def"
#include "unary.def"
#undef W
#undef PM_UNARY
#undef PM_BINARY

#define PM_UNARY(name, text, classes, vector, real, whole) ROW1(u64, name, W, whole)
#define PM_BINARY(name, text, classes, vector, real, whole) ROW2(u64, name, W, whole)
#define W uint64_t
#include "binary.def"
#include "unary.def"
#undef W
#undef PM_UNARY
#undef PM_BINARY

/* In the order of classes.def. */
#define ROWS(name, classes) {classes, {NULL, f64_##name, i64_##name, u64_##name}},

typedef struct {
  unsigned classes;
  pm_math_fn *rows[PM_CLASS_COUNT];
} function;

static const function unary[] = {
#define PM_UNARY(name, text, classes, vector, real, whole) ROWS(name, classes)
#include "unary.def"
#undef PM_UNARY
};

static const function binary[] = {
#define PM_BINARY(name, text, classes, vector, real, whole) ROWS(name, classes)
#include "binary.def"
#undef PM_BINARY
};

pm_math_fn *pm_wide_unary(unsigned code, unsigned class) {
  return unary[code].classes >> class & 1 ? unary[code].rows[class] : NULL;
}

pm_math_fn *pm_wide_binary(unsigned code, unsigned class) {
  return binary[code].classes >> class & 1 ? binary[code].rows[class] : NULL;
}

bool pm_any_zero(const void *x, int64_t n) {
  const uint64_t *numbers = x;
  bool found = false;
  for (int64_t i = 0; i < n; i++) found |= numbers[i] == 0;
  return found;
}

static double clip(double x, double low, double high) {
  const double raised = x < low ? low : x;
  return raised > high ? high : raised;
}

static double sigmoid(double x) {
  const double e = exp(-fabs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

static double shrink(double x, double bias, double lambda) {
  if (x < -lambda) return x + bias;
  return x > lambda ? x - bias : 0;
}

static double gelu_tanh(double x) { return x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x)); }

static double activated(double x, unsigned kind, double alpha, double beta) {
  switch (kind) {
    case PM_ACT_RELU: return x < 0 ? 0 : x;
    case PM_ACT_CLIP: return clip(x, alpha, beta);
    case PM_ACT_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case PM_ACT_HARD_SWISH: return x * clip(x / 6 + 0.5, 0, 1);
    case PM_ACT_HARD_SIGMOID: return clip(alpha * x + beta, 0, 1);
    case PM_ACT_SIGMOID: return sigmoid(x);
    case PM_ACT_SWISH: return x * sigmoid(alpha * x);
    case PM_ACT_TANH: return tanh(x);
    case PM_ACT_GELU: return 0.5 * x * (1 + erf(x * 0.70710678118654752));
    case PM_ACT_GELU_TANH: return gelu_tanh(x);
    case PM_ACT_ELU: return x < 0 ? alpha * expm1(x) : x;
    case PM_ACT_SOFTPLUS: return softplus(x);
    case PM_ACT_MISH: return x * tanh(softplus(x));
    case PM_ACT_SELU: return beta * (x > 0 ? x : alpha * expm1(x));
    case PM_ACT_CELU: return x < 0 ? alpha * expm1(x / alpha) : x;
    case PM_ACT_THRESHOLDED_RELU: return x > alpha ? x : 0;
    case PM_ACT_SOFTSIGN: return x / (1 + fabs(x));
    case PM_ACT_SHRINK: return shrink(x, alpha, beta);
    default: return x;
  }
}

#define PM_ACTIVATION(name, text) \
  static void act_##name(const void *from, const void *none, void *to, int64_t n, \
                         const double *params) { \
    const double *x = from; \
    double *y = to; \
    (void)none; \
    for (int64_t i = 0; i < n; i++) y[i] = activated(x[i], PM_ACT_##name, params[0], params[1]); \
  }
#include "activations.def"
#undef PM_ACTIVATION

pm_math_fn *pm_wide_activation(unsigned code, unsigned class) {
  static pm_math_fn *const rows[] = {
#define PM_ACTIVATION(name, text) act_##name,
#include "activations.def"
#undef PM_ACTIVATION
  };
  return class == PM_AS_F64 ? rows[code] : NULL;
}
