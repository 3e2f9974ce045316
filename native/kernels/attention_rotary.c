/* Rotary positions. The error is below 2e-7 of the sum of the sizes of a pair. */
#include "attention_rotary.h"

#include "reduce_path.h"
#include "vec.h"

/* From the first row to that of a token; -1 where there is none. */
static int64_t row_of(const pm_call *call, int which, int64_t n, int64_t token) {
  const pm_tensor *t = call->in[which].t, *places = call->in[3].t;
  if (!places) return pm_step(t, 0) * n + pm_step(t, 1) * token;
  const int64_t at = pm_step(places, 0) * n + pm_step(places, 1) * token;
  const int64_t place = ((const int64_t *)call->in[3].data)[at];
  const int64_t row = place < 0 ? place + t->dims[0] : place;
  return row < 0 || row >= t->dims[0] ? -1 : row * t->strides[0];
}

/* Pairs half of what is turned apart, all side by side; how many were done. */
static int64_t turn_vectors(const float *x, float *y, const float *cosines, const float *sines,
                            int64_t half) {
  int64_t i = 0;
  for (; i + PM_VL <= half; i += PM_VL) {
    const pm_vf a = pm_load(x + i), b = pm_load(x + half + i);
    const pm_vf cosine = pm_load(cosines + i), sine = pm_load(sines + i);
    pm_store(y + i, cosine * a - sine * b);
    pm_store(y + half + i, sine * a + cosine * b);
  }
  return i;
}

static void turn(const pm_call *call, const float *x, float *y, const float *cosines, const float *sines) {
  const pm_tensor *c = call->in[1].t, *s = call->in[2].t;
  const int64_t half = call->params[0] / 2;
  const int64_t x_step = call->in[0].t->strides[3], y_step = call->out[0].t->strides[3];
  const int64_t c_step = c->strides[c->rank - 1], s_step = s->strides[s->rank - 1];
  const bool neighbours = call->params[1] != 0;
  const bool even = x_step == 1 && y_step == 1 && c_step == 1 && s_step == 1;
  const int64_t done = even && !neighbours ? turn_vectors(x, y, cosines, sines, half) : 0;
  for (int64_t i = done; i < half; i++) {
    const int64_t first = neighbours ? 2 * i : i, second = neighbours ? 2 * i + 1 : i + half;
    const float a = x[first * x_step], b = x[second * x_step];
    const float cosine = cosines[i * c_step], sine = sines[i * s_step];
    y[first * y_step] = cosine * a - sine * b;
    y[second * y_step] = sine * a + cosine * b;
  }
  for (int64_t i = 2 * half; i < call->in[0].t->dims[3]; i++) y[i * y_step] = x[i * x_step];
}

PM_KERNEL(rotary) {
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if (!pm_count(x)) return;
  const int64_t heads = x->dims[1], tokens = x->dims[2];
  int64_t begin, end;
  pm_share(worker, x->dims[0] * heads * tokens, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const int64_t token = i % tokens, head = i / tokens % heads, n = i / tokens / heads;
    const int64_t c = row_of(call, 1, n, token), s = row_of(call, 2, n, token);
    if (c < 0 || s < 0) {
      pm_fail(worker, PM_E_INDEX);
      return;
    }
    const int64_t from = n * x->strides[0] + head * x->strides[1] + token * x->strides[2];
    const int64_t to = n * y->strides[0] + head * y->strides[1] + token * y->strides[2];
    turn(call, (const float *)call->in[0].data + from, (float *)call->out[0].data + to,
         (const float *)call->in[1].data + c, (const float *)call->in[2].data + s);
  }
}
