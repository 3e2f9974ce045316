/* A product of matrices of 8-bit integers, a few rows at a time, and what becomes of its sums.

   A is rows of consecutive bytes of data. B is packed in panels of 16 columns, the same for all
   instruction sets: for each four steps of the sum 16 times four bytes, the steps of a column side by
   side, the last ones filled up with zeros; all of int8. Behind them lie rows of 16 numbers of 32 bits,
   one for each column: those of pm_qrow whose bits the parameter `rows` has.

   With data x of zero point z and weights w of zero point v, as numbers of the kernel's (qdot.h):
     sum of (x - z) (w - v) = sum of x w - z (sum of w) - v (sum of (x - z)). */
#ifndef PM_QGEMM_H
#define PM_QGEMM_H

#include "qdot.h"

#define PM_QPANEL 16
#define PM_QGROUP 64 /* bytes of four steps of a panel, and of one of the rows behind them */

/* Rows and vectors of columns that a microkernel holds in registers. */
#if defined(PM_SCALAR)
#define PM_QMR 2
#define PM_QNV 2
#elif defined(__AVX512VNNI__)
#define PM_QMR 14
#define PM_QNV 2
#elif defined(__AVX512F__)
#define PM_QMR 6
#define PM_QNV 2
#elif defined(__ARM_FEATURE_DOTPROD)
#define PM_QMR 6
#define PM_QNV 4
#else
#define PM_QMR 4
#define PM_QNV 2
#endif
/* Rows of a tile in scratch, of all instruction sets: with a raw one where a row takes two. */
#define PM_QMAX_MR 14
_Static_assert(PM_QMR * PM_QWIDE + PM_QWIDE - 1 <= PM_QMAX_MR, "a tile fits its scratch");

/* Rows behind the steps of a panel, in this order. */
typedef enum {
  PM_QSUMS = 1,        /* int32: of the weights; always there */
  PM_QZEROS = 2,       /* int32: the weights' zero points */
  PM_QBIAS = 4,        /* int32: added to the sum */
  PM_QMULTIPLIERS = 8, /* float32: what the sum is multiplied with */
  PM_QFLOATS = 16,     /* float32: added to a result in float32 */
  PM_QROWS = 31,
} pm_qrow;

/* What becomes of a sum: int32 as it is; float32, multiplied; or 8 bits, in units of y. */
typedef struct {
  unsigned dtype;             /* of y */
  int32_t zero;               /* of y */
  float low, high;            /* bounds of y, its zero point taken off */
  const float *multipliers;   /* instead of those of the panels; NULL for none */
  bool each;                  /* of those: one for each column */
} pm_qfinish;

typedef struct {
  const uint8_t *a; /* `rows` rows of 4 * PM_QWIDE * steps bytes, `a_row` apart */
  int64_t a_row;
  int rows;         /* 1 to PM_QMR */
  int64_t k;        /* steps of the sum that are no filling */
  const uint8_t *b; /* the first panel; the next ones `b_panel` bytes apart */
  int64_t b_panel;
  int64_t tail;     /* pm_qrow of all rows behind a panel */
  int32_t zero;     /* of the data, as a number of the kernel's */
  uint8_t *y;       /* rows of `columns` elements, `y_row` bytes apart */
  int64_t y_row, columns;
  const pm_qfinish *finish;
} pm_qgemm;

static inline int64_t pm_qceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

static inline int64_t pm_qsteps(int64_t k) { return pm_qceil(k, 4); }

static inline int64_t pm_qpanels(int64_t columns) { return pm_qceil(columns, PM_QPANEL); }

/* Groups of 64 bytes that a panel is made of. */
static inline int64_t pm_qgroups(int64_t k, int64_t tail) {
  int64_t rows = 0;
  for (int64_t bit = 1; bit < PM_QROWS; bit *= 2) rows += (tail & bit) != 0;
  return pm_qsteps(k) + rows;
}

