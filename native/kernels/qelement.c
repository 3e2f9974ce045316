#include "qelement.h"

#include "elements.h"
#include "move.h"
#include "qround.h"

typedef struct {
  const pm_nest *nest;
  pm_qoperation operation;
  float ra, rb, shift, za, zb, low, high;
  int32_t zero;
  bool is_signed[2];
} task;

static void load_floats(const uint8_t *from, int64_t step, bool is_signed, float *to, int64_t n) {
  const int8_t *whole = (const int8_t *)from;
  if (step == 1 && is_signed)
    for (int64_t i = 0; i < n; i++) to[i] = (float)whole[i];
  else if (step == 1)
    for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
  else
    for (int64_t i = 0; i < n; i++) to[i] = is_signed ? (float)whole[i * step] : (float)from[i * step];
}

typedef double pm_vd __attribute__((vector_size(PM_VL * 8)));

/* x * factor + added, rounded once, as one instruction does it where there is such. A product of 8 and
   24 bits is exact in a double, and so is its sum with a float but for what is far below a unit. */
PM_INLINE pm_vf multiplied_and_added(pm_vf x, float factor, pm_vf added) {
  const pm_vd product = __builtin_convertvector(x, pm_vd) * (double)factor;
  return __builtin_convertvector(product + __builtin_convertvector(added, pm_vd), pm_vf);
}

static void binary_row(void *context, uint8_t *const *at, int64_t size) {
  const task *t = context;
  const int64_t *step = t->nest->inner;
  _Alignas(64) float a[PM_BLOCK], b[PM_BLOCK];
  uint8_t y[PM_BLOCK];
  for (int64_t i = 0; i < size; i += PM_BLOCK) {
    const int64_t n = PM_MIN(size - i, PM_BLOCK);
    load_floats(at[1] + i * step[1], step[1], t->is_signed[0], a, n);
    load_floats(at[2] + i * step[2], step[2], t->is_signed[1], b, n);
    for (int64_t j = 0; j < n; j += PM_VL) {
      const pm_vf va = pm_load(a + j), vb = pm_load(b + j);
      pm_vf real;
      if (t->operation == PM_QADD)
        real = multiplied_and_added(va, t->ra, multiplied_and_added(vb, t->rb, pm_splat(t->shift)));
      else
        real = (va - t->za) * (vb - t->zb) * t->ra;
      pm_qstore_rounded(y + j, real, t->low, t->high, t->zero, PM_VL);
    }
    pm_move_row(at[0] + i * step[0], step[0], y, 1, 1, n);
  }
}

PM_KERNEL(qbinary) {
  const pm_view *views[] = {&call->out[0], &call->in[0], &call->in[1]};
  const int64_t *p = call->params;
  pm_nest nest;
  pm_nest_over(&nest, views, 3);
  const bool adds = p[QBINARY_OPERATION] == PM_QADD;
  task t = {.nest = &nest, .operation = (pm_qoperation)p[QBINARY_OPERATION]};
  t.ra = (float)pm_param_f64(p[QBINARY_RA]), t.rb = (float)pm_param_f64(p[QBINARY_RB]);
  t.shift = (float)pm_param_f64(p[QBINARY_SHIFT]);
  t.za = (float)p[QBINARY_A_ZERO], t.zb = (float)p[QBINARY_B_ZERO];
  t.zero = adds ? 0 : (int32_t)p[QBINARY_Y_ZERO];
  t.low = (float)(p[QBINARY_LOW] - t.zero), t.high = (float)(p[QBINARY_HIGH] - t.zero);
  for (int i = 0; i < 2; i++) t.is_signed[i] = call->in[i].t->dtype == PM_I8;
  pm_nest_run(&nest, worker, binary_row, &t);
}

typedef struct {
  const pm_nest *nest;
  const uint8_t *table;
  int64_t size;
} lookup;

static void table_row(void *context, uint8_t *const *at, int64_t size) {
  const lookup *t = context;
  const int64_t *step = t->nest->inner;
  if (t->size == 1)
    for (int64_t i = 0; i < size; i++) at[0][i * step[0]] = t->table[at[1][i * step[1]]];
  else
    for (int64_t i = 0; i < size; i++)
      pm_move_one(at[0] + i * step[0], t->table + at[1][i * step[1]] * t->size, t->size);
}

PM_KERNEL(qtable) {
  const pm_view *views[] = {&call->out[0], &call->in[0]};
  pm_nest nest;
  pm_nest_over(&nest, views, 2);
  lookup t = {&nest, call->in[1].data, (int64_t)pm_dtype_size(call->out[0].t->dtype)};
  pm_nest_run(&nest, worker, table_row, &t);
}
