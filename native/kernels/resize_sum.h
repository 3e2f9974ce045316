/* The part of resize.c that computes: rows first, then along the last axis.

   Floats in single precision; all else in double precision, and integers are held in their range. */
#ifndef PM_RESIZE_SUM_H
#define PM_RESIZE_SUM_H

/* The last axis' table as it is used: offsets in elements (-1 for the value) and weights. */
typedef struct {
  int64_t taps;
  int64_t *offsets;
  float *f32;
  double *f64;
} table;

/* Whether an input row is read where it lies: floats, and only the last axis has weights. */
static bool is_direct(const task *t) {
  if (t->y->dtype != PM_F32) return false;
  for (int i = 0; i < t->axes - 1; i++)
    if (pm_resize_weights(t->call, i)) return false;
  return true;
}

static table table_of(const task *t, uint8_t *room, int64_t pixel) {
  const pm_resize_room parts = pm_resize_room_of(t->call);
  const table last = {taps_of(t, t->axes - 1), (int64_t *)(void *)(room + parts.places),
                      (float *)(void *)(room + parts.weights), (double *)(void *)(room + parts.weights)};
  for (int64_t i = 0; i < t->pixels; i++)
    for (int64_t k = 0; k < last.taps; k++) {
      const int64_t source = source_of(t, t->axes - 1, i, k), at = i * last.taps + k;
      const double weight = weight_of(t, t->axes - 1, i, k);
      last.offsets[at] = source * pixel;
      if (source < 0) last.offsets[i * last.taps] = -1;
      if (t->y->dtype == PM_F32)
        last.f32[at] = (float)weight;
      else
        last.f64[at] = weight;
    }
  return last;
}

static bool is_value(const table *last, int64_t i) { return last->offsets[i * last->taps] < 0; }

PM_INLINE pm_vf added(pm_vf sum, pm_vf x, float weight, bool first) {
  return first ? x * weight : pm_vfma(x, pm_splat(weight), sum);
}

static void add_floats(float *sum, const float *from, int64_t n, float weight, bool first) {
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL)
    pm_store(sum + i, added(pm_load(sum + i), pm_load(from + i), weight, first));
  if (i == n) return;
  const pm_vf before = pm_load_some(sum + i, n - i), x = pm_load_some(from + i, n - i);
  pm_store_some(sum + i, added(before, x, weight, first), n - i);
}

/* Elements of an input row, `n` of them one after the other, added to a sum of its class. */
static void add_run(const task *t, void *sum, const uint8_t *from, int64_t at, int64_t n, double weight,
                    bool first) {
  if (t->y->dtype == PM_F32) {
    add_floats((float *)sum + at, (const float *)(const void *)from, n, (float)weight, first);
    return;
  }
  double room[PM_BLOCK], *to = (double *)sum + at;
  for (int64_t i = 0; i < n; i += PM_BLOCK) {
    const int64_t count = PM_MIN(n - i, PM_BLOCK);
    pm_elements_load(PM_AS_F64, t->x->dtype, from + i * t->size, t->size, room, count);
    for (int64_t k = 0; k < count; k++) to[i + k] = room[k] * weight + (first ? 0 : to[i + k]);
  }
}

/* An input row added to a sum, in which pixels lie one after the other. */
static void add_row(const task *t, void *sum, const source_row *row, bool first) {
  const pm_tensor *x = t->x;
  const int64_t pixel = pm_step_of(x, t->axes, x->rank), count = x->dims[t->axes];
  if (count == 1 || pixel == t->inner * t->size) {
    add_run(t, sum, row->from, 0, count * t->inner, row->weight, first);
    return;
  }
  for (int64_t i = 0; i < count; i++)
    add_run(t, sum, row->from + i * pixel, i * t->inner, t->inner, row->weight, first);
}

/* The input row that an output row is made of; NULL where that is the value. */
static const void *summed(const task *t, const place *p, void *sum, bool direct) {
  const int64_t sources = count_sources(t);
  for (int64_t i = 0; i < sources; i++) {
    const source_row row = source_row_of(t, p, i);
    if (!row.from || direct) return row.from;
    add_row(t, sum, &row, i == 0);
  }
  return sum;
}

