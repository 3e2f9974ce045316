/* Walks through several views at once: a nest of loops, made as small as the strides allow.

   In: for each axis its size and how many bytes each view moves along it; 0 where a view is repeated.
   Out: rows, in each of which every view moves by equal steps, shared out among the workers. */
#ifndef PM_NEST_H
#define PM_NEST_H

#include "kernel.h"

#define PM_NEST_VIEWS (PM_MAX_OPERANDS + 1)

typedef struct {
  int views, rank;    /* rank counts the axes around the rows */
  int64_t rows, size; /* elements of a row */
  int64_t dims[PM_MAX_RANK];
  int64_t steps[PM_MAX_RANK][PM_NEST_VIEWS];
  int64_t inner[PM_NEST_VIEWS]; /* the steps along a row */
  uint8_t *base[PM_NEST_VIEWS];
} pm_nest;

/* A row: its place along each axis, and where each view has it. */
typedef struct {
  int64_t index[PM_MAX_RANK];
  uint8_t *at[PM_NEST_VIEWS];
} pm_row;

/* What is done with `size` elements that start at at[]. */
typedef void pm_row_fn(void *context, uint8_t *const *at, int64_t size);

static inline void pm_nest_start(pm_nest *nest, int views) {
  nest->views = views;
  nest->rank = 0;
  nest->rows = 1;
}

/* The next axis inwards. */
static inline void pm_nest_axis(pm_nest *nest, int64_t dim, const int64_t *steps) {
  if (dim == 0) nest->rows = 0;
  if (dim == 1 || nest->rows == 0) return;
  bool merges = nest->rank > 0;
  for (int i = 0; i < nest->views && merges; i++)
    merges = nest->steps[nest->rank - 1][i] == dim * steps[i];
  const int axis = merges ? nest->rank - 1 : nest->rank++;
  nest->dims[axis] = merges ? nest->dims[axis] * dim : dim;
  for (int i = 0; i < nest->views; i++) nest->steps[axis][i] = steps[i];
}

/* After the last axis: the innermost one makes the rows. */
static inline void pm_nest_end(pm_nest *nest) {
  const bool one = nest->rank == 0 || nest->rows == 0;
  nest->size = one ? 1 : nest->dims[--nest->rank];
  for (int i = 0; i < nest->views; i++) nest->inner[i] = one ? 0 : nest->steps[nest->rank][i];
  for (int i = 0; i < nest->rank && nest->rows; i++) nest->rows *= nest->dims[i];
}

/* Bytes that a view moves along an axis of a tensor of `rank` axes, counted from the front; the view
   may have fewer axes, which are the last ones, and is repeated where its size is 1. */
static inline int64_t pm_step_of(const pm_tensor *t, int axis, int rank) {
  const int own = axis - (rank - t->rank);
  if (own < 0 || t->dims[own] == 1) return 0;
  return t->strides[own] * (int64_t)pm_dtype_size(t->dtype);
}

/* A nest over the shape of the first view; the others are broadcast to it. */
static inline void pm_nest_over(pm_nest *nest, const pm_view *const *views, int count) {
  const pm_tensor *shape = views[0]->t;
  pm_nest_start(nest, count);
  for (int i = 0; i < count; i++) nest->base[i] = views[i]->data;
  for (int axis = 0; axis < shape->rank && nest->rows; axis++) nest->rows = shape->dims[axis] ? 1 : 0;
  for (int axis = 0; axis < shape->rank && nest->rows; axis++) {
    int64_t steps[PM_NEST_VIEWS];
    for (int i = 0; i < count; i++) steps[i] = pm_step_of(views[i]->t, axis, shape->rank);
    pm_nest_axis(nest, shape->dims[axis], steps);
  }
  pm_nest_end(nest);
}

static inline void pm_nest_seek(const pm_nest *nest, int64_t number, pm_row *row) {
  for (int i = 0; i < nest->views; i++) row->at[i] = nest->base[i];
  for (int axis = nest->rank - 1; axis >= 0; axis--) {
    row->index[axis] = number % nest->dims[axis];
    number /= nest->dims[axis];
    for (int i = 0; i < nest->views; i++) row->at[i] += row->index[axis] * nest->steps[axis][i];
  }
}

static inline void pm_nest_next(const pm_nest *nest, pm_row *row) {
  for (int axis = nest->rank - 1; axis >= 0; axis--) {
    const int64_t *steps = nest->steps[axis];
    if (++row->index[axis] < nest->dims[axis]) {
      for (int i = 0; i < nest->views; i++) row->at[i] += steps[i];
      return;
    }
    row->index[axis] = 0;
    for (int i = 0; i < nest->views; i++) row->at[i] -= (nest->dims[axis] - 1) * steps[i];
  }
}

/* The part [begin, end) of a row. */
static inline void pm_nest_part(const pm_nest *nest, const pm_row *row, int64_t begin, int64_t end,
                                pm_row_fn *fn, void *context) {
  uint8_t *at[PM_NEST_VIEWS];
  for (int i = 0; i < nest->views; i++) at[i] = row->at[i] + begin * nest->inner[i];
  fn(context, at, end - begin);
}

/* In how many pieces a row is shared out, where there are fewer rows than would keep all busy. */
static inline int64_t pm_nest_pieces(const pm_nest *nest, int workers) {
  if (workers == 1 || nest->rows >= 4 * (int64_t)workers) return 1;
  return PM_MIN((nest->size + 1023) / 1024, 4 * (int64_t)workers);
}

/* This worker's part of all rows. */
static inline void pm_nest_run(const pm_nest *nest, const pm_worker *worker, pm_row_fn *fn,
                               void *context) {
  const int64_t pieces = pm_nest_pieces(nest, worker->count);
  const int64_t piece = ((nest->size + pieces - 1) / pieces + 63) / 64 * 64;
  int64_t begin, end;
  pm_share(worker, nest->rows * pieces, &begin, &end);
  if (begin >= end) return;
  pm_row row;
  pm_nest_seek(nest, begin / pieces, &row);
  for (int64_t part = begin; part < end; part++) {
    const int64_t first = part % pieces * piece, last = PM_MIN(first + piece, nest->size);
    if (first < last) pm_nest_part(nest, &row, first, last, fn, context);
    if (part % pieces == pieces - 1) pm_nest_next(nest, &row);
  }
}

/* Whether a view can be broadcast to the shape of `to`. */
static inline bool pm_broadcasts(const pm_tensor *t, const pm_tensor *to) {
  if (t->rank > to->rank) return false;
  for (int i = 0; i < t->rank; i++)
    if (t->dims[i] != 1 && t->dims[i] != to->dims[i + to->rank - t->rank]) return false;
  return true;
}

#endif
