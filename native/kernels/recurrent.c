/* Recurrent layers: what the inputs give to the gates is one product for many steps; then each step
   multiplies the state, a worker some units of it. The error is below 1e-5 of the largest state while
   no function makes small differences large. */
#include "recurrent.h"

#include "activation.h"
#include "recurrent_dots.h"

enum { UNITS = PM_RECURRENT_UNITS };

typedef struct {
  const pm_call *call;
  pm_recurrent size;
  float clip;
  float *gates;           /* (directions, chunk, batch, gates * hidden) */
  float *states[2];       /* (directions, batch, hidden), before and after a step */
  float *cells, *behind;  /* of the same shape */
} layer;

/* Some units of one direction, at one step. */
typedef struct {
  int64_t direction, first, count;
  int64_t step, time; /* place in the chunk, and in x */
  const float *before;
  float *after;
} part;

static const float *row_of(const pm_view *view, int64_t a, int64_t b) {
  return (const float *)view->data + a * view->t->strides[0] + b * view->t->strides[1];
}

/* Place in (directions, batch, hidden). */
static int64_t state_at(const layer *l, int64_t direction, int64_t batch) {
  return (direction * l->size.batch + batch) * l->size.hidden;
}

static float *gates_at(const layer *l, int64_t direction, int64_t step, int64_t batch) {
  const int64_t row = (direction * l->size.chunk + step) * l->size.batch + batch;
  return l->gates + row * l->size.gates * l->size.hidden;
}

static int64_t time_of(const layer *l, int64_t direction, int64_t step) {
  const bool reverse = direction == 1 || l->call->params[PM_RECURRENT_REVERSE];
  return reverse ? l->size.steps - 1 - step : step;
}

static int64_t length_of(const layer *l, int64_t batch) {
  const pm_view *lengths = &l->call->in[PM_RECURRENT_LENGTHS];
  if (!lengths->t) return l->size.steps;
  const int64_t at = batch * lengths->t->strides[0];
  return lengths->t->dtype == PM_I32 ? ((const int32_t *)lengths->data)[at] : ((const int64_t *)lengths->data)[at];
}

/* `half` 0 is the bias of the inputs, 1 that of the state; NULL where there is none. */
static const float *bias_of(const layer *l, int64_t direction, int64_t half) {
  const pm_view *bias = &l->call->in[PM_RECURRENT_BIAS];
  if (!bias->t) return NULL;
  const float *own = (const float *)bias->data + direction * bias->t->strides[0];
  return own + half * l->size.gates * l->size.hidden;
}

/* The gates' functions, the third one without clipping. */
static void apply(const layer *l, int64_t direction, int which, float *x, int64_t n) {
  const int64_t *p = l->call->params + PM_RECURRENT_FUNCTIONS + 9 * direction + 3 * which;
  const float alpha = (float)pm_param_f64(p[1]), beta = (float)pm_param_f64(p[2]);
  if (which < 2 && l->clip < INFINITY) pm_activate_row(x, x, n, PM_ACT_CLIP, -l->clip, l->clip);
  if (p[0] == PM_FUNCTION_AFFINE) {
    for (int64_t i = 0; i < n; i++) x[i] = alpha * x[i] + beta;
  } else if (p[0] == PM_FUNCTION_SCALED_TANH) {
    for (int64_t i = 0; i < n; i++) x[i] *= beta;
    pm_activate_row(x, x, n, PM_ACT_TANH, 0, 0);
    for (int64_t i = 0; i < n; i++) x[i] *= alpha;
  } else {
    pm_activate_row(x, x, n, (pm_activation)p[0], alpha, beta);
  }
}

/* What the inputs of steps [begin, begin + count) give to some rows of gates of one direction. */
static void project(const layer *l, int64_t direction, int64_t begin, int64_t count, int64_t first, int64_t rows) {
  const pm_view *w = &l->call->in[PM_RECURRENT_W];
  const float *base = bias_of(l, direction, 0);
  const int64_t total = count * l->size.batch;
  for (int64_t i = 0; i < total; i += PM_DOT_ROWS) {
    const float *x[PM_DOT_ROWS];
    const int64_t some = PM_MIN(PM_DOT_ROWS, total - i);
    for (int64_t j = 0; j < some; j++) {
      const int64_t time = time_of(l, direction, begin + (i + j) / l->size.batch);
      x[j] = row_of(&l->call->in[PM_RECURRENT_X], time, (i + j) % l->size.batch);
    }
    const pm_dots dots = {x, row_of(w, direction, first), w->t->strides[1], l->size.inputs,
                          gates_at(l, direction, 0, 0) + i * l->size.gates * l->size.hidden + first,
                          l->size.gates * l->size.hidden, false};
    pm_dot_rows(&dots, base ? base + first : NULL, some, rows);
  }
}

