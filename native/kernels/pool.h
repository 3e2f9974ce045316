/* The instruction `pool`: a number for each window, of each channel on its own.

   in: x, channels last: (N, W, C), (N, H, W, C) or (N, D, H, W, C), with any strides. out: y; and,
   for a maximum, its place in x with channels first and flattened (int64), which may be left out.
   Rows of x and y may be held in rings.
   params: see below. Sizes are of d, h, w; those that x does not have are 1. */
#ifndef PM_POOL_H
#define PM_POOL_H

#include "kernel.h"

/* In the order of KINDS in program/lower/pooling.py. */
typedef enum { PM_POOL_MAX, PM_POOL_AVERAGE, PM_POOL_LP, PM_POOL_KINDS } pm_pool_kind;

enum {
  PM_POOL_KERNEL = 0,
  PM_POOL_STRIDE = 3,
  PM_POOL_DILATION = 6,
  PM_POOL_PAD = 9,   /* before the first element; below zero where elements are left out */
  PM_POOL_END = 12,  /* behind the last one */
  PM_POOL_KIND = 15,
  PM_POOL_P,         /* the power of PM_POOL_LP, a double */
  PM_POOL_COUNTS_PAD, /* an average is over the padding too */
  PM_POOL_COLUMNS,   /* places count columns first */
  PM_POOL_ROW0,      /* rows of h to make, [row0, row1) */
  PM_POOL_ROW1,
  PM_POOL_PARAMS
};

/* A tensor of three to five dimensions; those that it does not have are 1. */
typedef struct {
  int64_t n, c, size[3];       /* d, h, w */
  int64_t n_step, c_step, step[3]; /* in elements */
  int64_t ring;                /* rows of h that are held; 0 means all */
} pm_pixels;

static inline pm_pixels pm_pixels_of(const pm_tensor *t) {
  const int last = t->rank - 1;
  pm_pixels p = {.n = t->dims[0], .n_step = t->strides[0], .ring = t->ring};
  p.c = t->dims[last];
  p.c_step = t->strides[last];
  for (int i = 0; i < 3; i++) {
    const int axis = last - 3 + i;
    p.size[i] = axis > 0 ? t->dims[axis] : 1;
    p.step[i] = axis > 0 ? t->strides[axis] : 0;
  }
  return p;
}

/* From the start of the data to the first pixel of a row. */
static inline int64_t pm_pixels_row(const pm_pixels *p, int64_t n, int64_t d, int64_t h) {
  return n * p->n_step + d * p->step[0] + (p->ring ? h % p->ring : h) * p->step[1];
}

/* The positions of a window, along one axis, that lie in the data: [first, last). */
typedef struct {
  int64_t first, last, origin; /* origin: where position 0 lies */
} pm_span;

static inline pm_span pm_span_of(const int64_t *params, int axis, int64_t size, int64_t output) {
  const int64_t kernel = params[PM_POOL_KERNEL + axis], dilation = params[PM_POOL_DILATION + axis];
  pm_span s = {0, 0, output * params[PM_POOL_STRIDE + axis] - params[PM_POOL_PAD + axis]};
  if (s.origin < 0) s.first = (-s.origin + dilation - 1) / dilation;
  if (s.origin < size) s.last = PM_MIN(kernel, (size - 1 - s.origin) / dilation + 1);
  return s;
}

/* Positions of a window along an axis that an average is over. */
static inline int64_t pm_counted(const int64_t *params, const pm_pixels *x, int axis, const pm_span *own) {
  if (!params[PM_POOL_COUNTS_PAD]) return PM_MAX(0, own->last - own->first);
  const int64_t pad = params[PM_POOL_PAD + axis], dilation = params[PM_POOL_DILATION + axis];
  const int64_t size = x->size[axis] + pad + params[PM_POOL_END + axis], first = own->origin + pad;
  const int64_t positions = first < size ? (size - 1 - first) / dilation + 1 : 0;
  return PM_MIN(positions, params[PM_POOL_KERNEL + axis]);
}

/* Of pool_check.c: whether the parameters are those of windows over x that give y. */
bool pm_windows_fit(const pm_tensor *x, const pm_tensor *y, const int64_t *params);

#endif
