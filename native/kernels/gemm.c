#include "gemm.h"

typedef void microkernel(const pm_gemm *g, int64_t column);

/* A single row is as fast as its panels come from memory: so many vectors side by side. */
#define ONE_ROW (PM_VL == 4 ? 8 : 64 / PM_VL)
#define MOST_VECTORS (ONE_ROW > PM_NV ? ONE_ROW : PM_NV)

/* The floats of a row of C, of the residual: the last vector may be a part of one. */
PM_INLINE pm_vf load_part(const float *p, const bool partial, int64_t left) {
  return partial ? pm_load_some(p, left) : pm_load(p);
}

PM_INLINE void store_part(float *p, pm_vf v, const bool partial, int64_t left) {
  if (partial)
    pm_store_some(p, v, left);
  else
    pm_store(p, v);
}

/* A microkernel's last vector: whole; a part of one; or at most half of one, which takes half the
   time where vectors are wide. */
enum { WHOLE, PART, NARROW, ENDS };

/* a * b + c of the first half; the rest is anything. */
PM_INLINE pm_vf fma_half(pm_vf a, pm_vf b, pm_vf c) {
#if PM_VL == 16
  const __m256 low = _mm256_fmadd_ps(_mm512_castps512_ps256((__m512)a), _mm512_castps512_ps256((__m512)b),
                                     _mm512_castps512_ps256((__m512)c));
  return (pm_vf)_mm512_castps256_ps512(low);
#else
  return pm_vfma(a, b, c);
#endif
}

/* The sum itself. Three rows share a pointer: the address modes of x86 reach them. */
PM_INLINE void multiply(const int rows, const int vectors, const bool narrow, const pm_gemm *g,
                        const float *b, const float *ahead, pm_vf acc[][MOST_VECTORS]) {
  const int64_t stride = g->a_row, panel = g->b_panel, b_row = g->b_row;
  const int64_t step = ahead ? PM_PANEL : 0;
  const int64_t run = g->runs ? g->run : g->k;
  const float *const *runs = g->runs ? g->runs : &g->a;
  const float *a[(PM_MR + 2) / 3], *next = ahead ? ahead : b;
  for (int64_t left = g->k; left > 0; left -= run, runs++) {
    PM_UNROLL for (int m = 0; m < rows; m += 3) a[m / 3] = *runs + m * stride;
    for (int64_t k = run; k > 0; k--) {
      pm_vf bv[MOST_VECTORS];
      if (vectors > PM_NV) {
        PM_UNROLL for (int j = 0; j < vectors; j += PM_PANEL / PM_VL)
          __builtin_prefetch(b + j * PM_VL / PM_PANEL * panel + 24 * PM_PANEL, 0, 2);
      } else {
        __builtin_prefetch(next, 0, 2);
      }
      next += step;
      PM_UNROLL for (int j = 0; j < vectors; j++)
        bv[j] = pm_load(b + j * PM_VL / PM_PANEL * panel + j * PM_VL % PM_PANEL);
      PM_UNROLL for (int m = 0; m < rows; m++) {
        const pm_vf av = pm_splat(a[m / 3][m % 3 * stride]);
        PM_UNROLL for (int j = 0; j < vectors; j++) {
          const bool half = narrow && j == vectors - 1;
          acc[m][j] = half ? fma_half(av, bv[j], acc[m][j]) : pm_vfma(av, bv[j], acc[m][j]);
        }
      }
      PM_UNROLL for (int m = 0; m < rows; m += 3) a[m / 3]++;
      b += b_row;
    }
  }
}

/* All of one microkernel; `rows`, `vectors` and `end` are constants where it is expanded. */
PM_INLINE void body(const int rows, const int vectors, const int end, const pm_gemm *g,
                    int64_t column) {
#define LAST(j) end != WHOLE && (j) == vectors - 1, left
  const int64_t left = g->columns - column - (vectors - 1) * PM_VL;
  float *c = g->c + column;
  const float *residual = g->residual ? g->residual + column : NULL;
  const int64_t panel = column / PM_PANEL * g->b_panel;
  const float *b = g->b + panel + column % PM_PANEL;
  pm_vf acc[PM_MR][MOST_VECTORS];
  if (!g->first) {
    PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
      acc[m][j] = load_part(c + m * g->c_row + j * PM_VL, LAST(j));
  } else {
    PM_UNROLL for (int j = 0; j < vectors; j++) {
      const pm_vf bias = g->bias ? load_part(g->bias + column + j * PM_VL, LAST(j)) : (pm_vf){0};
      PM_UNROLL for (int m = 0; m < rows; m++) acc[m][j] = bias;
    }
    if (residual && !g->after) {
      PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
        acc[m][j] += load_part(residual + m * g->residual_row + j * PM_VL, LAST(j));
    }
  }
  multiply(rows, vectors, end == NARROW, g, b, g->ahead ? g->ahead + panel : NULL, acc);
  if (g->last) {
    const pm_vf low = pm_splat(g->low), high = pm_splat(g->high);
    PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
      acc[m][j] = pm_vclip(acc[m][j], low, high);
    if (residual && g->after) {
      PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
        acc[m][j] += load_part(residual + m * g->residual_row + j * PM_VL, LAST(j));
    }
  }
  PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
    store_part(c + m * g->c_row + j * PM_VL, acc[m][j], LAST(j));
#undef LAST
}

