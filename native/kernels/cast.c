/* cast: elements of one type as those of another; see elements.h for what does not fit. */
#include "elements.h"
#include "halfrow.h"
#include "nest.h"

typedef struct {
  const pm_nest *nest;
  unsigned from, to, class;
} task;

/* The class that holds all numbers of a type. */
static unsigned class_of(unsigned dtype) {
  switch (dtype) {
    case PM_F32:
    case PM_F16:
    case PM_BF16: return PM_AS_F32;
    case PM_F64: return PM_AS_F64;
    case PM_I8:
    case PM_I16:
    case PM_I32:
    case PM_I64: return PM_AS_I64;
    default: return PM_AS_U64;
  }
}

/* Between halves and floats that lie one after the other; false for anything else. */
static bool cast_halves(const task *t, uint8_t *const *at, int64_t n) {
  const int64_t *step = t->nest->inner;
  const bool widens = step[0] == 4 && step[1] == 2 && t->to == PM_F32;
  const bool narrows = step[0] == 2 && step[1] == 4 && t->from == PM_F32;
  if (widens && t->from == PM_F16)
    pm_halves_load(at[1], (float *)(void *)at[0], n);
  else if (widens && t->from == PM_BF16)
    pm_bfloats_load(at[1], (float *)(void *)at[0], n);
  else if (narrows && t->to == PM_F16)
    pm_halves_store((const float *)(const void *)at[1], at[0], n);
  else if (narrows && t->to == PM_BF16)
    pm_bfloats_store((const float *)(const void *)at[1], at[0], n);
  else
    return false;
  return true;
}

static void row(void *context, uint8_t *const *at, int64_t size) {
  const task *t = context;
  const int64_t *step = t->nest->inner;
  pm_block_room room;
  if (cast_halves(t, at, size)) return;
  for (int64_t i = 0; i < size; i += PM_BLOCK) {
    const int64_t n = PM_MIN(size - i, PM_BLOCK);
    pm_elements_load(t->class, t->from, at[1] + i * step[1], step[1], &room, n);
    pm_elements_store(t->class, t->to, &room, at[0] + i * step[0], step[0], n);
  }
}

PM_KERNEL(cast) {
  const pm_view *views[] = {&call->out[0], &call->in[0]};
  pm_nest nest;
  pm_nest_over(&nest, views, 2);
  const unsigned from = call->in[0].t->dtype;
  task t = {&nest, from, call->out[0].t->dtype, class_of(from)};
  pm_nest_run(&nest, worker, row, &t);
}
