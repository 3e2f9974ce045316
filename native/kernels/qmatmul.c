#include "qmatmul.h"

typedef struct {
  pm_matmul p;
  pm_qfinish finish;
  const uint8_t *a, *b;
  const uint8_t *behind[5]; /* what the rows behind panels of a b that is packed here are made of */
  uint8_t *y, *packed_a, *packed_b;
  int64_t panel, size, tail; /* bytes of a panel, of an element of y; rows behind a panel */
  int64_t columns, chunks, pieces, parts;
  int32_t zero, b_zero;
  uint8_t flip, b_flip;
} state;

typedef struct {
  const uint8_t *a, *b;
  uint8_t *y;
  int64_t column, columns, row0, row1;
} part;

/* Rows first: a worker finds what it reads where it wrote it. As many parts for each worker. */
static void split(state *s, const int64_t *params, int workers) {
  const pm_matmul *p = &s->p;
  const int64_t beside = pm_qceil(workers, PM_MAX(1, p->stack));
  const int64_t tiles = pm_qceil(p->m, PM_QMR);
  const int64_t each = pm_qceil(pm_qceil(tiles, beside), PM_MAX(1, params[QMATMUL_ROWS] / PM_QMR));
  s->columns = pm_qmatmul_columns(p, params);
  s->pieces = PM_MIN(tiles, each * beside);
  /* Fewer tiles than workers: smaller parts beside each other. */
  while (s->columns > 32 && s->pieces < beside &&
         s->pieces * pm_qceil(p->n, s->columns) < 2 * beside)
    s->columns = pm_qpanels(s->columns / 2) * PM_QPANEL;
  s->chunks = pm_qceil(p->n, s->columns);
  s->parts = s->pieces * s->chunks * p->stack;
}

static void prepare(const pm_call *call, const pm_worker *worker, state *s) {
  const int64_t *v = call->params;
  *s = (state){.p = pm_qmatmul_of(call), .a = call->in[0].data, .b = call->in[1].data};
  const unsigned a_type = call->in[0].t->dtype, b_type = call->in[1].t->dtype;
  s->finish = pm_qfinish_of(call->out[0].t, &call->in[3], v[QMATMUL_Y_ZERO], v[QMATMUL_LOW],
                            v[QMATMUL_HIGH]);
  s->y = call->out[0].data;
  s->size = (int64_t)pm_dtype_size(call->out[0].t->dtype);
  s->tail = v[QMATMUL_TAIL];
  s->panel = pm_qgroups(s->p.k, s->tail) * PM_QGROUP;
  s->packed_a = call->own_scratch;
  s->packed_b = s->packed_a + pm_qtile_bytes(s->p.k);
  s->flip = pm_qflip(a_type);
  s->zero = pm_qzero_of(call->in[0].t, &call->in[2], v[QMATMUL_ZERO]);
  s->b_flip = b_type == PM_U8 ? 0x80 : 0;
  const uint8_t b_zero = call->in[4].t ? *call->in[4].data : (uint8_t)v[QMATMUL_B_ZERO];
  s->b_zero = (int8_t)(b_zero ^ s->b_flip);
  s->behind[2] = call->in[5].t ? call->in[5].data : NULL;
  s->behind[4] = call->in[6].t ? call->in[6].data : NULL;
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
  t.y = s->y + (pm_stacked(p, p->y_step, index) + t.column) * s->size;
  return t;
}

/* Up to 16 columns of b, from `column` on, four steps at a time. */
static void pack_steps(const state *s, const uint8_t *b, int64_t n, uint8_t *to) {
  const pm_matmul *p = &s->p;
  const int64_t row = p->b_row, steps = pm_qsteps(p->k);
  memset(to, 0, (size_t)(steps * PM_QGROUP));
  for (int64_t k = 0; k < p->k; k++) {
    uint8_t *at = to + k / 4 * PM_QGROUP + k % 4;
    for (int64_t j = 0; j < n; j++) at[j * 4] = (p->trans_b ? b[j * row + k] : b[k * row + j]) ^ s->b_flip;
  }
}

/* The rows behind a panel: sums of its columns, zero points, and what is added. */
static void pack_tail(const state *s, int64_t column, int64_t n, uint8_t *panel) {
  uint32_t row[PM_QPANEL];
  uint8_t *to = panel + pm_qsteps(s->p.k) * PM_QGROUP;
  for (int i = 0; i < 5; i++) {
    if (!(s->tail & 1 << i)) continue;
    for (int64_t j = 0; j < PM_QPANEL; j++) row[j] = i == 1 ? (uint32_t)s->b_zero : 0;
    if (s->behind[i]) memcpy(row, s->behind[i] + column * 4, (size_t)n * 4);
    if (i == 0)
      for (int64_t at = 0; at < pm_qsteps(s->p.k) * PM_QGROUP; at++)
        row[at / 4 % PM_QPANEL] += (uint32_t)(int8_t)panel[at];
    memcpy(to, row, sizeof row);
    to += PM_QGROUP;
  }
}

static const uint8_t *find_b(const state *s, const part *t) {
  if (s->p.packed) return s->b + t->column / PM_QPANEL * s->panel;
  for (int64_t j = 0; j < t->columns; j += PM_QPANEL) {
    const int64_t column = t->column + j, n = PM_MIN(PM_QPANEL, t->columns - j);
    uint8_t *panel = s->packed_b + j / PM_QPANEL * s->panel;
    pack_steps(s, t->b + (s->p.trans_b ? column * s->p.b_row : column), n, panel);
    pack_tail(s, column, n, panel);
  }
  return s->packed_b;
}

/* Rows of a for one tile, in the kernel's own form. */
static void find_rows(const state *s, const part *t, int64_t first, pm_qgemm *g) {
  const int64_t row = s->p.a_row, k = s->p.k;
  if (PM_QWIDE == 1 && !s->flip && k % 4 == 0 && (row % 2048 != 0 || g->rows < 4)) {
    g->a = t->a + first * row;
    g->a_row = row;
    return;
  }
  g->a = s->packed_a;
  g->a_row = pm_qstride(k) * PM_QWIDE;
  for (int m = 0; m < g->rows; m++) {
    uint8_t *raw = pm_qtile_raw(s->packed_a, k, m);
    memcpy(raw, t->a + (first + m) * row, (size_t)k);
    pm_qfinish_row(raw, k, s->flip, pm_qtile_row(s->packed_a, k, m));
  }
}

static void do_part(const state *s, const part *t) {
  pm_qfinish finish = s->finish;
  if (finish.each) finish.multipliers += t->column;
  pm_qgemm g = {.k = s->p.k,
                .b = find_b(s, t),
                .b_panel = s->panel,
                .tail = s->tail,
                .zero = s->zero,
                .y_row = s->p.y_row * s->size,
                .columns = t->columns,
                .finish = &finish};
  const int64_t rows = t->row1 - t->row0, tiles = pm_qceil(rows, PM_QMR);
  for (int64_t i = 0; i < tiles; i++) {
    const int64_t first = t->row0 + rows * i / tiles;
    g.rows = (int)(t->row0 + rows * (i + 1) / tiles - first);
    g.y = t->y + first * g.y_row;
    find_rows(s, t, first, &g);
    PM_FOR_ISA(pm_qgemm_tile)(&g);
  }
}

PM_KERNEL(qmatmul) {
  state s;
  prepare(call, worker, &s);
  int64_t i;
  while ((i = pm_take_near(worker, s.parts)) >= 0) {
    const part t = part_of(&s, i);
    do_part(&s, &t);
  }
}
