/* Rows of the matrix that a convolution multiplies its weights with, a tile at a time.

   A row of that matrix is the window of one output pixel: depth, rows, columns and channels of the
   group, one after the other. Where windows reach over the rim there are zeros. */
#ifndef PM_CONV_PACK_H
#define PM_CONV_PACK_H

#include "conv.h"

/* What lies together in memory: a row of the window, or one pixel of it. */
typedef struct {
  const pm_conv *conv;
  const float *data;
  int64_t channels;      /* of a group */
  int64_t run, columns;  /* floats that lie together; their pixels */
  int64_t across, steps; /* runs in a row of the window; pixels from one to the next */
  int64_t k;             /* floats of the whole window */
  const float *end;      /* of the data: a whole vector must not reach beyond it */
} pm_windows;

/* The windows of a tile's pixels: where each begins, before the rim is looked at. */
typedef struct {
  int rows;
  const float *image[PM_MAX_MR];
  int64_t z[PM_MAX_MR], y[PM_MAX_MR], x[PM_MAX_MR];
  int next[PM_MAX_MR]; /* the first window after this one of another row */
} pm_origins;

static inline pm_windows pm_windows_of(const pm_conv *c, const pm_tensor *x, const float *data) {
  pm_windows w = {.conv = c, .data = data, .channels = c->x.c / c->groups};
  const bool joined = c->groups == 1 && c->x.sw == c->x.c && c->dilation[2] == 1;
  w.columns = joined ? c->kernel[2] : 1;
  w.run = w.columns * w.channels;
  w.across = joined ? 1 : c->kernel[2];
  w.steps = c->dilation[2];
  w.k = c->kernel[0] * c->kernel[1] * c->kernel[2] * w.channels;
  w.end = data + pm_span_bytes(x) / sizeof(float);
  return w;
}

/* Find the windows of output pixels `first` and following of a line, or of all lines if flat. */
static inline void pm_find_origins(const pm_windows *w, int64_t line, int64_t first, int rows,
                                   pm_origins *o) {
  const pm_conv *c = w->conv;
  const int64_t lines = c->row1 - c->row0;
  int64_t x = first % c->y.w;
  line += first / c->y.w;
  o->rows = rows;
  for (int m = 0; m < rows; line++, x = 0) {
    const int64_t plane = line / lines;
    const int64_t z = plane % c->y.d * c->stride[0] - c->pad[0];
    const int64_t y = (line % lines + c->row0) * c->stride[1] - c->pad[1];
    const float *image = w->data + plane / c->y.d * c->x.sn;
    const int next = (int)PM_MIN(rows, m + c->y.w - x);
    for (; m < next; m++, x++) {
      o->next[m] = next;
      o->image[m] = image;
      o->z[m] = z, o->y[m] = y, o->x[m] = x * c->stride[2] - c->pad[2];
    }
  }
}

/* `n` floats, nothing beyond them. */
PM_INLINE void pm_copy_run(float *to, const float *from, int64_t n) {
  if (n < PM_VL) {
    if (n > 0) pm_store_some(to, pm_load_some(from, n), n);
    return;
  }
  for (int64_t i = 0; i < n - PM_VL; i += PM_VL) pm_store(to + i, pm_load(from + i));
  pm_store(to + n - PM_VL, pm_load(from + n - PM_VL));
}

PM_INLINE void pm_zero_run(float *to, int64_t n) {
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL) pm_store(to + i, (pm_vf){0});
  if (i < n) pm_store_some(to + i, (pm_vf){0}, n - i);
}