/* Outputs of one float each. */
static void sum_plane(const task *t, const table *last, const float *row, float *y, int64_t step,
                      int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) {
    const int64_t *offset = last->offsets + i * last->taps;
    const float *w = last->f32 + i * last->taps;
    float sum = offset[0] < 0 ? (float)t->value : row[offset[0]] * w[0];
    for (int64_t k = 1; k < last->taps && offset[0] >= 0; k++) sum += row[offset[k]] * w[k];
    y[i * step] = sum;
  }
}

PM_INLINE pm_vf taps_at(const table *last, const int64_t *offset, const float *w, const float *row,
                        int64_t n) {
  pm_vf sum = {0};
  for (int64_t k = 0; k < last->taps; k++) {
    const float *from = row + offset[k];
    sum = pm_vfma(n == PM_VL ? pm_load(from) : pm_load_some(from, n), pm_splat(w[k]), sum);
  }
  return sum;
}

/* Outputs of several floats each. */
static void sum_pixels(const task *t, const table *last, const float *row, float *y, int64_t step,
                       int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) {
    const int64_t *offset = last->offsets + i * last->taps;
    const float *w = last->f32 + i * last->taps;
    float *to = y + i * step;
    int64_t c = 0;
    for (; offset[0] < 0 && c < t->inner; c++) to[c] = (float)t->value;
    for (; c + PM_VL <= t->inner; c += PM_VL) pm_store(to + c, taps_at(last, offset, w, row + c, PM_VL));
    if (c < t->inner)
      pm_store_some(to + c, taps_at(last, offset, w, row + c, t->inner - c), t->inner - c);
  }
}

/* A number that the type can hold. */
static double held_in(unsigned dtype, double x) {
  static const double ends[] = {0x1p7, 0x1p15, 0x1p31, 0x1p63};
  if (dtype < PM_I8 || dtype > PM_U64 || x != x) return x;
  const bool is_signed = dtype <= PM_I64;
  const double end = ends[dtype - (is_signed ? PM_I8 : PM_U8)];
  const double low = is_signed ? -end : 0, high = is_signed ? end : 2 * end;
  if (x < low) return low;
  return x < high ? x : nextafter(high, 0);
}

static void sum_wide(const task *t, const table *last, const double *row, uint8_t *to, int64_t first,
                     int64_t end) {
  const int64_t pixel = pm_step_of(t->y, t->axes, t->y->rank);
  for (int64_t i = first; i < end; i++)
    for (int64_t c = 0; c < t->inner; c++) {
      double sum = is_value(last, i) ? t->value : 0;
      for (int64_t k = 0; k < last->taps && !is_value(last, i); k++)
        sum += row[last->offsets[i * last->taps + k] + c] * last->f64[i * last->taps + k];
      sum = held_in(t->y->dtype, sum);
      pm_elements_store(PM_AS_F64, t->y->dtype, &sum, to + i * pixel + c * t->size, 0, 1);
    }
}

static void sum_row(const task *t, const table *last, const void *row, uint8_t *to, int64_t first,
                    int64_t end) {
  const int64_t step = pm_step_of(t->y, t->axes, t->y->rank) / t->size;
  if (t->y->dtype != PM_F32)
    sum_wide(t, last, row, to, first, end);
  else if (t->inner == 1)
    sum_plane(t, last, row, (float *)(void *)to, step, first, end);
  else
    sum_pixels(t, last, row, (float *)(void *)to, step, first, end);
}

static void resize_sums(const task *t) {
  uint8_t *room = t->call->own_scratch;
  const bool direct = is_direct(t);
  const int64_t pieces = direct ? pieces_of(t) : 1;
  int64_t begin, end;
  pm_share(t->worker, count_rows(t) * pieces, &begin, &end);
  if (begin >= end) return;
  const int64_t pixel = direct ? pm_step_of(t->x, t->axes, t->x->rank) / t->size : t->inner;
  const table last = table_of(t, room, pixel);
  for (int64_t part = begin; part < end; part++) {
    const place p = place_of(t, part / pieces);
    const int64_t piece = part % pieces;
    const int64_t first = t->pixels * piece / pieces, after = t->pixels * (piece + 1) / pieces;
    const void *row = summed(t, &p, room, direct);
    if (row)
      sum_row(t, &last, row, output_row(t, &p), first, after);
    else
      fill_pixels(t, output_row(t, &p), first, after);
  }
}

#endif