/* One of the rows behind a panel, NULL where it is not there. */
static inline const uint8_t *pm_qrow_of(const uint8_t *panel, int64_t k, int64_t tail, pm_qrow row) {
  return tail & row ? panel + pm_qgroups(k, tail & (row - 1)) * PM_QGROUP : NULL;
}

/* Bytes between rows of a tile that is packed: whole lines of the cache, and not a power of two. */
static inline int64_t pm_qstride(int64_t k) { return pm_qceil(k, PM_QGROUP) * PM_QGROUP + PM_QGROUP; }

/* Scratch of a worker: rows of a tile as the kernel takes them, and where PM_QWIDE is 2 one as it was. */
static inline int64_t pm_qtile_bytes(int64_t k) { return PM_QMAX_MR * pm_qstride(k); }

/* Where row `m` of a tile lies in that scratch, and where it is put before pm_qfinish_row(). */
static inline uint8_t *pm_qtile_row(uint8_t *tile, int64_t k, int m) {
  return tile + m * PM_QWIDE * pm_qstride(k);
}

static inline uint8_t *pm_qtile_raw(uint8_t *tile, int64_t k, int m) {
  return pm_qtile_row(tile, k, PM_QWIDE == 1 ? m : PM_QMR);
}

/* From a row of k bytes to the form of the kernel's, its last four steps filled up. */
static inline void pm_qfinish_row(uint8_t *raw, int64_t k, uint8_t flip, uint8_t *to) {
  if (flip)
    for (int64_t i = 0; i < k; i++) raw[i] ^= flip;
  for (int64_t i = k; i < pm_qsteps(k) * 4; i++) raw[i] = 0;
#if PM_QWIDE == 2
  for (int64_t i = 0; i < pm_qsteps(k); i++) {
    uint32_t word, halves[2];
    memcpy(&word, raw + i * 4, sizeof word);
    halves[0] = word & 0x00ff00ffu, halves[1] = word >> 8 & 0x00ff00ffu;
    memcpy(to + i * 8, halves, sizeof halves);
  }
#else
  (void)to;
#endif
}

/* The panels are of int8; `tail` says what lies behind each. All columns of one tile. */
void PM_FOR_ISA(pm_qgemm_tile)(const pm_qgemm *gemm);

/* Of qgemm_check.c. `zero`, `low` and `high` are parameters: of y's type, and in order. */
bool pm_qfinish_fits(const pm_tensor *y, int64_t zero, int64_t low, int64_t high);
/* Whether w is so many panels of k steps, with these rows behind them. */
bool pm_qpanels_fit(const pm_tensor *w, int64_t panels, int64_t k, int64_t tail);
/* Whether a sum has what its result needs: a multiplier from somewhere. */
bool pm_qmultiplier_fits(const pm_tensor *y, const pm_tensor *given, int64_t columns, int64_t tail);
/* A zero point: a parameter of the data's type, or one number that only the run knows. */
bool pm_qzero_fits(const pm_tensor *x, const pm_tensor *given, int64_t zero);

static inline bool pm_is_byte(const pm_tensor *t) { return t->dtype == PM_U8 || t->dtype == PM_I8; }

static inline pm_qfinish pm_qfinish_of(const pm_tensor *y, const pm_view *multipliers, int64_t zero,
                                       int64_t low, int64_t high) {
  pm_qfinish f = {.dtype = y->dtype, .zero = (int32_t)zero};
  f.low = (float)(low - zero), f.high = (float)(high - zero);
  f.multipliers = multipliers->t ? (const float *)multipliers->data : NULL;
  f.each = multipliers->t && multipliers->t->rank && multipliers->t->dims[0] > 1;
  return f;
}

/* The data's zero point as a number of the kernel's: that of the run where it is given. */
static inline int32_t pm_qzero_of(const pm_tensor *x, const pm_view *given, int64_t zero) {
  return pm_qzero(x->dtype, given->t ? *given->data : (uint8_t)zero);
}

#endif