/* Floats [from, from + n) of one run of one window. */
PM_INLINE void pm_pack_run(const pm_windows *w, const float *row, int64_t x, int64_t from,
                           int64_t n, float *to) {
  const pm_image *image = &w->conv->x;
  if (row && x >= 0 && x + w->columns <= image->w) {
    pm_copy_run(to, row + x * image->sw + from, n);
    return;
  }
  const int64_t inside = row ? PM_MAX(image->w - x, 0) * w->channels : 0;
  const int64_t end = PM_MIN(PM_MAX(inside - from, 0), n);
  const int64_t begin = PM_MIN(PM_MAX(-x * w->channels - from, 0), end);
  pm_zero_run(to, begin);
  if (end > begin) pm_copy_run(to + begin, row + x * image->sw + from + begin, end - begin);
  pm_zero_run(to + end, n - end);
}

/* Short runs of `count` windows that lie within a row, `step` floats apart. Whole vectors are
   written: what is too much is overwritten by the next run, or lies between the rows. */
PM_INLINE void pm_pack_short(const float *from, int64_t step, int64_t n, float *to, int64_t stride,
                             int64_t count) {
  for (int64_t i = 0; i < count; i++, from += step, to += stride)
    for (int64_t j = 0; j < n; j += PM_VL) pm_store(to + j, pm_load(from + j));
}

/* Windows [m, end) of a tile, which begin in one row of the data; NULL is a row outside of it. */
PM_INLINE void pm_pack_row(const pm_windows *w, const pm_origins *o, int m, int end, const float *row,
                           int64_t column, int64_t from, int64_t n, float *to, int64_t stride) {
  const pm_image *image = &w->conv->x;
  const int64_t step = w->conv->stride[2], first = o->x[m] + column;
  const int64_t whole = pm_ceil_div(n, PM_VL) * PM_VL;
  int64_t count = 0;
  if (row && n <= 2 * PM_PANEL && first >= 0 && first + w->columns <= image->w) {
    const int64_t fit = (image->w - w->columns - first) / step + 1;
    const float *begin = row + first * image->sw + from;
    const int64_t safe = (w->end - begin - whole) / (step * image->sw) + 1;
    count = PM_MIN(PM_MIN(fit, w->end - begin >= whole ? safe : 0), end - m);
    pm_pack_short(begin, step * image->sw, n, to, stride, count);
  }
  to += count * stride;
  for (m += (int)count; m < end; m++, to += stride)
    pm_pack_run(w, row, o->x[m] + column, from, n, to);
}

/* Run number `run` of all windows of the tile. */
PM_INLINE void pm_pack_runs(const pm_windows *w, const pm_origins *o, int64_t group, int64_t run,
                            int64_t from, int64_t n, float *to, int64_t stride) {
  const pm_conv *c = w->conv;
  const int64_t tap = run / w->across, column = run % w->across * w->steps;
  const int64_t dz = tap / c->kernel[1] * c->dilation[0];
  const int64_t dy = tap % c->kernel[1] * c->dilation[1];
  for (int m = 0, end; m < o->rows; m = end) {
    const int64_t z = o->z[m] + dz, y = o->y[m] + dy;
    const bool inside = z >= 0 && z < c->x.d && y >= 0 && y < c->x.h;
    const float *row = NULL;
    if (inside) row = o->image[m] + pm_image_row(&c->x, 0, z, y) + group * w->channels;
    end = o->next[m];
    /* At the left rim one window after the other. */
    while (m < end && o->x[m] + column < 0) {
      pm_pack_run(w, row, o->x[m] + column, from, n, to + m * stride);
      m++;
    }
    if (m < end) pm_pack_row(w, o, m, end, row, column, from, n, to + m * stride, stride);
  }
}

/* Floats [k0, k0 + n) of the windows of a tile, rows `stride` apart. */
static inline void pm_pack_windows(const pm_windows *w, const pm_origins *o, int64_t group,
                                   int64_t k0, int64_t n, float *to, int64_t stride) {
  for (int64_t done = 0; done < n;) {
    const int64_t run = (k0 + done) / w->run, from = (k0 + done) % w->run;
    const int64_t length = PM_MIN(w->run - from, n - done);
    pm_pack_runs(w, o, group, run, from, length, to + done, stride);
    done += length;
  }
}

#endif
