#include "matmul.h"

/* With so few rows b is read where it lies: packing it would cost as much as the product. */
#define FEW_ROWS (2 * PM_MR)

typedef struct {
  pm_matmul p;
  pm_epilogue epilogue;
  pm_narrow narrow;
  const float *a, *b, *bias, *residual;
  float *y, *packed_a, *packed_b, *tile;
  float alpha;
  int64_t depth, columns, chunks, pieces, parts;
  bool in_place;  /* b is read where it lies */
  bool is_narrow; /* b is packed, and has to be widened */
} state;

typedef struct {
  const float *a, *b, *residual;
  float *y;
  int64_t column, columns, row0, row1;
} part;

/* Rows first: a worker finds what it reads where it wrote it. As many parts for each worker. */
static void split(state *s, const int64_t *params, int workers) {
  const pm_matmul *p = &s->p;
  const int64_t beside = pm_ceil_div(workers, PM_MAX(1, p->stack));
  const int64_t tiles = pm_ceil_div(p->m, PM_MR);
  const int64_t each =
      pm_ceil_div(pm_ceil_div(tiles, beside), PM_MAX(1, params[MATMUL_ROWS] / PM_MR));
  s->pieces = PM_MIN(tiles, each * beside);
  /* Fewer tiles than workers: smaller parts beside each other. */
  while (s->columns > 32 && s->pieces < beside &&
         s->pieces * pm_ceil_div(p->n, s->columns) < 2 * beside)
    s->columns = pm_panels(s->columns / 2) * PM_PANEL;
  s->chunks = pm_ceil_div(p->n, s->columns);
  s->parts = s->pieces * s->chunks * p->stack;
}

static void prepare(const pm_call *call, const pm_worker *worker, state *s) {
  const int64_t *v = call->params;
  s->p = pm_matmul_of(call);
  const pm_matmul *p = &s->p;
  s->epilogue = pm_epilogue_of(v[MATMUL_KIND], v[MATMUL_ACT_ALPHA], v[MATMUL_ACT_BETA],
                               v[MATMUL_AFTER] != 0);
  s->a = (const float *)call->in[0].data;
  s->b = (const float *)call->in[1].data;
  s->bias = (const float *)call->in[2].data;
  s->residual = (const float *)call->in[3].data;
  s->y = (float *)call->out[0].data;
  s->alpha = (float)pm_param_f64(v[MATMUL_ALPHA]);
  s->depth = v[MATMUL_DEPTH];
  s->columns = PM_MIN(v[MATMUL_COLUMNS], PM_MAX(1, pm_panels(p->n)) * PM_PANEL);
  s->packed_a = (float *)call->own_scratch;
  s->packed_b = s->packed_a + pm_tile_rows(p) * pm_packed_stride(s->depth);
  s->is_narrow = p->packed && pm_is_narrow(call);
  s->narrow = pm_narrow_of(call);
  s->tile = s->packed_b + (p->packed && !s->is_narrow ? 0 : s->depth * s->columns);
  s->in_place = !p->packed && !p->trans_b && s->alpha == 1 && p->m <= FEW_ROWS;
  split(s, v, worker->count);
}

/* Parts one after the other share their rows. */
static part part_of(const state *s, int64_t number) {
  const pm_matmul *p = &s->p;
  const int64_t piece = number / s->chunks % s->pieces, index = number / s->chunks / s->pieces;
  part t = {.column = number % s->chunks * s->columns};
  t.columns = PM_MIN(s->columns, p->n - t.column);
  t.row0 = p->m * piece / s->pieces;
  t.row1 = p->m * (piece + 1) / s->pieces;
  t.a = s->a + pm_stacked(p, p->a_step, index);
  if (!p->packed) t.b = s->b + pm_stacked(p, p->b_step, index);
  t.y = s->y + pm_stacked(p, p->y_step, index) + t.column;
  if (s->residual) t.residual = s->residual + pm_stacked(p, p->r_step, index) + t.column;
  return t;
}

/* Steps [k0, k0 + k) of `n` <= 16 columns of b, the rest zeros: a panel. */
static void pack_panel(const state *s, const float *b, int64_t k0, int64_t k, int64_t n, float *to) {
  const int64_t row = s->p.b_row;
  if (s->p.trans_b) {
    PM_FOR_ISA(pm_transpose)(b + k0, row, n, k, s->alpha, to, PM_PANEL);
    for (int64_t i = 0; i < k; i++)
      for (int64_t j = n; j < PM_PANEL; j++) to[i * PM_PANEL + j] = 0;
    return;
  }
  b += k0 * row;
  for (int64_t i = 0; i < k; i++, b += row, to += PM_PANEL) {
    for (int64_t j = 0; j < PM_PANEL; j += PM_VL) {
      pm_vf v = {0};
      if (j + PM_VL <= n)
        v = pm_load(b + j);
      else if (j < n)
        v = pm_load_some(b + j, n - j);
      pm_store(to + j, v * s->alpha);
    }
  }
}

static void pack_b(const state *s, const part *t, int64_t k0, int64_t k) {
  for (int64_t j = 0; j < t->columns; j += PM_PANEL) {
    const int64_t column = t->column + j;
    const float *b = t->b + (s->p.trans_b ? column * s->p.b_row : column);
    pack_panel(s, b, k0, k, PM_MIN(PM_PANEL, t->columns - j), s->packed_b + j * k);
  }
}

