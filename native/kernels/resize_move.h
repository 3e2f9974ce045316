/* The part of resize.c that only moves elements: the nearest one for each output. */
#ifndef PM_RESIZE_MOVE_H
#define PM_RESIZE_MOVE_H

/* The value as an element of the output's type. */
static void value_of(const task *t, uint8_t *to) {
  pm_elements_store(PM_AS_F64, t->y->dtype, &t->value, to, 0, 1);
}

static void fill_pixels(const task *t, uint8_t *to, int64_t first, int64_t last) {
  const int64_t step = pm_step_of(t->y, t->axes, t->y->rank);
  const int64_t inner = pm_step_of(t->y, t->axes + 1, t->y->rank);
  uint8_t value[8];
  value_of(t, value);
  for (int64_t i = first; i < last; i++)
    pm_move_steps(to + i * step, inner, value, 0, t->size, t->inner);
}

/* Pixels of one element. */
#define MOVE_PLANE(bits) \
  static void move_plane_##bits(const task *t, uint8_t *to, int64_t to_pixel, const uint8_t *from, \
                                int64_t from_pixel, int64_t first, int64_t last) { \
    const uint8_t *places = t->call->in[2 * t->axes - 1].data; \
    const uint32_t count = t->x->dims[t->axes]; \
    for (int64_t i = first; i < last; i++) { \
      uint32_t source; \
      uint##bits##_t x; \
      memcpy(&source, places + 4 * i, sizeof source); \
      if (source >= count) { \
        if (source_of(t, t->axes - 1, i, 0) < 0) fill_pixels(t, to, i, i + 1); \
        continue; \
      } \
      memcpy(&x, from + (int64_t)source * from_pixel, sizeof x); \
      memcpy(to + i * to_pixel, &x, sizeof x); \
    } \
  }

MOVE_PLANE(8)
MOVE_PLANE(16)
MOVE_PLANE(32)
MOVE_PLANE(64)

static void move_plane(const task *t, uint8_t *to, int64_t to_pixel, const uint8_t *from, int64_t from_pixel,
                       int64_t first, int64_t last) {
  switch (t->size) {
    case 1: move_plane_8(t, to, to_pixel, from, from_pixel, first, last); break;
    case 2: move_plane_16(t, to, to_pixel, from, from_pixel, first, last); break;
    case 4: move_plane_32(t, to, to_pixel, from, from_pixel, first, last); break;
    default: move_plane_64(t, to, to_pixel, from, from_pixel, first, last); break;
  }
}

static void move_pixels(const task *t, uint8_t *to, const uint8_t *from, int64_t first, int64_t last) {
  const pm_tensor *x = t->x, *y = t->y;
  const int64_t to_pixel = pm_step_of(y, t->axes, y->rank), from_pixel = pm_step_of(x, t->axes, x->rank);
  const int64_t to_step = pm_step_of(y, t->axes + 1, y->rank);
  const int64_t from_step = pm_step_of(x, t->axes + 1, x->rank);
  if (t->inner == 1) {
    move_plane(t, to, to_pixel, from, from_pixel, first, last);
    return;
  }
  for (int64_t i = first; i < last; i++) {
    const int64_t source = source_of(t, t->axes - 1, i, 0);
    if (source < 0)
      fill_pixels(t, to, i, i + 1);
    else
      pm_move_row(to + i * to_pixel, to_step, from + source * from_pixel, from_step, t->size, t->inner);
  }
}

/* Whether an output row is one piece of memory. */
static bool is_solid(const task *t) {
  const pm_tensor *y = t->y;
  const int64_t inner = pm_step_of(y, t->axes + 1, y->rank), pixel = pm_step_of(y, t->axes, y->rank);
  return (t->inner == 1 || inner == t->size) && (t->pixels == 1 || pixel == t->inner * t->size);
}

/* With few rows each is shared out in pieces. */
static int64_t pieces_of(const task *t) {
  const int64_t few = 4 * (int64_t)t->worker->count;
  return count_rows(t) < few ? PM_MIN(t->pixels, few) : 1;
}

static void resize_moves(const task *t) {
  const int64_t rows = count_rows(t), solid = is_solid(t) ? t->pixels * t->inner * t->size : 0;
  const int64_t pieces = pieces_of(t);
  const uint8_t *before = NULL, *written = NULL;
  int64_t begin, end;
  pm_share(t->worker, rows * pieces, &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const place p = place_of(t, part / pieces);
    const source_row row = source_row_of(t, &p, 0);
    uint8_t *to = output_row(t, &p);
    const int64_t piece = part % pieces;
    const int64_t first = t->pixels * piece / pieces, last = t->pixels * (piece + 1) / pieces;
    if (!row.from) {
      fill_pixels(t, to, first, last);
    } else if (pieces == 1 && solid && before == row.from) {
      memmove(to, written, (size_t)solid);
    } else {
      move_pixels(t, to, row.from, first, last);
      before = row.from, written = to;
    }
  }
}

#endif