static void project_chunk(const layer *l, const pm_worker *worker, int64_t begin, int64_t count) {
  const int64_t rows = l->size.gates * l->size.hidden, blocks = (rows + 31) / 32;
  int64_t from, to;
  pm_share(worker, l->size.directions * blocks, &from, &to);
  for (int64_t i = from; i < to; i++) {
    const int64_t first = i % blocks * 32;
    project(l, i / blocks, begin, count, first, PM_MIN(32, rows - first));
  }
}

/* Products of states with the units' rows of some gate: added to the gate, or put into `to`, which has
   the form of a state. */
static void multiply(const layer *l, const part *p, const float *states, int64_t gate, float *to) {
  const pm_view *r = &l->call->in[PM_RECURRENT_R];
  const float *base = bias_of(l, p->direction, 1);
  const int64_t row = gate * l->size.hidden + p->first;
  for (int64_t b = 0; b < l->size.batch; b += PM_DOT_ROWS) {
    const float *h[PM_DOT_ROWS];
    const int64_t some = PM_MIN(PM_DOT_ROWS, l->size.batch - b);
    for (int64_t j = 0; j < some; j++) h[j] = states + state_at(l, p->direction, b + j);
    const pm_dots dots = {h, row_of(r, p->direction, row), r->t->strides[1], l->size.hidden,
                          to ? to + state_at(l, p->direction, b) + p->first
                             : gates_at(l, p->direction, p->step, b) + row,
                          to ? l->size.hidden : l->size.gates * l->size.hidden, !to};
    pm_dot_rows(&dots, base ? base + row : NULL, some, p->count);
  }
}

static void keep_state(const layer *l, const part *p, int64_t batch, const float *new) {
  const pm_view *y = &l->call->out[0];
  const int64_t at = state_at(l, p->direction, batch) + p->first;
  const bool on = p->time < length_of(l, batch);
  for (int64_t i = 0; i < p->count; i++) p->after[at + i] = on ? new[i] : p->before[at + i];
  if (!y->t) return;
  const int64_t *strides = y->t->strides;
  float *to = (float *)y->data + p->time * strides[0] + p->direction * strides[1] + batch * strides[2];
  for (int64_t i = 0; i < p->count; i++) to[p->first + i] = on ? new[i] : 0;
}

static void rnn_units(const layer *l, const part *p) {
  multiply(l, p, p->before, 0, NULL);
  for (int64_t b = 0; b < l->size.batch; b++) {
    float *h = gates_at(l, p->direction, p->step, b) + p->first;
    apply(l, p->direction, 0, h, p->count);
    keep_state(l, p, b, h);
  }
}

static void lstm_units(const layer *l, const part *p) {
  const int64_t hidden = l->size.hidden, n = p->count;
  const pm_view *peepholes = &l->call->in[PM_RECURRENT_PEEPHOLES];
  const float *peep = peepholes->t ? row_of(peepholes, p->direction, 0) + p->first : NULL;
  for (int64_t gate = 0; gate < 4; gate++) multiply(l, p, p->before, gate, NULL);
  for (int64_t b = 0; b < l->size.batch; b++) {
    float *in = gates_at(l, p->direction, p->step, b) + p->first, *out = in + hidden;
    float *forget = out + hidden, *new = forget + hidden, cell[UNITS], shown[UNITS];
    float *kept = l->cells + state_at(l, p->direction, b) + p->first;
    for (int64_t i = 0; peep && i < n; i++) {
      in[i] += peep[i] * kept[i];
      forget[i] += peep[2 * hidden + i] * kept[i];
    }
    apply(l, p->direction, 0, in, n);
    if (!l->call->params[PM_RECURRENT_FLAG]) apply(l, p->direction, 0, forget, n);
    apply(l, p->direction, 1, new, n);
    for (int64_t i = 0; i < n; i++) {
      const float part_kept = l->call->params[PM_RECURRENT_FLAG] ? 1 - in[i] : forget[i];
      cell[i] = shown[i] = part_kept * kept[i] + in[i] * new[i];
      if (peep) out[i] += peep[hidden + i] * cell[i];
    }
    apply(l, p->direction, 0, out, n);
    apply(l, p->direction, 2, shown, n);
    for (int64_t i = 0; i < n; i++) shown[i] *= out[i];
    if (p->time < length_of(l, b)) memcpy(kept, cell, (size_t)n * sizeof(float));
    keep_state(l, p, b, shown);
  }
}

/* The first half of a step: update and reset gate. */
static void gru_gates(const layer *l, const part *p) {
  const int64_t hidden = l->size.hidden;
  for (int64_t gate = 0; gate < 2; gate++) multiply(l, p, p->before, gate, NULL);
  for (int64_t b = 0; b < l->size.batch; b++) {
    float *update = gates_at(l, p->direction, p->step, b) + p->first, *reset = update + hidden;
    const int64_t at = state_at(l, p->direction, b) + p->first;
    apply(l, p->direction, 0, update, p->count);
    apply(l, p->direction, 0, reset, p->count);
    for (int64_t i = 0; i < p->count; i++) l->behind[at + i] = reset[i] * p->before[at + i];
  }
}

