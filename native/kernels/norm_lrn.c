/* Local response normalisation. The relative error is below 5e-6. */
#include "norm_lrn.h"

#include "reduce_row.h"

typedef struct {
  pm_path lines; /* of x and y: all axes but one, */
  int64_t n, x_step, y_step; /* and that one */
  int64_t before, after;
  double factor, beta, bias;
} lrn;

/* sum ^ -beta */
PM_INLINE pm_vf power_of(const lrn *l, pm_vf sum) {
  if (l->beta == 0.75) {
    const pm_vf root = 1.0f / pm_vsqrt(sum);
    return root * pm_vsqrt(root);
  }
  if (l->beta == 0.5) return 1.0f / pm_vsqrt(sum);
  if (l->beta == 1) return 1.0f / sum;
  return pm_vexp(pm_vlog(sum) * (float)-l->beta);
}

/* The axis is contiguous: squares with zeros around them are made first. */
static void lrn_row(const lrn *l, const float *x, float *y, float *squares) {
  memset(squares, 0, (size_t)l->before * sizeof(float));
  float *own = squares + l->before;
  for (int64_t i = 0; i < l->n; i++) own[i] = x[i] * x[i];
  memset(own + l->n, 0, (size_t)(l->after + PM_LRN_SLACK) * sizeof(float));
  for (int64_t i = 0; i < l->n; i += PM_VL) {
    const int64_t some = PM_MIN(PM_VL, l->n - i);
    pm_vf sum = {0};
    for (int64_t j = 0; j <= l->before + l->after; j++) sum += pm_load(squares + i + j);
    const pm_vf power = power_of(l, pm_vaxpb(sum, (float)l->factor, (float)l->bias));
    if (some == PM_VL)
      pm_store(y + i, pm_load(x + i) * power);
    else
      pm_store_some(y + i, pm_load_some(x + i, some) * power, some);
  }
}

/* Lines lie next to each other: a vector has a place of each. */
PM_INLINE void lrn_columns(const lrn *l, const float *x, float *y, int64_t some) {
  for (int64_t i = 0; i < l->n; i++) {
    const int64_t last = PM_MIN(l->n - 1, i + l->after);
    pm_vf sum = {0};
    for (int64_t j = PM_MAX(0, i - l->before); j <= last; j++) {
      const pm_vf v = pm_load_columns(x + j * l->x_step, some);
      sum = pm_vfma(v, v, sum);
    }
    const pm_vf power = power_of(l, pm_vaxpb(sum, (float)l->factor, (float)l->bias));
    pm_store_columns(y + i * l->y_step, pm_load_columns(x + i * l->x_step, some) * power, some);
  }
}

#define ANY(type)                                                                \
  static void lrn_any_##type(const pm_call *call, const pm_worker *worker, const lrn *l) { \
    int64_t begin, end;                                                          \
    pm_share(worker, l->lines.count, &begin, &end);                              \
    for (int64_t line = begin; line < end; line++) {                             \
      const pm_spot spot = pm_path_seek(&l->lines, line);                        \
      const type *x = (const type *)call->in[0].data + spot.offset[0];           \
      type *y = (type *)call->out[0].data + spot.offset[1];                      \
      for (int64_t i = 0; i < l->n; i++) {                                       \
        const int64_t last = PM_MIN(l->n - 1, i + l->after);                     \
        double sum = 0;                                                          \
        for (int64_t j = PM_MAX(0, i - l->before); j <= last; j++)               \
          sum += (double)x[j * l->x_step] * (double)x[j * l->x_step];            \
        const double power = pow(l->bias + l->factor * sum, l->beta);            \
        y[i * l->y_step] = (type)((double)x[i * l->x_step] / power);             \
      }                                                                          \
    }                                                                            \
  }

ANY(float)
ANY(double)

static void each_row(const pm_call *call, const pm_worker *worker, const lrn *l) {
  int64_t begin, end;
  pm_share(worker, l->lines.count, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&l->lines, i);
    const float *x = (const float *)call->in[0].data + spot.offset[0];
    lrn_row(l, x, (float *)call->out[0].data + spot.offset[1], (float *)call->own_scratch);
  }
}

static void each_column(const pm_call *call, const pm_worker *worker, lrn *l) {
  const int64_t columns = pm_path_pop(&l->lines), blocks = (columns + PM_VL - 1) / PM_VL;
  int64_t begin, end;
  pm_share(worker, l->lines.count * blocks, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&l->lines, i / blocks);
    const int64_t column = i % blocks * PM_VL, some = columns - column;
    const float *x = (const float *)call->in[0].data + spot.offset[0] + column;
    float *y = (float *)call->out[0].data + spot.offset[1] + column;
    if (some >= PM_VL)
      lrn_columns(l, x, y, 0);
    else
      lrn_columns(l, x, y, some);
  }
}

PM_KERNEL(lrn) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const int axis = (int)call->params[0];
  if (!pm_count(tensors[0])) return;
  lrn l = {.n = tensors[0]->dims[axis]};
  l.lines = pm_path_over(tensors, 2, ~(1u << axis));
  l.x_step = pm_step(tensors[0], axis);
  l.y_step = pm_step(tensors[1], axis);
  l.before = pm_lrn_before(call->params[1], l.n);
  l.after = pm_lrn_after(call->params[1], l.n);
  l.factor = pm_param_f64(call->params[2]) / (double)call->params[1];
  l.beta = pm_param_f64(call->params[3]);
  l.bias = pm_param_f64(call->params[4]);
  if (tensors[0]->dtype == PM_F64)
    lrn_any_double(call, worker, &l);
  else if (l.x_step == 1 && l.y_step == 1)
    each_row(call, worker, &l);
  else if (pm_path_inner(&l.lines, 0) == 1 && pm_path_inner(&l.lines, 1) == 1)
    each_column(call, worker, &l);
  else
    lrn_any_float(call, worker, &l);
}
