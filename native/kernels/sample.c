#include "sample.h"

#include <math.h>

#include "elements.h"
#include "move.h"

/* Pixels around a point: up to four along each axis. */
#define MOST_TAPS 64

typedef struct {
  int count;
  int64_t offsets[MOST_TAPS]; /* bytes from a channel's first pixel; -1 for a pixel outside */
  double weights[MOST_TAPS];
} taps;

typedef struct {
  const pm_call *call;
  const pm_tensor *x, *places, *y;
  int axes;
  pm_sample_mode mode;
  pm_pad_mode padding;
  bool align;
} task;

static double low_of(const task *t) { return t->align ? 0 : -0.5; }

static double high_of(const task *t, int64_t size) { return (double)size - (t->align ? 1 : 0.5); }

static double reflected(double along, double low, double high) {
  if (high == low) return low;
  if (along >= low && along <= high) return along;
  const double beyond = fabs(along - low), length = high - low, turns = floor(beyond / length);
  const double rest = beyond - turns * length;
  return fmod(turns, 2) == 0 ? low + rest : high - rest;
}

/* The pixel that is read for a whole place along an axis; -1 where there is none. */
static int64_t settled(const task *t, double along, int64_t size) {
  const double low = low_of(t), high = high_of(t, size);
  if (t->padding == PM_PAD_BORDER) along = fmax(ceil(low), fmin(along, floor(high)));
  if (t->padding == PM_PAD_REFLECTION) along = reflected(along, low, high);
  return along >= 0 && along <= (double)size - 1 ? (int64_t)along : -1;
}

/* Keys' kernel, as pelemay.graph.operations.sampling has it. */
static double cubic(double d) {
  const double a = -0.75;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((d - 5) * d + 8) * d * a - 4 * a : 0;
}

/* Weights of the pixels from `*first` on, relative to the one before the place; how many there are. */
static int weights_of(const task *t, double distance, int *first, double *weights) {
  *first = t->mode == PM_SAMPLE_CUBIC ? -1 : 0;
  if (t->mode == PM_SAMPLE_NEAREST) {
    weights[0] = 1;
    return 1;
  }
  if (t->mode == PM_SAMPLE_LINEAR) {
    weights[0] = 1 - distance, weights[1] = distance;
    return 2;
  }
  for (int i = 0; i < 4; i++) weights[i] = cubic(fabs(i - 1 - distance));
  return 4;
}

/* A place in pixels; what is no number lies far outside. */
static double pixels_of(const task *t, double place, int64_t size) {
  const double low = low_of(t), along = low + (place + 1) * ((high_of(t, size) - low) / 2);
  if (!(along > -0x1p31)) return -0x1p31;
  return along < 0x1p31 ? along : 0x1p31;
}

/* Every tap so far is joined with each pixel along one more axis. */
static void add_axis(const task *t, int axis, double along, taps *all) {
  const int64_t size = t->x->dims[axis + 2], step = pm_step_of(t->x, axis + 2, t->x->rank);
  const double below = t->mode == PM_SAMPLE_NEAREST ? nearbyint(along) : floor(along);
  double weights[4];
  int64_t offsets[4];
  int first;
  const int count = weights_of(t, along - below, &first, weights);
  for (int i = 0; i < count; i++) {
    const int64_t pixel = settled(t, below + first + i, size);
    offsets[i] = pixel < 0 ? -1 : pixel * step;
  }
  for (int k = all->count - 1; k >= 0; k--)
    for (int i = count - 1; i >= 0; i--) {
      const bool inside = all->offsets[k] >= 0 && offsets[i] >= 0;
      all->offsets[k * count + i] = inside ? all->offsets[k] + offsets[i] : -1;
      all->weights[k * count + i] = all->weights[k] * weights[i];
    }
  all->count *= count;
}

static void sample_channel(const task *t, const taps *all, const uint8_t *from, uint8_t *to) {
  double sum = 0;
  for (int i = 0; i < all->count; i++) {
    if (all->offsets[i] < 0) continue;
    sum += all->weights[i] * pm_element_at(from + all->offsets[i], t->x->dtype);
  }
  pm_elements_store(PM_AS_F64, t->y->dtype, &sum, to, 0, 1);
}

