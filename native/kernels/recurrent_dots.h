/* Products of rows with rows: both matrices as they lie, summed along contiguous rows. */
#ifndef PM_RECURRENT_DOTS_H
#define PM_RECURRENT_DOTS_H

#include "reduce_row.h"

enum { PM_DOT_ROWS = 4, PM_DOT_COLUMNS = PM_VL == 16 ? 4 : 2, PM_DOT_ALONE = 8, PM_DOT_MOST = 16 };

typedef float pm_four __attribute__((vector_size(16)));

#if PM_VL == 16
#define PM_EVEN 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define PM_ODD 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define PM_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define PM_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#elif PM_VL == 8
#define PM_EVEN 0, 8, 2, 10, 4, 12, 6, 14
#define PM_ODD 1, 9, 3, 11, 5, 13, 7, 15
#define PM_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define PM_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#else
#define PM_EVEN 0, 4, 2, 6
#define PM_ODD 1, 5, 3, 7
#define PM_LOW 0, 1, 4, 5
#define PM_HIGH 2, 3, 6, 7
#endif

PM_INLINE pm_vf pm_sum_pairs(pm_vf a, pm_vf b) {
  return __builtin_shufflevector(a, b, PM_EVEN) + __builtin_shufflevector(a, b, PM_ODD);
}

/* The sums of the lanes of four vectors. */
PM_INLINE pm_four pm_sums_of_lanes(const pm_vf *v) {
  const pm_vf a = pm_sum_pairs(v[0], v[1]), b = pm_sum_pairs(v[2], v[3]);
  const pm_vf fours = __builtin_shufflevector(a, b, PM_LOW) + __builtin_shufflevector(a, b, PM_HIGH);
#if PM_VL == 16
  return (__builtin_shufflevector(fours, fours, 0, 1, 2, 3) + __builtin_shufflevector(fours, fours, 4, 5, 6, 7)) +
         (__builtin_shufflevector(fours, fours, 8, 9, 10, 11) +
          __builtin_shufflevector(fours, fours, 12, 13, 14, 15));
#elif PM_VL == 8
  return __builtin_shufflevector(fours, fours, 0, 1, 2, 3) + __builtin_shufflevector(fours, fours, 4, 5, 6, 7);
#else
  return fours;
#endif
}

typedef struct {
  const float *const *a; /* rows, at most PM_DOT_ROWS */
  const float *b;        /* rows that are `b_step` apart */
  int64_t b_step, n;     /* n floats in each row */
  float *to;             /* to[i * to_step + j] = base[j] + a[i] . b[j], or added to it */
  int64_t to_step;
  bool adds;
} pm_dots;

PM_INLINE void pm_dot_tile(const pm_dots *d, const float *base, int64_t column, int rows, int columns) {
  pm_vf sums[PM_DOT_MOST] = {{0}};
  const float *b = d->b + column * d->b_step;
  int64_t i = 0;
  for (; i + PM_VL <= d->n; i += PM_VL) {
    pm_vf a[PM_DOT_ROWS];
    PM_UNROLL for (int row = 0; row < rows; row++) a[row] = pm_load(d->a[row] + i);
    PM_UNROLL for (int c = 0; c < columns; c++) {
      const pm_vf here = pm_load(b + c * d->b_step + i);
      PM_UNROLL for (int row = 0; row < rows; row++)
        sums[row * columns + c] = pm_vfma(a[row], here, sums[row * columns + c]);
    }
  }
  if (i < d->n) {
    PM_UNROLL for (int c = 0; c < columns; c++) {
      const pm_vf here = pm_load_some(b + c * d->b_step + i, d->n - i);
      PM_UNROLL for (int row = 0; row < rows; row++) {
        const pm_vf a = pm_load_some(d->a[row] + i, d->n - i);
        sums[row * columns + c] = pm_vfma(a, here, sums[row * columns + c]);
      }
    }
  }
  float results[PM_DOT_MOST];
  const int fours = rows * columns / 4;
  PM_UNROLL for (int v = 0; v < fours; v++) {
    const pm_four four = pm_sums_of_lanes(sums + 4 * v);
    memcpy(results + 4 * v, &four, sizeof four);
  }
  PM_UNROLL for (int v = 4 * fours; v < rows * columns; v++) results[v] = pm_sum_of_lanes(sums[v]);
  PM_UNROLL for (int row = 0; row < rows; row++)
    PM_UNROLL for (int c = 0; c < columns; c++) {
      float *to = d->to + row * d->to_step + column + c;
      const float sum = results[row * columns + c] + (base ? base[column + c] : 0);
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
