/* Softmax, its logarithm, and the place of the maximum, along any axis.

   The relative error of a share is below 2e-6 + 6e-8 times the distance of x from the maximum; that
   of a logarithm is below 2e-6 of the larger of 1 and its size. */
#include "softmax.h"

#include "reduce_row.h"

typedef struct {
  pm_softmax_kind kind;
  pm_path lines; /* of x and y: all axes but one, */
  int64_t n, x_step, y_step; /* and that one */
} softmax;

/* Stores exp(x - most) and gives the sum. */
static double exp_row(const float *x, float *y, int64_t n, float most) {
  double total = 0;
  for (int64_t block = 0; block < n; block += PM_ROW_BLOCK) {
    const int64_t end = PM_MIN(n, block + PM_ROW_BLOCK);
    pm_vf sums[2] = {{0}};
    int64_t i = block;
    for (; i + 2 * PM_VL <= end; i += 2 * PM_VL)
      PM_UNROLL for (int v = 0; v < 2; v++) {
        const pm_vf power = pm_vexp(pm_load(x + i + v * PM_VL) - most);
        if (y) pm_store(y + i + v * PM_VL, power);
        sums[v] += power;
      }
    for (; i < end; i += PM_VL) {
      const int64_t some = PM_MIN(end - i, PM_VL);
      const pm_vf here = some == PM_VL ? pm_load(x + i) : pm_load_some(x + i, some);
      const pm_vf power = pm_select(pm_first_lanes(some), pm_vexp(here - most), (pm_vf){0});
      if (y && some == PM_VL) pm_store(y + i, power);
      if (y && some < PM_VL) pm_store_some(y + i, power, some);
      sums[0] += power;
    }
    total += (double)pm_sum_of_lanes(sums[0] + sums[1]);
  }
  return total;
}

static void scale_row(float *y, int64_t n, float factor) {
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL) pm_store(y + i, pm_load(y + i) * factor);
  if (i < n) pm_store_some(y + i, pm_load_some(y + i, n - i) * factor, n - i);
}

static void shift_row(const float *x, float *y, int64_t n, float most, float logarithm) {
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL) pm_store(y + i, (pm_load(x + i) - most) - logarithm);
  if (i < n) pm_store_some(y + i, (pm_load_some(x + i, n - i) - most) - logarithm, n - i);
}

static void soft_row(const float *x, float *y, int64_t n, pm_softmax_kind kind) {
  const float most = pm_max_of_row(x, n);
  if (kind == PM_SOFTMAX_PLAIN) {
    const double total = exp_row(x, y, n, most);
    scale_row(y, n, (float)(1 / total));
  } else {
    const double total = exp_row(x, NULL, n, most);
    shift_row(x, y, n, most, (float)log(total));
  }
}

PM_INLINE pm_vf log_lanes(pm_vf v) {
  for (int i = 0; i < PM_VL; i++) v[i] = (float)log((double)v[i]);
  return v;
}

PM_INLINE void soft_columns(const softmax *s, const float *x, float *y, int64_t some) {
  pm_vf most = pm_load_columns(x, some), total = {0};
  for (int64_t i = 1; i < s->n; i++) most = pm_vmax(pm_load_columns(x + i * s->x_step, some), most);
  const bool plain = s->kind == PM_SOFTMAX_PLAIN;
  for (int64_t block = 0; block < s->n; block += 64) {
    const int64_t end = PM_MIN(s->n, block + 64);
    pm_vf sum = {0};
    for (int64_t i = block; i < end; i++) {
      const pm_vf power = pm_vexp(pm_load_columns(x + i * s->x_step, some) - most);
      if (plain) pm_store_columns(y + i * s->y_step, power, some);
      sum += power;
    }
    total += sum;
  }
  const pm_vf factor = plain ? 1.0f / total : log_lanes(total);
  for (int64_t i = 0; i < s->n; i++) {
    const pm_vf here = pm_load_columns(plain ? y + i * s->y_step : x + i * s->x_step, some);
    pm_store_columns(y + i * s->y_step, plain ? here * factor : (here - most) - factor, some);
  }
}

