/* Positions along some axes of several tensors at once, with as few loops as the strides allow. */
#ifndef PM_REDUCE_PATH_H
#define PM_REDUCE_PATH_H

#include "kernel.h"

#define PM_PATH_TENSORS 6

typedef struct {
  int rank, tensors;
  int64_t count; /* of positions; 1 where there is no axis */
  int64_t dims[PM_MAX_RANK], steps[PM_MAX_RANK][PM_PATH_TENSORS];
} pm_path;

/* A position: its place along each axis, and the offset of each tensor in elements. */
typedef struct {
  int64_t at[PM_MAX_RANK], offset[PM_PATH_TENSORS];
} pm_spot;

/* The step of a tensor along an axis; it stays where it has only one element there. */
static inline int64_t pm_step(const pm_tensor *t, int axis) {
  return t && t->dims[axis] != 1 ? t->strides[axis] : 0;
}

/* The product; where a tensor has no elements its other sizes may be too large to multiply. */
static inline int64_t pm_times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

static inline void pm_path_axis(pm_path *path, int64_t dim, const int64_t *steps) {
  path->count = pm_times(path->count, dim);
  if (dim == 1) return;
  bool merges = path->rank > 0;
  for (int i = 0; i < path->tensors && merges; i++)
    merges = path->steps[path->rank - 1][i] == pm_times(dim, steps[i]);
  const int at = merges ? path->rank - 1 : path->rank++;
  path->dims[at] = merges ? pm_times(path->dims[at], dim) : dim;
  for (int i = 0; i < PM_PATH_TENSORS; i++) path->steps[at][i] = i < path->tensors ? steps[i] : 0;
}

/* The axes of `tensors[0]` whose bits are set, the first one outermost. The others have its rank,
   and its dimension or 1 along each axis; NULL stays. */
static inline pm_path pm_path_over(const pm_tensor *const *tensors, int count, uint32_t axes) {
  pm_path path = {.tensors = count, .count = 1};
  for (int axis = 0; axis < tensors[0]->rank; axis++) {
    if (!(axes >> axis & 1)) continue;
    int64_t steps[PM_PATH_TENSORS] = {0};
    for (int i = 0; i < count; i++) steps[i] = pm_step(tensors[i], axis);
    pm_path_axis(&path, tensors[0]->dims[axis], steps);
  }
  return path;
}

/* Takes the innermost axis off the path and gives its size. */
static inline int64_t pm_path_pop(pm_path *path) {
  const int64_t dim = path->dims[--path->rank];
  path->count = 1;
  for (int i = 0; i < path->rank; i++) path->count = pm_times(path->count, path->dims[i]);
  return dim;
}

/* The step of a tensor along the innermost axis. */
static inline int64_t pm_path_inner(const pm_path *path, int tensor) {
  return path->rank ? path->steps[path->rank - 1][tensor] : 0;
}

static inline pm_spot pm_path_seek(const pm_path *path, int64_t index) {
  pm_spot spot = {{0}, {0}};
  for (int axis = path->rank - 1; axis >= 0; axis--) {
    spot.at[axis] = index % path->dims[axis];
    index /= path->dims[axis];
    for (int i = 0; i < PM_PATH_TENSORS; i++) spot.offset[i] += spot.at[axis] * path->steps[axis][i];
  }
  return spot;
}

static inline void pm_path_next(const pm_path *path, pm_spot *spot) {
  for (int axis = path->rank - 1; axis >= 0; axis--) {
    const int64_t *steps = path->steps[axis];
    if (++spot->at[axis] < path->dims[axis]) {
      for (int i = 0; i < PM_PATH_TENSORS; i++) spot->offset[i] += steps[i];
      return;
    }
    for (int i = 0; i < PM_PATH_TENSORS; i++) spot->offset[i] -= (path->dims[axis] - 1) * steps[i];
    spot->at[axis] = 0;
  }
}

/* How many positions, from `index` on but before `end`, lie at equal steps; *spot is the first. */
static inline int64_t pm_path_run(const pm_path *path, int64_t index, int64_t end, pm_spot *spot) {
  *spot = pm_path_seek(path, index);
  if (!path->rank) return 1;
  const int64_t left = path->dims[path->rank - 1] - spot->at[path->rank - 1];
  return PM_MIN(left, end - index);
}

/* Whether `t` has the rank of `like`, and its dimension or 1 along each axis. */
static inline bool pm_spreads_to(const pm_tensor *t, const pm_tensor *like) {
  if (t->rank != like->rank) return false;
  for (int i = 0; i < t->rank; i++)
    if (t->dims[i] != like->dims[i] && t->dims[i] != 1) return false;
  return true;
}

/* Whether `t` is `like` with the axes of the set reduced to one element. */
static inline bool pm_is_reduced(const pm_tensor *t, const pm_tensor *like, uint32_t axes) {
  if (t->rank != like->rank || axes >> like->rank) return false;
  for (int i = 0; i < t->rank; i++)
    if (t->dims[i] != (axes >> i & 1 ? 1 : like->dims[i])) return false;
  return true;
}

#endif
