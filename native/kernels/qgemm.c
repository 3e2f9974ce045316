#include "qgemm.h"

#include "qround.h"

/* Columns of a microkernel. */
#define NR (PM_QNV * PM_VL)

typedef void microkernel(const pm_qgemm *g, const uint8_t *b, uint32_t *sums);

/* `rows` and `vectors` are constants where it is expanded. */
PM_INLINE void body(const int rows, const int vectors, const pm_qgemm *g, const uint8_t *b,
                    uint32_t *sums) {
  const int64_t stride = g->a_row, panel = g->b_panel;
  const uint8_t *a[(PM_QMR + 2) / 3];
  pm_qsum sum[PM_QMR][PM_QNV];
  PM_UNROLL for (int m = 0; m < rows; m += 3) a[m / 3] = g->a + m * stride;
  PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
    sum[m][j] = (pm_qsum){0};
  for (int64_t k = pm_qsteps(g->k); k > 0; k--, b += PM_QGROUP) {
    pm_qw w[PM_QNV];
    PM_UNROLL for (int j = 0; j < vectors; j++)
      w[j] = pm_qweights(pm_qload(b + j * PM_VL / PM_QPANEL * panel + j * PM_VL % PM_QPANEL * 4));
    PM_UNROLL for (int m = 0; m < rows; m++) {
      const pm_qx x = pm_qspread(a[m / 3] + m % 3 * stride);
      PM_UNROLL for (int j = 0; j < vectors; j++) sum[m][j] = pm_qdot(sum[m][j], x, w[j]);
    }
    PM_UNROLL for (int m = 0; m < rows; m += 3) a[m / 3] += 4 * PM_QWIDE;
  }
  PM_UNROLL for (int m = 0; m < rows; m++) PM_UNROLL for (int j = 0; j < vectors; j++)
    pm_qstore(sums + m * NR + j * PM_VL, pm_qtotal(sum[m][j]));
}

#define KERNEL(m, v) \
  static void tile_##m##_##v(const pm_qgemm *g, const uint8_t *b, uint32_t *sums) { body(m, v, g, b, sums); }
/* A single panel is fewer vectors only where vectors are as long as a panel. */
#if PM_VL == PM_QPANEL
#define ROW(m) KERNEL(m, 1) KERNEL(m, 2)
#define ENTRY(m) {tile_##m##_1, tile_##m##_2}
#elif PM_QNV == 4
#define ROW(m) KERNEL(m, 4)
#define ENTRY(m) {tile_##m##_4, tile_##m##_4}
#else
#define ROW(m) KERNEL(m, 2)
#define ENTRY(m) {tile_##m##_2, tile_##m##_2}
#endif

ROW(1) ROW(2)
#if PM_QMR >= 4
ROW(3) ROW(4)
#endif
#if PM_QMR >= 6
ROW(5) ROW(6)
#endif
#if PM_QMR >= 14
ROW(7) ROW(8) ROW(9) ROW(10) ROW(11) ROW(12) ROW(13) ROW(14)
#endif

static microkernel *const KERNELS[PM_QMR][2] = {
    ENTRY(1), ENTRY(2),
#if PM_QMR >= 4
    ENTRY(3), ENTRY(4),
#endif
#if PM_QMR >= 6
    ENTRY(5), ENTRY(6),
#endif
#if PM_QMR >= 14
    ENTRY(7), ENTRY(8), ENTRY(9), ENTRY(10), ENTRY(11), ENTRY(12), ENTRY(13), ENTRY(14),
#endif
};

/* For each row of data, the sum of its numbers less the zero point; the filling is zeros. */
static void sum_rows(const pm_qgemm *g, uint32_t *to) {
  for (int m = 0; m < g->rows; m++) {
    const uint8_t *a = g->a + m * g->a_row;
    uint32_t sum = (uint32_t)g->k * (uint32_t)-g->zero;
    /* Of two bytes the upper one is zero. */
    for (int64_t k = 0; k < pm_qsteps(g->k) * 4 * PM_QWIDE; k++) sum += (uint32_t)pm_qnumber(a[k]);
    to[m] = sum;
  }
}

PM_INLINE pm_vf load_floats(const float *p, int64_t n) { return n >= PM_VL ? pm_load(p) : pm_load_some(p, n); }

/* A vector of columns of all rows of a tile; `kind` is a constant. */
PM_INLINE void finish_vector(const unsigned kind, const pm_qgemm *g, const uint8_t *panel, int64_t lane,
                             int64_t column, const uint32_t *sums, const uint32_t *row_sums) {
  const pm_qfinish *f = g->finish;
  const int64_t n = g->columns - column;
  const uint8_t *behind[5];
  for (int i = 0; i < 5; i++) {
    behind[i] = pm_qrow_of(panel, g->k, g->tail, (pm_qrow)(1 << i));
    if (behind[i]) behind[i] += lane * 4;
  }
  pm_qv shift = pm_qload(behind[0]) * (uint32_t)-g->zero, zeros = {0};
  if (behind[1]) zeros = pm_qload(behind[1]);
  if (behind[2]) shift += pm_qload(behind[2]);
  pm_vf factor = {0}, more = {0};
  if (behind[3]) factor = (pm_vf)pm_qload(behind[3]);
  if (behind[4]) more = (pm_vf)pm_qload(behind[4]);
  if (f->multipliers) factor = f->each ? load_floats(f->multipliers + column, n) : pm_splat(*f->multipliers);
  uint8_t *y = g->y + column * (kind == PM_U8 ? 1 : 4);
  for (int m = 0; m < g->rows; m++, y += g->y_row, sums += NR) {
    pm_qv sum = pm_qload(sums) + shift;
    if (behind[1]) sum -= zeros * row_sums[m];
    pm_vf real = __builtin_convertvector((pm_vi)sum, pm_vf) * factor;
    if (kind == PM_U8) {
      pm_qstore_rounded(y, real, f->low, f->high, f->zero, n);
      continue;
    }
    real = kind == PM_I32 ? (pm_vf)sum : real + more;
    if (n >= PM_VL)
      pm_store((float *)(void *)y, real);
    else
      pm_store_some((float *)(void *)y, real, n);
  }
}

static void finish(const pm_qgemm *g, const uint8_t *b, int64_t column, const uint32_t *sums,
                   const uint32_t *row_sums) {
  for (int64_t i = 0; i < NR && column + i < g->columns; i += PM_VL) {
    const uint8_t *panel = b + (column + i) / PM_QPANEL * g->b_panel;
    const int64_t lane = (column + i) % PM_QPANEL;
    switch (g->finish->dtype) {
      case PM_I32: finish_vector(PM_I32, g, panel, lane, column + i, sums + i, row_sums); break;
      case PM_F32: finish_vector(PM_F32, g, panel, lane, column + i, sums + i, row_sums); break;
      default: finish_vector(PM_U8, g, panel, lane, column + i, sums + i, row_sums);
    }
  }
}

void PM_FOR_ISA(pm_qgemm_tile)(const pm_qgemm *g) {
  _Alignas(64) uint32_t sums[PM_QMR * NR];
  uint32_t row_sums[PM_QMR];
  if (g->tail & PM_QZEROS) sum_rows(g, row_sums);
  for (int64_t column = 0; column < g->columns; column += NR) {
    const uint8_t *b = g->b + column / PM_QPANEL * g->b_panel + column % PM_QPANEL * 4;
    const bool wide = NR <= PM_QPANEL || g->columns - column > PM_QPANEL;
    KERNELS[g->rows - 1][wide](g, b, sums);
    finish(g, g->b, column, sums, row_sums);
  }
}