static void move_channel(const task *t, const taps *all, const uint8_t *from, uint8_t *to) {
  static const uint8_t zero[8] = {0};
  const int64_t size = (int64_t)pm_dtype_size(t->y->dtype);
  pm_move_one(to, all->offsets[0] < 0 ? zero : from + all->offsets[0], size);
}

static void sample_point(const task *t, int64_t batch, int64_t point) {
  const uint8_t *place = t->call->in[1].data + batch * pm_step_of(t->places, 0, 3) +
                         point * pm_step_of(t->places, 1, 3);
  taps all = {1, {0}, {1}};
  for (int axis = 0; axis < t->axes; axis++) {
    const uint8_t *at = place + (t->axes - 1 - axis) * pm_step_of(t->places, 2, 3);
    add_axis(t, axis, pixels_of(t, pm_element_at(at, t->places->dtype), t->x->dims[axis + 2]), &all);
  }
  const uint8_t *from = t->call->in[0].data + batch * pm_step_of(t->x, 0, t->x->rank);
  uint8_t *to = t->call->out[0].data + batch * pm_step_of(t->y, 0, 3) + point * pm_step_of(t->y, 2, 3);
  for (int64_t c = 0; c < t->y->dims[1]; c++) {
    const int64_t read = c * pm_step_of(t->x, 1, t->x->rank), write = c * pm_step_of(t->y, 1, 3);
    if (t->mode == PM_SAMPLE_NEAREST)
      move_channel(t, &all, from + read, to + write);
    else
      sample_channel(t, &all, from + read, to + write);
  }
}

PM_KERNEL(grid_sample) {
  const task t = {call, call->in[0].t, call->in[1].t, call->out[0].t, call->in[0].t->rank - 2,
                  (pm_sample_mode)call->params[0], (pm_pad_mode)call->params[1], call->params[2] != 0};
  int64_t begin, end;
  if (!pm_count(t.y)) return;
  pm_share(worker, (int64_t)t.y->dims[0] * t.y->dims[2], &begin, &end);
  for (int64_t part = begin; part < end; part++)
    sample_point(&t, part / t.y->dims[2], part % t.y->dims[2]);
}

/* A row of a matrix times a point; its last element is added. */
static double moved(const pm_call *call, const uint8_t *row, const int64_t *at, int axes) {
  const pm_tensor *theta = call->in[0].t;
  double sum = pm_element_at(row + axes * pm_step_of(theta, 2, 3), theta->dtype);
  for (int j = 0; j < axes; j++) {
    const int axis = axes - 1 - j;
    const pm_view *centres = &call->in[axis + 1];
    const double centre = pm_element_at(centres->data + at[axis] * pm_step_of(centres->t, 0, 1), PM_F64);
    sum += pm_element_at(row + j * pm_step_of(theta, 2, 3), theta->dtype) * centre;
  }
  return sum;
}

PM_KERNEL(affine_grid) {
  const pm_tensor *theta = call->in[0].t, *y = call->out[0].t;
  const int axes = call->n_in - 1;
  int64_t begin, end;
  if (!pm_count(y)) return;
  pm_share(worker, pm_count(y) / axes, &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    int64_t at[PM_SAMPLE_AXES], rest = part, offset = 0;
    for (int axis = axes - 1; axis >= 0; axis--) {
      at[axis] = rest % y->dims[axis + 1];
      rest /= y->dims[axis + 1];
      offset += at[axis] * pm_step_of(y, axis + 1, y->rank);
    }
    offset += rest * pm_step_of(y, 0, y->rank);
    for (int i = 0; i < axes; i++) {
      const uint8_t *row = call->in[0].data + rest * pm_step_of(theta, 0, 3) + i * pm_step_of(theta, 1, 3);
      const double sum = moved(call, row, at, axes);
      uint8_t *to = call->out[0].data + offset + i * pm_step_of(y, axes + 1, y->rank);
      pm_elements_store(PM_AS_F64, y->dtype, &sum, to, 0, 1);
    }
  }
}
