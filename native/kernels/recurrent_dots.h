/* Products of rows with rows: both matrices as they lie, summed along contiguous rows.

   Each sum is made in the same order, whatever tile it falls in. */
#ifndef PM_RECURRENT_DOTS_H
#define PM_RECURRENT_DOTS_H

#include "reduce_row.h"

enum { PM_DOT_ROWS = 4, PM_DOT_COLUMNS = PM_VL == 16 ? 4 : 2, PM_DOT_ALONE = 8 };

typedef struct {
  const float *const *a; /* rows, at most PM_DOT_ROWS */
  const float *b;        /* rows that are `b_step` apart */
  int64_t b_step, n;     /* n floats in each row */
  float *to;             /* to[i * to_step + j] = base[j] + a[i] . b[j], or added to it */
  int64_t to_step;
  bool adds;
} pm_dots;

PM_INLINE void pm_dot_tile(const pm_dots *d, const float *base, int64_t column, int rows, int columns) {
  pm_vf sums[PM_DOT_ROWS][PM_DOT_ALONE] = {{{0}}};
  const float *b = d->b + column * d->b_step;
  int64_t i = 0;
  for (; i + PM_VL <= d->n; i += PM_VL) {
    pm_vf a[PM_DOT_ROWS];
    PM_UNROLL for (int row = 0; row < rows; row++) a[row] = pm_load(d->a[row] + i);
    PM_UNROLL for (int c = 0; c < columns; c++) {
      const pm_vf here = pm_load(b + c * d->b_step + i);
      PM_UNROLL for (int row = 0; row < rows; row++) sums[row][c] = pm_vfma(a[row], here, sums[row][c]);
    }
  }
  if (i < d->n) {
    PM_UNROLL for (int c = 0; c < columns; c++) {
      const pm_vf here = pm_load_some(b + c * d->b_step + i, d->n - i);
      PM_UNROLL for (int row = 0; row < rows; row++)
        sums[row][c] = pm_vfma(pm_load_some(d->a[row] + i, d->n - i), here, sums[row][c]);
    }
  }
  PM_UNROLL for (int row = 0; row < rows; row++)
    PM_UNROLL for (int c = 0; c < columns; c++) {
      float *to = d->to + row * d->to_step + column + c;
      const float sum = pm_sum_of_lanes(sums[row][c]) + (base ? base[column + c] : 0);
      *to = d->adds ? *to + sum : sum;
    }
}

/* `rows` of a with `columns` rows of b. */
static void pm_dot_rows(const pm_dots *d, const float *base, int64_t rows, int64_t columns) {
  int64_t c = 0;
  if (rows == PM_DOT_ROWS) {
    for (; c + PM_DOT_COLUMNS <= columns; c += PM_DOT_COLUMNS)
      pm_dot_tile(d, base, c, PM_DOT_ROWS, PM_DOT_COLUMNS);
    for (; c < columns; c++) pm_dot_tile(d, base, c, PM_DOT_ROWS, 1);
    return;
  }
  for (int64_t row = 0; row < rows; row++) {
    pm_dots one = *d;
    one.a += row;
    one.to += row * d->to_step;
    for (c = 0; c + PM_DOT_ALONE <= columns; c += PM_DOT_ALONE) pm_dot_tile(&one, base, c, 1, PM_DOT_ALONE);
    for (; c < columns; c++) pm_dot_tile(&one, base, c, 1, 1);
  }
}

#endif