/* Any strides and either type: one line after the other, in double precision. */
#define ANY_LINE(type)                                                                   \
  static void soft_line_##type(const softmax *s, const type *x, type *y) {               \
    double most = (double)x[0], total = 0;                                               \
    for (int64_t i = 1; i < s->n; i++) most = PM_MAX(most, (double)x[i * s->x_step]);    \
    for (int64_t i = 0; i < s->n; i++) total += exp((double)x[i * s->x_step] - most);    \
    const double logarithm = log(total);                                                 \
    for (int64_t i = 0; i < s->n; i++) {                                                 \
      const double here = (double)x[i * s->x_step] - most;                               \
      y[i * s->y_step] = (type)(s->kind == PM_SOFTMAX_PLAIN ? exp(here) / total : here - logarithm); \
    }                                                                                    \
  }                                                                                      \
  static void hard_line_##type(const softmax *s, const type *x, type *y) {               \
    int64_t best = 0;                                                                    \
    for (int64_t i = 1; i < s->n && x[best * s->x_step] == x[best * s->x_step]; i++)     \
      if (!(x[i * s->x_step] <= x[best * s->x_step])) best = i;                          \
    for (int64_t i = 0; i < s->n; i++) y[i * s->y_step] = i == best;                     \
  }                                                                                      \
  static void each_line_##type(const pm_call *call, const pm_worker *worker, const softmax *s) { \
    int64_t begin, end;                                                                  \
    pm_share(worker, s->lines.count, &begin, &end);                                      \
    for (int64_t i = begin; i < end; i++) {                                              \
      const pm_spot spot = pm_path_seek(&s->lines, i);                                   \
      const type *x = (const type *)call->in[0].data + spot.offset[0];                   \
      type *y = (type *)call->out[0].data + spot.offset[1];                              \
      if (s->kind == PM_SOFTMAX_HARD)                                                    \
        hard_line_##type(s, x, y);                                                       \
      else                                                                               \
        soft_line_##type(s, x, y);                                                       \
    }                                                                                    \
  }

ANY_LINE(float)
ANY_LINE(double)

static void each_row(const pm_call *call, const pm_worker *worker, const softmax *s) {
  int64_t begin, end;
  pm_share(worker, s->lines.count, &begin, &end);
  pm_spot spot = pm_path_seek(&s->lines, begin);
  for (int64_t i = begin; i < end; i++, pm_path_next(&s->lines, &spot)) {
    const float *x = (const float *)call->in[0].data + spot.offset[0];
    soft_row(x, (float *)call->out[0].data + spot.offset[1], s->n, s->kind);
  }
}

static void each_column(const pm_call *call, const pm_worker *worker, softmax *s) {
  const int64_t columns = pm_path_pop(&s->lines), blocks = (columns + PM_VL - 1) / PM_VL;
  int64_t begin, end;
  pm_share(worker, s->lines.count * blocks, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&s->lines, i / blocks);
    const int64_t column = i % blocks * PM_VL, some = columns - column;
    const float *x = (const float *)call->in[0].data + spot.offset[0] + column;
    float *y = (float *)call->out[0].data + spot.offset[1] + column;
    if (some >= PM_VL)
      soft_columns(s, x, y, 0);
    else
      soft_columns(s, x, y, some);
  }
}

PM_KERNEL(softmax) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const int axis = (int)call->params[1];
  if (!pm_count(tensors[0])) return;
  softmax s = {.kind = (pm_softmax_kind)call->params[0], .n = tensors[0]->dims[axis]};
  s.lines = pm_path_over(tensors, 2, ~(1u << axis));
  s.x_step = pm_step(tensors[0], axis);
  s.y_step = pm_step(tensors[1], axis);
  const bool fast = tensors[0]->dtype == PM_F32 && s.kind != PM_SOFTMAX_HARD;
  if (fast && ((s.x_step == 1 && s.y_step == 1) || s.n == 1))
    each_row(call, worker, &s);
  else if (fast && pm_path_inner(&s.lines, 0) == 1 && pm_path_inner(&s.lines, 1) == 1)
    each_column(call, worker, &s);
  else if (tensors[0]->dtype == PM_F32)
    each_line_float(call, worker, &s);
  else
    each_line_double(call, worker, &s);
}
