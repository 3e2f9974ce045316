/* The instruction `reduce`: one number out of those along some axes.

   in: x. out: y, of x's type and rank, with 1 along the reduced axes.
   params: kind, axes (bits), p (a double: the power of PM_REDUCE_LP). */
#ifndef PM_REDUCE_H
#define PM_REDUCE_H

#include "reduce_path.h"

/* In the order of KINDS in program/lower/reduction.py. */
typedef enum {
  PM_REDUCE_SUM,
  PM_REDUCE_MEAN,
  PM_REDUCE_MAX,
  PM_REDUCE_MIN,
  PM_REDUCE_PROD,
  PM_REDUCE_L1,
  PM_REDUCE_L2,
  PM_REDUCE_SUM_SQUARE,
  PM_REDUCE_LOG_SUM,
  PM_REDUCE_LOG_SUM_EXP,
  PM_REDUCE_LP,
  PM_REDUCE_KINDS
} pm_reduce_kind;

enum { PM_REDUCE_PARAMS = 3 };

/* How the numbers lie: reduced ones next to each other, or kept ones, or neither. */
typedef enum { PM_REDUCE_ROWS, PM_REDUCE_COLUMNS, PM_REDUCE_ANY } pm_reduce_form;

/* Floats of a row, or rows of columns, that are one piece of work. */
enum { PM_REDUCE_PIECE = 8192, PM_REDUCE_PIECE_ROWS = 64 };

typedef struct {
  pm_reduce_kind kind;
  pm_reduce_form form;
  double p;
  pm_path kept, reduced; /* of x and y; in rows and columns without the contiguous axis */
  int64_t total;         /* elements that make one number */
  int64_t inner;         /* elements of the contiguous axis */
  int64_t pieces;        /* of all that is reduced, */
  int64_t segments;      /* and how many parts of it are reduced on their own */
} pm_reduce;

static inline bool pm_reduce_has_vectors(const pm_call *call, pm_reduce_kind kind) {
  const bool is_plain = kind != PM_REDUCE_PROD && kind != PM_REDUCE_LOG_SUM_EXP && kind != PM_REDUCE_LP;
  return is_plain && call->in[0].t->dtype == PM_F32;
}

/* One worker would have nearly all to do if few numbers are made of many. */
static inline int64_t pm_reduce_segments(const pm_reduce *r) {
  if (r->form == PM_REDUCE_ANY) return 1;
  const bool rows = r->form == PM_REDUCE_ROWS;
  const int64_t parts = pm_times(r->kept.count, rows ? 1 : (r->inner + 63) / 64);
  if (parts >= 8) return 1;
  return PM_MAX(1, PM_MIN(r->pieces, rows ? 32 : 16));
}

static inline pm_reduce pm_reduce_of(const pm_call *call) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const uint32_t axes = (uint32_t)call->params[1];
  pm_reduce r = {.kind = (pm_reduce_kind)call->params[0], .form = PM_REDUCE_ANY, .inner = 1};
  r.p = pm_param_f64(call->params[2]);
  r.kept = pm_path_over(tensors, 2, ~axes);
  r.reduced = pm_path_over(tensors, 2, axes);
  r.total = r.reduced.count;
  if (pm_reduce_has_vectors(call, r.kind)) {
    if (pm_path_inner(&r.reduced, 0) == 1) {
      r.form = PM_REDUCE_ROWS;
      r.inner = pm_path_pop(&r.reduced);
      r.pieces = pm_times(r.reduced.count, (r.inner + PM_REDUCE_PIECE - 1) / PM_REDUCE_PIECE);
    } else if (pm_path_inner(&r.kept, 0) == 1 && pm_path_inner(&r.kept, 1) == 1) {
      r.form = PM_REDUCE_COLUMNS;
      r.inner = pm_path_pop(&r.kept);
      r.pieces = r.reduced.count / PM_REDUCE_PIECE_ROWS;
    }
  }
  r.segments = pm_reduce_segments(&r);
  return r;
}

/* Numbers that wait to be put together, in double precision. */
static inline size_t pm_reduce_partials(const pm_reduce *r) {
  if (r->segments == 1) return 0;
  const int64_t numbers = r->form == PM_REDUCE_COLUMNS ? pm_times(r->kept.count, r->inner) : r->kept.count;
  return (size_t)pm_times(numbers, r->segments);
}

#endif
