#include "resize.h"

#include "elements.h"
#include "move.h"
#include "vmath.h"

typedef struct {
  const pm_call *call;
  const pm_worker *worker;
  const pm_tensor *x, *y;
  int axes;
  int64_t size;                  /* bytes of an element */
  int64_t row0;                  /* first row of outputs to make */
  int64_t rows[PM_RESIZE_AXES];  /* outputs to make along all axes but the last */
  int64_t inner, pixels;         /* elements of a pixel, outputs along the last axis */
  double value;
} task;

/* The output row of some number: where it is, and the outputs along the axes before the last. */
typedef struct {
  int64_t outer, at[PM_RESIZE_AXES];
} place;

static task task_of(const pm_call *call, const pm_worker *worker) {
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  task t = {.call = call, .worker = worker, .x = x, .y = y, .axes = pm_resize_axes(call)};
  t.size = (int64_t)pm_dtype_size(y->dtype);
  t.value = pm_param_f64(call->params[0]);
  t.row0 = call->params[1];
  for (int i = 0; i < t.axes - 1; i++) t.rows[i] = i ? y->dims[i + 1] : call->params[2] - t.row0;
  t.inner = y->dims[t.axes + 1];
  t.pixels = y->dims[t.axes];
  return t;
}

static int64_t count_rows(const task *t) {
  int64_t count = t->y->dims[0];
  for (int i = 0; i < t->axes - 1; i++) count *= t->rows[i];
  return count;
}

static place place_of(const task *t, int64_t number) {
  place p = {0, {0}};
  for (int i = t->axes - 2; i >= 0; i--) {
    p.at[i] = number % t->rows[i] + (i ? 0 : t->row0);
    number /= t->rows[i];
  }
  p.outer = number;
  return p;
}

/* Bytes from the start of a tensor to a row, of which only some may be held. */
static int64_t row_bytes(const task *t, const pm_tensor *tensor, int64_t outer, const int64_t *at) {
  int64_t offset = outer * pm_step_of(tensor, 0, tensor->rank);
  for (int i = 0; i < t->axes - 1; i++) {
    const int64_t row = tensor->ring && i == 0 ? at[i] % tensor->ring : at[i];
    offset += row * pm_step_of(tensor, i + 1, tensor->rank);
  }
  return offset;
}

static uint8_t *output_row(const task *t, const place *p) {
  return t->call->out[0].data + row_bytes(t, t->y, p->outer, p->at);
}

static int64_t taps_of(const task *t, int axis) { return t->call->in[1 + 2 * axis].t->dims[1]; }

/* The place that is read for a tap of an output; -1 for the value. */
static int64_t source_of(const task *t, int axis, int64_t output, int64_t tap) {
  const uint8_t *places = t->call->in[1 + 2 * axis].data;
  int32_t source;
  memcpy(&source, places + 4 * (output * taps_of(t, axis) + tap), sizeof source);
  if (source >= -1 && source < (int64_t)t->x->dims[axis + 1]) return source;
  pm_fail(t->worker, PM_E_INDEX);
  return -1;
}

static double weight_of(const task *t, int axis, int64_t output, int64_t tap) {
  const pm_view *weights = pm_resize_weights(t->call, axis);
  double weight = 1;
  if (weights) memcpy(&weight, weights->data + 8 * (output * taps_of(t, axis) + tap), sizeof weight);
  return weight;
}

/* One of the input rows that an output row is made of: a tap of each axis but the last. */
typedef struct {
  const uint8_t *from; /* NULL where the value is meant */
  double weight;
} source_row;

static int64_t count_sources(const task *t) {
  int64_t count = 1;
  for (int i = 0; i < t->axes - 1; i++) count *= taps_of(t, i);
  return count;
}

static source_row source_row_of(const task *t, const place *p, int64_t number) {
  int64_t at[PM_RESIZE_AXES];
  source_row row = {NULL, 1};
  for (int i = t->axes - 2; i >= 0; i--) {
    const int64_t taps = taps_of(t, i), tap = number % taps;
    number /= taps;
    at[i] = source_of(t, i, p->at[i], tap);
    row.weight *= weight_of(t, i, p->at[i], tap);
    if (at[i] < 0) return row;
  }
  row.from = t->call->in[0].data + row_bytes(t, t->x, p->outer, at);
  return row;
}

#include "resize_move.h"
#include "resize_sum.h"

PM_KERNEL(resize) {
  task t = task_of(call, worker);
  if (!pm_count(t.y)) return;
  if (!pm_count(t.x)) {
    pm_fail(worker, PM_E_INDEX);
    return;
  }
  if (pm_resize_moves(call))
    resize_moves(&t);
  else
    resize_sums(&t);
}
