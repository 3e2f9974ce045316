#include "copy.h"

#include "transpose.h"

enum { TO, FROM, VIEWS };

/* Places of a transposed part: cache lines of the input, and of the output. */
#define TILE_A 64
#define TILE_B 256

typedef struct {
  int64_t dim, steps[VIEWS];
} axis_of_copy;

/* The axes with more than one element, those first along which the output moves furthest. */
static int find_axes(const pm_call *call, pm_nest *nest, axis_of_copy *axes) {
  const pm_tensor *to = call->out[0].t, *from = call->in[0].t;
  const uint32_t turned = pm_copy_turned(call);
  int count = 0;
  for (int i = 0; i < to->rank; i++) {
    if (to->dims[i] == 1) continue;
    axis_of_copy axis = {to->dims[i], {pm_step_of(to, i, to->rank), pm_step_of(from, i, to->rank)}};
    if (turned >> i & 1) {
      nest->base[FROM] += (axis.dim - 1) * axis.steps[FROM];
      axis.steps[FROM] = -axis.steps[FROM];
    }
    int at = count++;
    for (; at > 0 && axes[at - 1].steps[TO] < axis.steps[TO]; at--) axes[at] = axes[at - 1];
    axes[at] = axis;
  }
  return count;
}

/* All axes, merged where they can be; the innermost one is not taken off yet. */
static void make_nest(const pm_call *call, pm_nest *nest) {
  pm_nest_start(nest, VIEWS);
  nest->base[TO] = call->out[0].data;
  nest->base[FROM] = call->in[0].data;
  for (int i = 0; i < call->out[0].t->rank; i++)
    if (call->out[0].t->dims[i] == 0) nest->rows = 0;
  if (!nest->rows) return;
  axis_of_copy axes[PM_MAX_RANK];
  const int count = find_axes(call, nest, axes);
  for (int i = 0; i < count; i++) pm_nest_axis(nest, axes[i].dim, axes[i].steps);
}

typedef struct {
  const pm_nest *nest;
  int64_t size; /* bytes of an element */
} task;

static void row_of_bytes(void *context, uint8_t *const *at, int64_t n) {
  const task *t = context;
  pm_move_bytes(at[TO], at[FROM], n * t->size);
}

#define FILL(bits) \
  static void fill_##bits(uint8_t *to, const uint8_t *from, int64_t n) { \
    uint##bits##_t x; \
    memcpy(&x, from, sizeof x); \
    for (int64_t i = 0; i < n; i++) memcpy(to + i * (bits / 8), &x, sizeof x); \
  }

FILL(8)
FILL(16)
FILL(32)
FILL(64)

static void row_of_one(void *context, uint8_t *const *at, int64_t n) {
  const task *t = context;
  switch (t->size) {
    case 1: fill_8(at[TO], at[FROM], n); break;
    case 2: fill_16(at[TO], at[FROM], n); break;
    case 4: fill_32(at[TO], at[FROM], n); break;
    default: fill_64(at[TO], at[FROM], n); break;
  }
}

static void row_of_steps(void *context, uint8_t *const *at, int64_t n) {
  const task *t = context;
  const int64_t *step = t->nest->inner;
  pm_move_steps(at[TO], step[TO], at[FROM], step[FROM], t->size, n);
}

static void copy_rows(pm_nest *nest, const pm_worker *worker, int64_t size) {
  pm_nest_end(nest);
  task t = {nest, size};
  const bool dense = nest->inner[TO] == size || nest->size == 1;
  if (dense && (nest->inner[FROM] == size || nest->size == 1))
    pm_nest_run(nest, worker, row_of_bytes, &t);
  else if (dense && nest->inner[FROM] == 0)
    pm_nest_run(nest, worker, row_of_one, &t);
  else
    pm_nest_run(nest, worker, row_of_steps, &t);
}

/* The axis along which the input is contiguous, where the output is so along the innermost one. */
static int crossing_axis(const pm_nest *nest, int64_t size) {
  const int last = nest->rank - 1;
  if (last < 1 || nest->steps[last][TO] != size || nest->steps[last][FROM] == size) return -1;
  for (int axis = last - 1; axis >= 0; axis--)
    if (nest->steps[axis][FROM] == size) return axis;
  return -1;
}

/* Transposes tiles of the crossing axis (a) and the innermost one (b) for all places of the others. */
static void copy_tiles(pm_nest *nest, int crossing, const pm_worker *worker, int64_t size) {
  const int64_t na = nest->dims[crossing], to_a = nest->steps[crossing][TO];
  nest->rank--;
  for (int axis = crossing; axis < nest->rank; axis++) {
    nest->dims[axis] = nest->dims[axis + 1];
    memcpy(nest->steps[axis], nest->steps[axis + 1], sizeof nest->steps[axis]);
  }
  pm_nest_end(nest);
  const int64_t nb = nest->size, tiles_a = (na + TILE_A - 1) / TILE_A, tiles_b = (nb + TILE_B - 1) / TILE_B;
  int64_t begin, end;
  pm_share(worker, nest->rows * tiles_a * tiles_b, &begin, &end);
  pm_row row;
  for (int64_t part = begin; part < end; part++) {
    const int64_t b = part % tiles_b * TILE_B, a = part / tiles_b % tiles_a * TILE_A;
    if (part == begin || (a == 0 && b == 0)) pm_nest_seek(nest, part / (tiles_a * tiles_b), &row);
    const pm_tile tile = {row.at[FROM] + a * size + b * nest->inner[FROM],
                          row.at[TO] + a * to_a + b * size,
                          PM_MIN(TILE_A, na - a), PM_MIN(TILE_B, nb - b), nest->inner[FROM], to_a};
    pm_transpose_tile(&tile, size);
  }
}

/* Whether the caller gave one array as an input and as an output. */
static bool is_in_place(const pm_call *call) {
  const pm_tensor *to = call->out[0].t, *from = call->in[0].t;
  if (call->in[0].data != call->out[0].data || pm_copy_turned(call) || !pm_same_shape(to, from)) return false;
  for (int i = 0; i < to->rank; i++)
    if (to->dims[i] > 1 && to->strides[i] != from->strides[i]) return false;
  return true;
}

PM_KERNEL(copy) {
  if (is_in_place(call)) return;
  const int64_t size = (int64_t)pm_dtype_size(call->out[0].t->dtype);
  pm_nest nest;
  make_nest(call, &nest);
  const int crossing = nest.rows ? crossing_axis(&nest, size) : -1;
  if (crossing >= 0)
    copy_tiles(&nest, crossing, worker, size);
  else
    copy_rows(&nest, worker, size);
}