/* For each number of rows and vectors, a microkernel for each end. */
#define ONE(name, m, v, end) \
  static void name##_##m##_##v(const pm_gemm *g, int64_t column) { body(m, v, end, g, column); }
#if PM_VL == 16
#define KERNEL(m, v) ONE(whole, m, v, WHOLE) ONE(part, m, v, PART) ONE(narrow, m, v, NARROW)
#define THREE(m, v) {whole_##m##_##v, part_##m##_##v, narrow_##m##_##v}
#else
#define KERNEL(m, v) ONE(whole, m, v, WHOLE) ONE(part, m, v, PART)
#define THREE(m, v) {whole_##m##_##v, part_##m##_##v, part_##m##_##v}
#endif
#if PM_NV == 4
#define ROW(m) KERNEL(m, 1) KERNEL(m, 2) KERNEL(m, 3) KERNEL(m, 4)
#define ENTRY(m) {THREE(m, 1), THREE(m, 2), THREE(m, 3), THREE(m, 4)}
#else
#define ROW(m) KERNEL(m, 1) KERNEL(m, 2)
#define ENTRY(m) {THREE(m, 1), THREE(m, 2)}
#endif

ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6)
#if PM_MR == 14
ROW(7) ROW(8) ROW(9) ROW(10) ROW(11) ROW(12) ROW(13) ROW(14)
#endif

static microkernel *const KERNELS[PM_MR][PM_NV][ENDS] = {
    ENTRY(1), ENTRY(2), ENTRY(3), ENTRY(4), ENTRY(5), ENTRY(6),
#if PM_MR == 14
    ENTRY(7), ENTRY(8), ENTRY(9), ENTRY(10), ENTRY(11), ENTRY(12), ENTRY(13), ENTRY(14),
#endif
};

static void one_row(const pm_gemm *g, int64_t column) { body(1, ONE_ROW, WHOLE, g, column); }

void PM_FOR_ISA(pm_gemm_rows)(const pm_gemm *gemm) {
  int64_t column = 0;
  if (gemm->rows == 1)
    for (; column + ONE_ROW * PM_VL <= gemm->columns; column += ONE_ROW * PM_VL) one_row(gemm, column);
  microkernel *const full = KERNELS[gemm->rows - 1][PM_NV - 1][WHOLE];
  for (; column + PM_NR <= gemm->columns; column += PM_NR) full(gemm, column);
  const int64_t left = gemm->columns - column;
  if (left == 0) return;
  const int64_t vectors = pm_ceil_div(left, PM_VL), rest = left % PM_VL;
  const int end = rest == 0 ? WHOLE : rest <= PM_VL / 2 ? NARROW : PART;
  KERNELS[gemm->rows - 1][vectors - 1][end](gemm, column);
}

static void add_rows(float *y, const float *a, const float *b, int64_t n) {
  int64_t i = 0;
  for (; i + PM_VL <= n; i += PM_VL) pm_store(y + i, pm_load(a + i) + pm_load(b + i));
  for (; i < n; i++) y[i] = a[i] + b[i];
}

void PM_FOR_ISA(pm_sweep_rows)(const pm_epilogue *epilogue, float *x, int64_t x_row, float *y,
                               int64_t y_row, const float *residual, int64_t residual_row,
                               int64_t rows, int64_t columns) {
  if (!residual && x_row == columns && y_row == columns) columns *= rows, rows = PM_MIN(rows, 1);
  for (int64_t i = 0; i < rows; i++, x += x_row, y += y_row) {
    float *to = residual ? x : y;
    pm_activate_row(x, to, columns, epilogue->kind, epilogue->alpha, epilogue->beta);
    if (residual) add_rows(y, x, residual + i * residual_row, columns);
  }
}

typedef float quad __attribute__((vector_size(16)));
typedef float quad_any __attribute__((vector_size(16), aligned(4), may_alias));

PM_INLINE void transpose_quads(const float *from, int64_t from_row, float factor, float *to,
                               int64_t to_row) {
  quad r[4];
  PM_UNROLL for (int i = 0; i < 4; i++) r[i] = *(const quad_any *)(from + i * from_row) * factor;
  const quad a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
  const quad b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  const quad c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const quad d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  *(quad_any *)to = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  *(quad_any *)(to + to_row) = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  *(quad_any *)(to + 2 * to_row) = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  *(quad_any *)(to + 3 * to_row) = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

void PM_FOR_ISA(pm_transpose)(const float *from, int64_t from_row, int64_t rows, int64_t columns,
                              float factor, float *to, int64_t to_row) {
  const int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (int64_t j = 0; j < whole_columns; j += 4)
    for (int64_t i = 0; i < whole_rows; i += 4)
      transpose_quads(from + i * from_row + j, from_row, factor, to + j * to_row + i, to_row);
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = j < whole_columns ? whole_rows : 0; i < rows; i++)
      to[j * to_row + i] = from[i * from_row + j] * factor;
}
