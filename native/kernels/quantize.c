#include "quantize.h"

#include <math.h>

#include "elements.h"
#include "move.h"
#include "qround.h"

typedef struct {
  const pm_nest *nest;
  unsigned dtype; /* of the integers */
  bool has_zero;
} task;

static int32_t integer_at(const uint8_t *at, unsigned dtype) {
  int32_t value;
  if (dtype == PM_U8) return *at;
  if (dtype == PM_I8) return (int8_t)*at;
  memcpy(&value, at, sizeof value);
  return value;
}

static float float_at(const uint8_t *at) {
  float value;
  memcpy(&value, at, sizeof value);
  return value;
}

/* `n` floats with the same scale and zero point; x and y have no gaps. */
static void quantize_run(const float *x, float scale, int32_t zero, unsigned dtype, uint8_t *y, int64_t n) {
  const int32_t least = dtype == PM_U8 ? 0 : INT8_MIN;
  const float low = (float)(least - zero), high = (float)(least + 255 - zero);
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL) pm_qstore_rounded(y + i, pm_load(x + i) / scale, low, high, zero, PM_VL);
  if (i < n) pm_qstore_rounded(y + i, pm_load_some(x + i, n - i) / scale, low, high, zero, n - i);
}

static void quantize_row(void *context, uint8_t *const *at, int64_t size) {
  const task *t = context;
  const int64_t *step = t->nest->inner;
  const int32_t zero = t->has_zero ? integer_at(at[3], t->dtype) : 0;
  const bool same = !step[2] && (!t->has_zero || !step[3]);
  if (same && step[0] == 1 && step[1] == 4) {
    quantize_run((const float *)(const void *)at[1], float_at(at[2]), zero, t->dtype, at[0], size);
    return;
  }
  for (int64_t i = 0; i < size; i++) {
    const float x = float_at(at[1] + i * step[1]), scale = float_at(at[2] + i * step[2]);
    const int32_t own = t->has_zero ? integer_at(at[3] + i * step[3], t->dtype) : 0;
    quantize_run(&x, scale, own, t->dtype, at[0] + i * step[0], 1);
  }
}

/* Integers of `n` elements that lie one after the other, less their zero point, as floats. */
static void widen(const uint8_t *x, unsigned dtype, uint32_t zero, float *to, int64_t n) {
  if (dtype == PM_U8)
    for (int64_t i = 0; i < n; i++) to[i] = (float)((int32_t)x[i] - (int32_t)zero);
  else if (dtype == PM_I8)
    for (int64_t i = 0; i < n; i++) to[i] = (float)((int32_t)(int8_t)x[i] - (int32_t)zero);
  else
    for (int64_t i = 0; i < n; i++) to[i] = (float)(int32_t)((uint32_t)integer_at(x + i * 4, dtype) - zero);
}

static void dequantize_row(void *context, uint8_t *const *at, int64_t size) {
  const task *t = context;
  const int64_t *step = t->nest->inner, own = (int64_t)pm_dtype_size(t->dtype);
  const bool same = !step[2] && (!t->has_zero || !step[3]);
  if (same && step[0] == 4 && step[1] == own) {
    const float scale = float_at(at[2]);
    const uint32_t zero = t->has_zero ? (uint32_t)integer_at(at[3], t->dtype) : 0;
    float *y = (float *)(void *)at[0];
    widen(at[1], t->dtype, zero, y, size);
    for (int64_t i = 0; i < size; i++) y[i] *= scale;
    return;
  }
  for (int64_t i = 0; i < size; i++) {
    const uint32_t zero = t->has_zero ? (uint32_t)integer_at(at[3] + i * step[3], t->dtype) : 0;
    float y;
    widen(at[1] + i * step[1], t->dtype, zero, &y, 1);
    y *= float_at(at[2] + i * step[2]);
    memcpy(at[0] + i * step[0], &y, sizeof y);
  }
}

static void run(const pm_call *call, const pm_worker *worker, unsigned dtype, pm_row_fn *row) {
  const bool has_zero = call->in[2].t != NULL;
  const pm_view *views[] = {&call->out[0], &call->in[0], &call->in[1], &call->in[2]};
  pm_nest nest;
  pm_nest_over(&nest, views, has_zero ? 4 : 3);
  task t = {&nest, dtype, has_zero};
  pm_nest_run(&nest, worker, row, &t);
}

PM_KERNEL(quantize) { run(call, worker, call->out[0].t->dtype, quantize_row); }

PM_KERNEL(dequantize) { run(call, worker, call->in[0].t->dtype, dequantize_row); }

/* The least and the largest of some numbers and 0; what is not a number is passed over. */
static void find_extremes(const float *x, int64_t n, pm_extremes *found) {
  pm_vf low = {0}, high = {0};
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL) low = pm_vmin(pm_load(x + i), low), high = pm_vmax(pm_load(x + i), high);
  if (i < n) {
    const pm_vf last = pm_load_some(x + i, n - i);
    low = pm_vmin(last, low), high = pm_vmax(last, high);
  }
  *found = (pm_extremes){0, 0};
  for (int j = 0; j < PM_VL; j++) {
    found->low = low[j] < found->low ? low[j] : found->low;
    found->high = high[j] > found->high ? high[j] : found->high;
  }
}

PM_KERNEL(quantize_dynamic) {
  const float *x = (const float *)(const void *)call->in[0].data;
  pm_extremes *found = (pm_extremes *)(void *)call->scratch, all = {0, 0};
  int64_t begin, end;
  pm_share(worker, pm_count(call->in[0].t), &begin, &end);
  find_extremes(x + begin, end - begin, &found[worker->id]);
  pm_barrier(worker);
  for (int i = 0; i < worker->count; i++) {
    all.low = PM_MIN(all.low, found[i].low);
    all.high = PM_MAX(all.high, found[i].high);
  }
  const float scale = all.high == all.low ? 1 : (all.high - all.low) / 255.0f;
  const float place = -all.low / scale;
  uint8_t zero;
  pm_qstore_rounded(&zero, pm_splat(place), 0, 255, 0, 1);
  quantize_run(x + begin, scale, zero, PM_U8, call->out[0].data + begin, end - begin);
  if (worker->id) return;
  memcpy(call->out[1].data, &scale, sizeof scale);
  *call->out[2].data = zero;
}