/* Rows of a for one tile. Those too far apart would crowd in the first cache. */
static void find_rows(const state *s, const part *t, int64_t first, int64_t k0, pm_gemm *g) {
  const int64_t row = s->p.a_row;
  if (!s->p.trans_a && (row % 512 != 0 || g->rows < 4)) {
    g->a = t->a + first * row + k0;
    g->a_row = row;
    return;
  }
  g->a = s->packed_a;
  g->a_row = pm_packed_stride(s->depth);
  if (s->p.trans_a) {
    PM_FOR_ISA(pm_transpose)(t->a + k0 * row + first, row, g->k, g->rows, 1, s->packed_a, g->a_row);
    return;
  }
  for (int m = 0; m < g->rows; m++)
    memcpy(s->packed_a + m * g->a_row, t->a + (first + m) * row + k0, (size_t)g->k * sizeof(float));
}

/* Columns [column, column + columns) of one tile of rows. */
static void do_tile(const state *s, const part *t, int64_t first, int64_t column, pm_gemm *g) {
  const pm_epilogue *e = &s->epilogue;
  float *y = t->y + first * s->p.y_row + column;
  const float *residual = t->residual ? t->residual + first * s->p.r_row + column : NULL;
  /* A residual that comes after a sweep may lie where the output goes. */
  const bool aside = e->sweep && e->after && residual;
  g->c = aside ? s->tile : y;
  g->c_row = aside ? pm_packed_stride(s->columns) : s->p.y_row;
  g->residual = aside ? NULL : residual;
  g->bias = s->bias ? s->bias + t->column + column : NULL;
  PM_FOR_ISA(pm_gemm_rows)(g);
  if (g->last && e->sweep)
    PM_FOR_ISA(pm_sweep_rows)
    (e, g->c, g->c_row, y, s->p.y_row, aside ? residual : NULL, s->p.r_row, g->rows, g->columns);
}

/* `soon` are panels that are read after these, or NULL; the first tiles fetch them. */
static void do_tiles(const state *s, const part *t, int64_t k0, int64_t column, const float *soon,
                     pm_gemm *g) {
  const int64_t rows = t->row1 - t->row0, tiles = pm_ceil_div(rows, PM_MR);
  for (int64_t i = 0; i < tiles; i++) {
    const int64_t first = t->row0 + rows * i / tiles;
    g->rows = (int)(t->row0 + rows * (i + 1) / tiles - first);
    g->ahead = pm_ahead(soon, i, g->b_panel);
    find_rows(s, t, first, k0, g);
    do_tile(s, t, first, column, g);
  }
}

/* b where it lies; the last columns, less than a panel, are packed. */
static void do_in_place(const state *s, const part *t, int64_t k0, pm_gemm *g) {
  const int64_t whole = t->columns / PM_PANEL * PM_PANEL;
  g->b = t->b + k0 * s->p.b_row + t->column;
  g->b_panel = PM_PANEL;
  g->b_row = s->p.b_row;
  g->columns = whole;
  if (whole) do_tiles(s, t, k0, 0, NULL, g);
  if (whole == t->columns) return;
  pack_panel(s, t->b + t->column + whole, k0, g->k, t->columns - whole, s->packed_b);
  g->b = s->packed_b;
  g->b_row = PM_PANEL;
  g->columns = t->columns - whole;
  do_tiles(s, t, k0, whole, NULL, g);
}

/* Where b is not packed, or is narrow, panels are made of it first. */
static void do_packed(const state *s, const part *t, int64_t k0, pm_gemm *g) {
  const float *soon = NULL;
  g->b_row = PM_PANEL;
  g->columns = t->columns;
  if (s->p.packed && !s->is_narrow) {
    g->b_panel = s->p.k * PM_PANEL;
    g->b = s->b + t->column / PM_PANEL * g->b_panel + k0 * PM_PANEL;
    const int64_t next = t->column + t->columns;
    if (!g->last)
      soon = g->b + g->k * PM_PANEL;
    else if (next < s->p.n)
      soon = s->b + next / PM_PANEL * g->b_panel;
  } else {
    if (s->is_narrow)
      pm_widen_panels(&s->narrow, t->column / PM_PANEL, pm_panels(t->columns), k0, g->k, s->packed_b);
    else
      pack_b(s, t, k0, g->k);
    g->b_panel = g->k * PM_PANEL;
    g->b = s->packed_b;
  }
  do_tiles(s, t, k0, 0, soon, g);
}

static void do_part(const state *s, const part *t) {
  const pm_epilogue *e = &s->epilogue;
  pm_gemm g = {.residual_row = s->p.r_row, .low = e->low, .high = e->high, .after = e->after};
  int64_t k0 = 0;
  do {
    g.k = PM_MIN(s->depth, s->p.k - k0);
    g.first = k0 == 0, g.last = k0 + g.k == s->p.k;
    if (s->in_place)
      do_in_place(s, t, k0, &g);
    else
      do_packed(s, t, k0, &g);
    k0 += g.k;
  } while (k0 < s->p.k);
}

PM_KERNEL(matmul) {
  state s;
  prepare(call, worker, &s);
  int64_t i;
  while ((i = pm_take_near(worker, s.parts)) >= 0) {
    const part t = part_of(&s, i);
    do_part(&s, &t);
  }
}
