/* Linear attention, token by token, each head of keys on its own. The error is below 1e-5 of the
   largest state in size, for some hundred tokens. */
#include "attention_linear.h"

#include <math.h>
#include <string.h>

#include "reduce_path.h"

typedef struct {
  const pm_call *call;
  int64_t n, head, size, v_size;
  float *new; /* what a token adds, times its key; v_size floats */
} unit;

static float *place(const pm_view *view, int64_t a, int64_t b, int64_t c, int64_t d) {
  const pm_tensor *t = view->t;
  return (float *)view->data + a * pm_step(t, 0) + b * pm_step(t, 1) + c * pm_step(t, 2) + d * pm_step(t, 3);
}

static void start(const unit *u) {
  const pm_view *past = &u->call->in[PM_LINEAR_STATE], *state = &u->call->out[1];
  for (int64_t i = 0; i < u->size; i++)
    for (int64_t j = 0; j < u->v_size; j++)
      *place(state, u->n, u->head, i, j) = past->t ? *place(past, u->n, u->head, i, j) : 0;
}

static void decay(const unit *u, int64_t token) {
  const pm_view *decays = &u->call->in[PM_LINEAR_DECAY];
  const int64_t step = u->call->out[1].t->strides[3];
  if (!decays->t) return;
  for (int64_t i = 0; i < u->size; i++) {
    const float factor = expf(*place(decays, u->n, u->head, token, i));
    float *state = place(&u->call->out[1], u->n, u->head, i, 0);
    for (int64_t j = 0; j < u->v_size; j++) state[j * step] *= factor;
  }
}

/* to += row x state, times a factor. */
static void read_state(const unit *u, const pm_view *rows, int64_t head, int64_t token, float factor, float *to,
                       int64_t to_step) {
  const int64_t step = u->call->out[1].t->strides[3];
  for (int64_t i = 0; i < u->size; i++) {
    const float weight = *place(rows, u->n, head, token, i) * factor;
    const float *state = place(&u->call->out[1], u->n, u->head, i, 0);
    for (int64_t j = 0; j < u->v_size; j++) to[j * to_step] += weight * state[j * step];
  }
}

static void add_token(const unit *u, int64_t token) {
  const pm_view *keys = &u->call->in[PM_LINEAR_K], *rates = &u->call->in[PM_LINEAR_RATE];
  const int64_t step = u->call->out[1].t->strides[3];
  memset(u->new, 0, (size_t)u->v_size * sizeof(float));
  if (rates->t) read_state(u, keys, u->head, token, -1, u->new, 1);
  const float rate = rates->t ? *place(rates, u->n, u->head, token, 0) : 1;
  for (int64_t j = 0; j < u->v_size; j++)
    u->new[j] = (u->new[j] + *place(&u->call->in[PM_LINEAR_V], u->n, u->head, token, j)) * rate;
  for (int64_t i = 0; i < u->size; i++) {
    const float key = *place(keys, u->n, u->head, token, i);
    float *state = place(&u->call->out[1], u->n, u->head, i, 0);
    for (int64_t j = 0; j < u->v_size; j++) state[j * step] += key * u->new[j];
  }
}

static void run_unit(const unit *u) {
  const pm_view *q = &u->call->in[PM_LINEAR_Q], *y = &u->call->out[0];
  const int64_t group = q->t->dims[1] / u->call->in[PM_LINEAR_K].t->dims[1], step = y->t->strides[3];
  const float scale = (float)pm_param_f64(u->call->params[0]);
  start(u);
  for (int64_t token = 0; token < q->t->dims[2]; token++) {
    decay(u, token);
    add_token(u, token);
    for (int64_t i = 0; i < group; i++) {
      const int64_t head = u->head * group + i;
      float *to = place(y, u->n, head, token, 0);
      for (int64_t j = 0; j < u->v_size; j++) to[j * step] = 0;
      read_state(u, q, head, token, scale, to, step);
    }
  }
}

PM_KERNEL(linear_attention) {
  const pm_tensor *k = call->in[PM_LINEAR_K].t;
  int64_t begin, end;
  pm_share(worker, k->dims[0] * k->dims[1], &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const unit u = {call, i / k->dims[1], i % k->dims[1], k->dims[3],
                    call->in[PM_LINEAR_V].t->dims[3], (float *)call->own_scratch};
    run_unit(&u);
  }
}
