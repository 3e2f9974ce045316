/* Products of matrices and of stacks of them: operands a, b, bias, residual, and the scales of b where
   its type has any; bias and residual may be left out. The outer dimensions of a and b may be 1 where
   those of the output are not.

   `matmul` is for float32: the last axis of a and b is contiguous. b may have been packed when the
   program was made: (panels, k, 16), the same for the whole stack, of any type that widen.h knows.
   `matmul_plain` is for every other type, one element at a time. */
#ifndef PM_MATMUL_H
#define PM_MATMUL_H

#include "widen.h"

enum {
  MATMUL_TRANS_A, /* whether the last two axes of a are swapped; so for b */
  MATMUL_TRANS_B,
  MATMUL_PACKED,
  MATMUL_ALPHA, /* factor of the product; 1 where b is packed */
  MATMUL_KIND,  /* activation, its two parameters, whether the residual comes after it */
  MATMUL_ACT_ALPHA,
  MATMUL_ACT_BETA,
  MATMUL_AFTER,
  MATMUL_DEPTH,   /* steps of the sum in one go */
  MATMUL_COLUMNS, /* columns and rows of a part */
  MATMUL_ROWS,
  MATMUL_PARAMS,
};

#define PM_STACKED (PM_MAX_RANK - 2)

typedef struct {
  int64_t m, n, k;
  int64_t a_row, b_row, y_row, r_row; /* of the last axis but one, as they lie */
  int levels;                         /* outer dimensions */
  int64_t dims[PM_STACKED];
  int64_t a_step[PM_STACKED], b_step[PM_STACKED], y_step[PM_STACKED], r_step[PM_STACKED];
  int64_t stack; /* matrices: product of dims */
  bool trans_a, trans_b, packed;
} pm_matmul;

static inline int64_t pm_outer_step(const pm_tensor *t, int level) {
  return t && t->dims[level] != 1 ? t->strides[level] : 0;
}

/* Stacked rows that lie evenly are rows of one matrix, where all share their b. */
static inline void pm_merge_stack(pm_matmul *p, bool has_residual) {
  while (p->levels > 0) {
    const int i = p->levels - 1;
    if (p->b_step[i] != 0) return;
    if (p->dims[i] == 1) {
      p->levels = i;
      continue;
    }
    if (p->m != 1) {
      if (p->a_step[i] != p->m * p->a_row || p->y_step[i] != p->m * p->y_row) return;
      if (has_residual && p->r_step[i] != p->m * p->r_row) return;
    } else {
      p->a_row = p->a_step[i], p->y_row = p->y_step[i], p->r_row = p->r_step[i];
    }
    p->m *= p->dims[i];
    p->levels = i;
  }
}

/* Of a product with these flags; r is NULL where nothing is added. */
static inline pm_matmul pm_matmul_form(const pm_tensor *a, const pm_tensor *b, const pm_tensor *r,
                                       const pm_tensor *y, bool trans_a, bool trans_b, bool packed) {
  const int rank = y->rank;
  pm_matmul p = {.m = y->dims[rank - 2], .n = y->dims[rank - 1], .levels = rank - 2};
  p.trans_a = trans_a, p.trans_b = trans_b, p.packed = packed;
  p.k = a->dims[p.trans_a ? rank - 2 : rank - 1];
  p.a_row = a->strides[rank - 2], p.y_row = y->strides[rank - 2];
  if (!p.packed) p.b_row = b->strides[rank - 2];
  if (r) p.r_row = r->strides[rank - 2];
  for (int i = 0; i < p.levels; i++) {
    p.dims[i] = y->dims[i];
    p.a_step[i] = pm_outer_step(a, i);
    p.b_step[i] = p.packed ? 0 : pm_outer_step(b, i);
    p.y_step[i] = y->strides[i];
    p.r_step[i] = r ? r->strides[i] : 0;
  }
  if (!p.trans_a) pm_merge_stack(&p, r != NULL);
  p.stack = 1;
  for (int i = 0; i < p.levels; i++) p.stack *= p.dims[i];
  return p;
}

static inline pm_matmul pm_matmul_of(const pm_call *call) {
  const int64_t *v = call->params;
  return pm_matmul_form(call->in[0].t, call->in[1].t, call->in[3].t, call->out[0].t,
                        v[MATMUL_TRANS_A] != 0, v[MATMUL_TRANS_B] != 0, v[MATMUL_PACKED] != 0);
}

/* Rows of a tile that may have to be packed. */
static inline int64_t pm_tile_rows(const pm_matmul *p) { return PM_MIN(p->m, PM_MAX_MR); }

/* Elements from the first matrix of a stack to number `index`. */
static inline int64_t pm_stacked(const pm_matmul *p, const int64_t *steps, int64_t index) {
  int64_t offset = 0;
  for (int i = p->levels - 1; i >= 0; index /= p->dims[i], i--)
    offset += index % p->dims[i] * steps[i];
  return offset;
}

/* Of matmul_check.c: whether types, shapes and parameters are those of a product. */
bool pm_matmul_fits(const pm_call *call);
/* Whether the outer dimensions are those of y, or 1; whether the last two are those; whether the
   elements of a row lie together. */
bool pm_stacks(const pm_tensor *t, const pm_tensor *y);
bool pm_has_rows_of(const pm_tensor *t, int64_t rows, int64_t columns, bool swapped);
bool pm_last_is_dense(const pm_tensor *t);

#endif
