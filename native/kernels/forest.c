#include "forest.h"

#include <math.h>

#include "vec.h"

/* Walks at a time: each waits for memory at every step, and the others go on. */
enum { LANES = 8 };

/* Rows for which a tree is walked before the next one. */
enum { ROWS = 64 };

typedef struct {
  uint64_t nodes, last_leaf, given, targets;
  uint32_t last_feature;
  int64_t trees, x_step, y_step, start_step, combine;
  const uint32_t *roots, *of;
} forest;

static int64_t step_of(const pm_tensor *t) { return t && t->dims[0] > 1 ? t->strides[0] : 0; }

static forest forest_of(const pm_call *call) {
  const pm_tensor *weights = call->in[FOREST_WEIGHTS].t;
  return (forest){
      .nodes = call->in[FOREST_NODES].t->dims[0],
      .last_leaf = weights->dims[0] - 1u,
      .given = weights->dims[1],
      .targets = call->out[0].t->dims[1],
      .last_feature = call->in[FOREST_X].t->dims[1] - 1u,
      .trees = call->in[FOREST_ROOTS].t->dims[0],
      .x_step = step_of(call->in[FOREST_X].t),
      .y_step = step_of(call->out[0].t),
      .start_step = step_of(call->in[FOREST_START].t),
      .combine = call->params[FOREST_COMBINE],
      .roots = (const uint32_t *)call->in[FOREST_ROOTS].data,
      .of = (const uint32_t *)call->in[FOREST_TARGETS].data,
  };
}

#define REAL float
#include "forest_walk.h"
#define REAL double
#include "forest_walk.h"

PM_KERNEL(forest) {
  int64_t begin, end;
  pm_share(worker, call->in[FOREST_X].t->dims[0], &begin, &end);
  if (call->in[FOREST_X].t->dtype == PM_F32)
    run_float(call, begin, end);
  else
    run_double(call, begin, end);
}
