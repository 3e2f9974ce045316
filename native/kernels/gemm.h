/* A product of matrices, a few rows at a time: what convolutions and matrix products are made of.

   A is rows of consecutive floats. B is packed in panels of 16 columns: for each step of the sum
   the 16 values lie together, the last panel filled up with zeros. That form is the same for all
   instruction sets. C = A B, or C += A B, then bias, residual and activation in one go.
   Each element is summed in the order of k, whatever the tile is that it falls in. */
#ifndef PM_GEMM_H
#define PM_GEMM_H

#include "activation.h"
#include "kernel.h"

#define PM_PANEL 16

/* Rows and vectors of columns that a microkernel holds in registers. */
#if defined(__AVX512F__) && !defined(PM_SCALAR)
#define PM_MR 14
#define PM_NV 2
#elif defined(__aarch64__) && !defined(PM_SCALAR)
#define PM_MR 6
#define PM_NV 4
#else
#define PM_MR 6
#define PM_NV 2
#endif
#define PM_MAX_MR 14 /* of all instruction sets */
#define PM_NR (PM_NV * PM_VL)

typedef struct {
  const float *a; /* `rows` rows of k floats, `a_row` apart */
  int64_t a_row;
  const float *const *runs; /* if not NULL: instead of `a`, for each `run` steps where they begin */
  int64_t run;
  const float *b; /* the first panel; the next ones `b_panel` floats apart */
  int64_t b_panel;
  int64_t b_row; /* floats from one step of the sum to the next: PM_PANEL in a panel */
  int64_t k;
  float *c; /* rows of `columns` floats, `c_row` apart */
  int64_t c_row, columns;
  int rows;               /* 1 to PM_MR */
  const float *bias;      /* of the columns; NULL for none */
  const float *residual;  /* rows `residual_row` apart; NULL for none; may be c */
  int64_t residual_row;
  bool first;             /* C is new, else it is added to */
  bool last;              /* the sum is complete: held between low and high */
  bool after;             /* the residual is added after that, else before */
  float low, high;
  const float *ahead;     /* panels that are read soon, `b_panel` apart as those of b; or NULL */
} pm_gemm;

/* Of panels that are read soon, those that the tile number `tile` of a part fetches: the first tiles
   fetch all, each one panel for each vector of columns. */
static inline const float *pm_ahead(const float *soon, int64_t tile, int64_t panel) {
  const int64_t beside = PM_MAX(1, PM_NR / PM_PANEL);
  return soon && tile < beside ? soon + tile * panel : NULL;
}

/* Bias is added with the first part of the sum; so is the residual, unless it comes after. */
void PM_FOR_ISA(pm_gemm_rows)(const pm_gemm *gemm);

/* to[j][i] = from[i][j] * factor for `rows` rows i of `columns` floats. */
void PM_FOR_ISA(pm_transpose)(const float *from, int64_t from_row, int64_t rows, int64_t columns,
                              float factor, float *to, int64_t to_row);

static inline int64_t pm_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static inline int64_t pm_panels(int64_t columns) { return pm_ceil_div(columns, PM_PANEL); }

/* Floats between rows of a tile: whole vectors, and not a power of two. */
static inline int64_t pm_packed_stride(int64_t floats) { return pm_panels(floats) * 16 + 16; }

/* What comes after the sum; decoded from an instruction's parameters. */
typedef struct {
  pm_activation kind;
  float alpha, beta;
  float low, high; /* what the microkernel does by itself */
  bool sweep;      /* the activation needs a sweep of its own */
  bool after;
} pm_epilogue;

/* Of gemm_check.c: whether the parameters are those of an epilogue. */
bool pm_epilogue_fits(int64_t kind, int64_t after);

static inline pm_epilogue pm_epilogue_of(int64_t kind, int64_t alpha, int64_t beta, bool after) {
  pm_epilogue e = {(pm_activation)kind, (float)pm_param_f64(alpha), (float)pm_param_f64(beta),
                   -INFINITY, INFINITY, true, after};
  if (kind == PM_ACT_RELU) e.low = 0;
  if (kind == PM_ACT_CLIP) e.low = e.alpha, e.high = e.beta;
  e.sweep = kind != PM_ACT_NONE && kind != PM_ACT_RELU && kind != PM_ACT_CLIP;
  return e;
}

/* y = activation(x) for each row; y may be x. With a residual: plus that, which may lie where y
   does, and x must be elsewhere and is overwritten. */
void PM_FOR_ISA(pm_sweep_rows)(const pm_epilogue *epilogue, float *x, int64_t x_row, float *y,
                               int64_t y_row, const float *residual, int64_t residual_row,
                               int64_t rows, int64_t columns);

#endif
