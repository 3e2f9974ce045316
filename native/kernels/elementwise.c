#include "elementwise.h"

#include "elementwise_rows.h"
#include "elementwise_short.h"
#include "halfrow.h"
#include "where.h"

typedef struct {
  const pm_call *call;
  const pm_worker *worker;
  const pm_nest *nest;
  pm_math_fn *function;
  unsigned class;
  int64_t size;  /* bytes of an element of the class */
  bool direct[PM_NEST_VIEWS]; /* whether elements lie as the class has them */
  bool is_direct;             /* all do, and there are at most two inputs */
  bool divides;               /* the second number may not be 0 */
  double params[2];
} task;

static unsigned dtype_of(const task *t, int view) {
  return view ? t->call->in[view - 1].t->dtype : t->call->out[0].t->dtype;
}

static void load(const task *t, unsigned dtype, const uint8_t *from, int64_t step, void *to, int64_t n) {
  if (t->class == PM_AS_F32 && dtype == PM_F16 && step == 2)
    pm_halves_load(from, to, n);
  else if (t->class == PM_AS_F32 && dtype == PM_BF16 && step == 2)
    pm_bfloats_load(from, to, n);
  else
    pm_elements_load(t->class, dtype, from, step, to, n);
}

static void store(const task *t, const void *from, uint8_t *to, int64_t n) {
  const unsigned dtype = dtype_of(t, 0);
  const int64_t step = t->nest->inner[0];
  if (t->class == PM_AS_F32 && dtype == PM_F16 && step == 2)
    pm_halves_store(from, to, n);
  else if (t->class == PM_AS_F32 && dtype == PM_BF16 && step == 2)
    pm_bfloats_store(from, to, n);
  else
    pm_elements_store(t->class, dtype, from, to, step, n);
}

/* One element, over and over. */
static void spread(const task *t, unsigned dtype, const uint8_t *from, pm_block_room *room, int64_t n) {
  load(t, dtype, from, 0, room, 1);
  if (t->size == 4)
    for (int64_t i = 1; i < n; i++) room->f32[i] = room->f32[0];
  else
    for (int64_t i = 1; i < n; i++) room->u64[i] = room->u64[0];
}

/* Elements [i, i + n) of an input's row, as the class has them; `room` is kept from block to block. */
static const void *fetch(const task *t, int view, uint8_t *const *at, int64_t i, int64_t n,
                         pm_block_room *room, bool kept) {
  const int64_t step = t->nest->inner[view];
  if (t->direct[view]) return at[view] + i * t->size;
  if (step)
    load(t, dtype_of(t, view), at[view] + i * step, step, room, n);
  else if (i == 0 || !kept)
    spread(t, dtype_of(t, view), at[view], room, n);
  return room;
}

static const void *divisor(const task *t, const void *b, int64_t n) {
  if (t->divides && pm_any_zero(b, n)) pm_fail(t->worker, PM_E_DIVIDE);
  return b;
}

static void in_blocks(const task *t, uint8_t *const *at, int64_t size) {
  pm_block_room rooms[3];
  const int n_in = t->call->n_in;
  for (int64_t i = 0; i < size; i += PM_BLOCK) {
    const int64_t n = PM_MIN(size - i, PM_BLOCK);
    const bool through = t->direct[0] && n_in <= 2;
    void *y = through ? (void *)(at[0] + i * t->size) : &rooms[2];
    const void *a = fetch(t, 1, at, i, n, &rooms[0], true);
    const void *b = n_in > 1 ? divisor(t, fetch(t, 2, at, i, n, &rooms[1], n_in == 2), n) : NULL;
    t->function(a, b, y, n, t->params);
    for (int k = 3; k <= n_in; k++)
      t->function(y, divisor(t, fetch(t, k, at, i, n, &rooms[1], false), n), y, n, t->params);
    if (!through) store(t, y, at[0] + i * t->nest->inner[0], n);
  }
}

static void row(void *context, uint8_t *const *at, int64_t size) {
  const task *t = context;
  if (t->is_direct)
    t->function(at[1], t->call->n_in > 1 ? divisor(t, at[2], size) : NULL, at[0], size, t->params);
  else
    in_blocks(t, at, size);
}

/* Whether all are floats, in rows of a few. */
static bool is_short(const task *t, const pm_nest *nest) {
  if (t->class != PM_AS_F32 || nest->views > 3) return false;
  if (!nest->rows || !nest->rank || nest->size > PM_SHORT) return false;
  for (int i = 0; i < nest->views; i++)
    if (dtype_of(t, i) != PM_F32) return false;
  return true;
}

static void run(task *t, const pm_call *call, const pm_worker *worker) {
  const pm_view *views[PM_NEST_VIEWS] = {&call->out[0]};
  for (int i = 0; i < call->n_in; i++) views[i + 1] = &call->in[i];
  pm_nest nest;
  pm_nest_over(&nest, views, call->n_in + 1);
  t->call = call;
  t->worker = worker;
  t->nest = &nest;
  if (is_short(t, &nest)) {
    pm_short_rows rows = pm_short_rows_of(&nest, t->function, t->params);
    pm_nest_run(&nest, worker, pm_short_run, &rows);
    return;
  }
  t->size = (int64_t)pm_class_size(t->class);
  t->is_direct = call->n_in <= 2;
  for (int i = 0; i <= call->n_in; i++) {
    t->direct[i] = nest.inner[i] == t->size && dtype_of(t, i) == pm_class_dtype(t->class);
    t->is_direct = t->is_direct && t->direct[i];
  }
  pm_nest_run(&nest, worker, row, t);
}

PM_KERNEL(unary) {
  const unsigned code = (unsigned)call->params[0], class = (unsigned)call->params[1];
  task t = {.class = class, .params = {pm_param_f64(call->params[2]), pm_param_f64(call->params[3])}};
  t.function = class == PM_AS_F32 ? pm_f32_unary(code) : pm_wide_unary(code, class);
  run(&t, call, worker);
}

PM_KERNEL(activation) {
  const unsigned code = (unsigned)call->params[0], class = (unsigned)call->params[1];
  task t = {.class = class, .params = {pm_param_f64(call->params[2]), pm_param_f64(call->params[3])}};
  t.function = class == PM_AS_F32 ? pm_f32_activation(code) : pm_wide_activation(code, class);
  run(&t, call, worker);
}

PM_KERNEL(binary) {
  const unsigned code = (unsigned)call->params[0], class = (unsigned)call->params[1];
  task t = {.class = class, .params = {pm_param_f64(call->params[2]), 0}};
  t.function = class == PM_AS_F32 ? pm_f32_binary(code) : pm_wide_binary(code, class);
  t.divides = (PM_WHOLES >> class & 1) &&
              (code == PM_BINARY_DIV || code == PM_BINARY_MOD || code == PM_BINARY_FMOD);
  run(&t, call, worker);
}

PM_KERNEL(where) {
  const pm_view *views[] = {&call->out[0], &call->in[0], &call->in[1], &call->in[2]};
  pm_nest nest;
  pm_nest_over(&nest, views, 4);
  pm_choice choice = {&nest, (int64_t)pm_dtype_size(call->out[0].t->dtype)};
  pm_nest_run(&nest, worker, pm_choose_row, &choice);
}