static void gru_finish(const layer *l, const part *p, int64_t batch) {
  float *update = gates_at(l, p->direction, p->step, batch) + p->first, *new = update + 2 * l->size.hidden;
  const float *before = p->before + state_at(l, p->direction, batch) + p->first;
  apply(l, p->direction, 1, new, p->count);
  for (int64_t i = 0; i < p->count; i++) new[i] = (1 - update[i]) * new[i] + update[i] * before[i];
  keep_state(l, p, batch, new);
}

/* The second half, with the reset gate applied to the state that is multiplied. */
static void gru_units(const layer *l, const part *p) {
  multiply(l, p, l->behind, 2, NULL);
  for (int64_t b = 0; b < l->size.batch; b++) gru_finish(l, p, b);
}

/* The whole step, with the reset gate applied behind the product. */
static void gru_late_units(const layer *l, const part *p) {
  gru_gates(l, p);
  multiply(l, p, p->before, 2, l->behind);
  for (int64_t b = 0; b < l->size.batch; b++) {
    float *reset = gates_at(l, p->direction, p->step, b) + l->size.hidden + p->first;
    const float *product = l->behind + state_at(l, p->direction, b) + p->first;
    for (int64_t i = 0; i < p->count; i++) reset[l->size.hidden + i] += reset[i] * product[i];
    gru_finish(l, p, b);
  }
}

typedef void units_fn(const layer *l, const part *p);

/* This worker's units of a step that is `step` in a chunk and `number` in all. */
static void each_unit(const layer *l, const pm_worker *worker, int64_t step, int64_t number, units_fn *function) {
  const int64_t blocks = (l->size.hidden + UNITS - 1) / UNITS;
  int64_t begin, end;
  pm_share(worker, l->size.directions * blocks, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const int64_t first = i % blocks * UNITS, direction = i / blocks;
    const part p = {direction, first, PM_MIN(UNITS, l->size.hidden - first),
                    step, time_of(l, direction, number), l->states[number % 2], l->states[(number + 1) % 2]};
    function(l, &p);
  }
}

static void run_step(const layer *l, const pm_worker *worker, int64_t step, int64_t number) {
  const bool late = l->call->params[PM_RECURRENT_FLAG] != 0;
  if (l->size.kind == PM_GRU && !late) {
    each_unit(l, worker, step, number, gru_gates);
    pm_barrier(worker);
    each_unit(l, worker, step, number, gru_units);
  } else if (l->size.kind == PM_GRU) {
    each_unit(l, worker, step, number, gru_late_units);
  } else {
    each_unit(l, worker, step, number, l->size.kind == PM_LSTM ? lstm_units : rnn_units);
  }
  pm_barrier(worker);
}

/* Copies between a state of the scratch and an operand of the form (directions, batch, hidden). */
static void copy_states(const layer *l, const pm_worker *worker, const pm_view *view, float *state, bool reads) {
  int64_t begin, end;
  pm_share(worker, l->size.directions * l->size.batch, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    float *own = state + i * l->size.hidden;
    const size_t nbytes = (size_t)l->size.hidden * sizeof(float);
    const int64_t direction = i / l->size.batch, batch = i % l->size.batch;
    float *given = view->t ? (float *)(uintptr_t)row_of(view, direction, batch) : NULL;
    if (reads && given)
      memcpy(own, given, nbytes);
    else if (reads)
      memset(own, 0, nbytes);
    else if (given)
      memcpy(given, own, nbytes);
  }
}

static layer layer_of(const pm_call *call) {
  layer l = {.call = call, .size = pm_recurrent_of(call)};
  const int64_t state = pm_recurrent_state(&l.size);
  l.clip = (float)pm_param_f64(call->params[PM_RECURRENT_CLIP]);
  l.gates = (float *)call->scratch;
  l.states[0] = l.gates + state * l.size.chunk * l.size.gates;
  l.states[1] = l.states[0] + state;
  l.cells = l.states[1] + state;
  l.behind = l.cells + state;
  return l;
}

PM_KERNEL(recurrent) {
  const layer l = layer_of(call);
  if (!l.size.batch || !l.size.hidden) return;
  copy_states(&l, worker, &call->in[PM_RECURRENT_STATE], l.states[0], true);
  copy_states(&l, worker, &call->in[PM_RECURRENT_CELL], l.cells, true);
  for (int64_t begin = 0; begin < l.size.steps; begin += l.size.chunk) {
    const int64_t count = PM_MIN(l.size.chunk, l.size.steps - begin);
    project_chunk(&l, worker, begin, count);
    pm_barrier(worker);
    for (int64_t step = 0; step < count; step++) run_step(&l, worker, step, begin + step);
  }
  if (!l.size.steps) pm_barrier(worker);
  copy_states(&l, worker, &call->out[1], l.states[l.size.steps % 2], false);
  copy_states(&l, worker, &call->out[2], l.cells, false);
}
