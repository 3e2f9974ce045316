/* Rows of few floats, such as the corners of boxes: many of them are computed at a time.

   The elements of a block of rows are put together, computed, and put in their places. */
#ifndef PM_ELEMENTWISE_SHORT_H
#define PM_ELEMENTWISE_SHORT_H

#include "elementwise.h"
#include "vec.h"

/* Floats of a row that is short. */
#define PM_SHORT 8

typedef struct {
  const pm_nest *nest; /* its rows are the short ones, one after the other */
  pm_math_fn *function;
  const double *params;
  int views;
  int64_t width;                /* floats of a short row */
  int64_t steps[PM_NEST_VIEWS]; /* along a short row, in bytes */
} pm_short_rows;

#define PM_SHORT_MOVE(bytes) \
  static void pm_short_move_##bytes(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step, \
                                    int64_t rows) { \
    for (int64_t i = 0; i < rows; i++) { \
      uint8_t room[bytes]; \
      memcpy(room, from + i * from_step, bytes); \
      memcpy(to + i * to_step, room, bytes); \
    } \
  }

PM_SHORT_MOVE(8)
PM_SHORT_MOVE(12)
PM_SHORT_MOVE(16)

/* Moves `rows` rows of `width` floats; the steps are those between rows and within them. */
static void pm_short_move(uint8_t *to, int64_t to_step, int64_t to_inner, const uint8_t *from,
                          int64_t from_step, int64_t from_inner, int64_t rows, int64_t width) {
  const bool dense = to_inner == 4 && from_inner == 4;
  if (dense && width == 2) {
    pm_short_move_8(to, to_step, from, from_step, rows);
  } else if (dense && width == 3) {
    pm_short_move_12(to, to_step, from, from_step, rows);
  } else if (dense && width == 4) {
    pm_short_move_16(to, to_step, from, from_step, rows);
  } else {
    for (int64_t i = 0; i < rows; i++)
      for (int64_t k = 0; k < width; k++)
        memcpy(to + i * to_step + k * to_inner, from + i * from_step + k * from_inner, 4);
  }
}

static void pm_short_fetch(const pm_short_rows *s, int view, uint8_t *const *at, int64_t row, int64_t rows,
                           float *room) {
  const int64_t step = s->nest->inner[view], inner = s->steps[view], pitch = s->width * 4;
  /* A single number stays in the room. */
  if (!step && !inner && row) return;
  pm_short_move((uint8_t *)room, pitch, 4, at[view] + row * step, step, inner, rows, s->width);
}

static void pm_short_run(void *context, uint8_t *const *at, int64_t count) {
  const pm_short_rows *s = context;
  const int64_t most = PM_BLOCK / s->width, pitch = s->width * 4;
  float rooms[3][PM_BLOCK];
  for (int64_t row = 0; row < count; row += most) {
    const int64_t rows = PM_MIN(count - row, most);
    for (int view = 1; view < s->views; view++) pm_short_fetch(s, view, at, row, rows, rooms[view]);
    s->function(rooms[1], rooms[2], rooms[0], rows * s->width, s->params);
    const int64_t step = s->nest->inner[0];
    pm_short_move(at[0] + row * step, step, s->steps[0], (const uint8_t *)rooms[0], pitch, 4, rows, s->width);
  }
}

/* Makes the axis around short rows the one that is shared out. */
static pm_short_rows pm_short_rows_of(pm_nest *nest, pm_math_fn *function, const double *params) {
  pm_short_rows s = {nest, function, params, nest->views, nest->size, {0}};
  const int axis = --nest->rank;
  nest->rows /= nest->dims[axis];
  nest->size = nest->dims[axis];
  for (int i = 0; i < nest->views; i++) {
    s.steps[i] = nest->inner[i];
    nest->inner[i] = nest->steps[axis][i];
  }
  return s;
}

#endif
