#include "winograd_tile.h"

typedef struct {
  pm_conv conv;
  pm_wino wino;
  const float *data, *weights, *bias, *residual; /* no weights where they are narrow */
  pm_narrow narrow;
  float *out;
  float *v, *u, *m, *zeros, *aside, *taps;
  int64_t block;  /* whose data is in v, or -1 */
  uint8_t *ready; /* groups whose weights are in u, where they are kept */
} state;

/* Where a tile of outputs begins. */
typedef struct {
  int64_t n, y, x;
} corner;

static corner corner_of(const state *s, int64_t tile) {
  const pm_wino *w = &s->wino;
  const int64_t row = tile / w->columns;
  return (corner){row / w->rows, row % w->rows * w->r + s->conv.row0, tile % w->columns * w->r};
}

static void prepare(const pm_call *call, const pm_worker *worker, state *s) {
  s->conv = pm_conv_of(call);
  const pm_conv *c = &s->conv;
  s->wino = pm_wino_of(c, call->params + CONV_SHARED, worker->count);
  const pm_wino *w = &s->wino;
  s->data = (const float *)call->in[0].data;
  s->weights = pm_is_narrow(call) ? NULL : (const float *)call->in[1].data;
  s->narrow = pm_narrow_of(call);
  s->bias = (const float *)call->in[2].data;
  s->residual = (const float *)call->in[3].data;
  s->out = (float *)call->out[0].data;
  s->zeros = (float *)call->own_scratch;
  s->aside = s->zeros + w->v_row;
  s->taps = s->aside + 16 * PM_PANEL;
  s->m = s->taps + (s->weights ? 0 : PM_WINO_TAPS);
  s->v = s->m + w->points * pm_wino_m_plane(w);
  s->u = s->v + w->points * pm_wino_v_plane(w);
  s->ready = (uint8_t *)(s->u + w->points * pm_wino_u_plane(w) * (w->keep ? w->groups : 1));
  s->block = -1;
  for (int64_t i = 0; i < w->v_row; i++) s->zeros[i] = 0;
  for (int64_t i = 0; w->keep && i < w->groups; i++) s->ready[i] = 0;
}

/* The pixels that a tile needs, zeros where they lie outside. */
static void find_pixels(const state *s, int64_t tile, const float **to) {
  const pm_image *x = &s->conv.x;
  const corner at = corner_of(s, tile);
  const int64_t top = at.y - s->conv.pad[1], left = at.x - s->conv.pad[2];
  const int n = s->wino.r + 2;
  for (int i = 0; i < n; i++) {
    const bool inside = top + i >= 0 && top + i < x->h;
    const float *row = inside ? s->data + pm_image_row(x, at.n, 0, top + i) : NULL;
    for (int j = 0; j < n; j++) {
      const bool there = row && left + j >= 0 && left + j < x->w;
      *to++ = there ? row + (left + j) * x->sw : s->zeros;
    }
  }
}

PM_INLINE void data_tile(const int r, wino_source *from, int64_t channels) {
  for (from->c = 0; from->c + PM_VL <= channels; from->c += PM_VL) wino_data_tile(r, false, from);
  from->left = channels - from->c;
  if (from->left) wino_data_tile(r, true, from);
}

/* One tile of data; it becomes number `slot` of a block. */
static void transform_data(const state *s, int64_t tile, int64_t slot) {
  const pm_wino *w = &s->wino;
  const float *pixels[36];
  find_pixels(s, tile, pixels);
  wino_source from = {pixels, 0, 0, s->v + slot * w->v_row, pm_wino_v_plane(w)};
  if (w->r == 4)
    data_tile(4, &from, w->channels);
  else
    data_tile(2, &from, w->channels);
}

PM_INLINE void weights_panel(const int r, const float *panel, int64_t step, int64_t count, float *to,
                             int64_t plane) {
  for (int64_t j = 0; j < PM_PANEL; j += PM_VL)
    for (int64_t c = 0; c < count; c++)
      wino_weights_tile(r, panel + c * PM_PANEL + j, step, to + c * PM_PANEL + j, plane);
}

/* Input channels of a group of output channels; those of the next tap lie `step` floats further on. */
static void transform_panel(const pm_wino *w, const float *panel, int64_t step, int64_t count, float *u) {
  const int64_t plane = pm_wino_u_plane(w);
  if (w->r == 4)
    weights_panel(4, panel, step, count, u, plane);
  else
    weights_panel(2, panel, step, count, u, plane);
}

/* Input channels [first, first + count) of a group of output channels. */
static void transform_weights(const state *s, int64_t group, int64_t first, int64_t count, float *u) {
  const pm_wino *w = &s->wino;
  if (s->weights) {
    const int64_t step = w->channels * PM_PANEL;
    transform_panel(w, s->weights + group * 9 * step + first * PM_PANEL, step, count, u);
    return;
  }
  for (int64_t c = 0; c < count; c += PM_WINO_WIDENED) {
    const int64_t some = PM_MIN(PM_WINO_WIDENED, count - c), step = some * PM_PANEL;
    for (int64_t tap = 0; tap < 9; tap++)
      PM_FOR_ISA(pm_widen)(&s->narrow, group, tap * w->channels + first + c, some, s->taps + tap * step);
    transform_panel(w, s->taps, step, some, u + c * PM_PANEL);
  }
}

/* Products of a block's tiles with weights, for input channels [first, first + count). */
static void multiply(const state *s, int64_t tiles, const float *u, int64_t columns, int64_t first,
                     int64_t count) {
  const pm_wino *w = &s->wino;
  const int64_t parts = pm_ceil_div(tiles, PM_MR);
  pm_gemm g = {.a_row = w->v_row, .b_row = PM_PANEL, .k = count, .c_row = PM_PANEL};
  g.columns = columns, g.first = first == 0;
  for (int p = 0; p < w->points; p++) {
    g.b = u + p * pm_wino_u_plane(w);
    for (int64_t i = 0; i < parts; i++) {
      const int64_t tile = tiles * i / parts;
      g.rows = (int)(tiles * (i + 1) / parts - tile);
      g.a = s->v + p * pm_wino_v_plane(w) + tile * w->v_row + first;
      g.c = s->m + p * pm_wino_m_plane(w) + tile * PM_PANEL;
      PM_FOR_ISA(pm_gemm_rows)(&g);
    }
  }
}

/* The outputs of one tile: rows of pixels, some of whose channels begin where the pointers say. */
typedef struct {
  float *rows[4];
  const float *residual[4]; /* NULL for none */
  int64_t height, width;    /* of what lies in the image */
  int64_t step, residual_step, columns;
} target;

static target target_of(const state *s, corner at, int64_t channel, int64_t columns) {
  const pm_conv *c = &s->conv;
  const int r = s->wino.r;
  target t = {.height = PM_MIN(r, c->row1 - at.y),
              .width = PM_MIN(r, c->y.w - at.x),
              .step = c->y.sw,
              .residual_step = c->r.sw,
              .columns = columns};
  for (int64_t i = 0; i < t.height; i++) {
    t.rows[i] = s->out + pm_image_row(&c->y, at.n, 0, at.y + i) + at.x * c->y.sw + channel;
    if (!s->residual) continue;
    t.residual[i] = s->residual + pm_image_row(&c->r, at.n, 0, at.y + i) + at.x * c->r.sw + channel;
  }
  return t;
}

PM_INLINE pm_vf load_part(const float *p, int64_t left) {
  return left < PM_VL ? pm_load_some(p, left) : pm_load(p);
}

PM_INLINE void store_part(float *p, pm_vf v, int64_t left) {
  if (left < PM_VL)
    pm_store_some(p, v, left);
  else
    pm_store(p, v);
}

/* One pixel, a vector of channels or `left` of them. */
PM_INLINE void put(const pm_epilogue *e, pm_vf v, float *y, const float *residual, int64_t left) {
  if (residual && !e->after) v += load_part(residual, left);
  v = pm_vclip(v, pm_splat(e->low), pm_splat(e->high));
  if (residual && e->after) v += load_part(residual, left);
  store_part(y, v, left);
}

/* Row `i` of a tile, channels from `j` on. */
PM_INLINE void put_row(const state *s, const int r, const pm_vf *o, const target *t, int i, int64_t j) {
  const pm_epilogue *e = &s->conv.epilogue;
  const int64_t left = t->columns - j;
  if (i >= t->height) return;
  const float *residual = t->residual[i] ? t->residual[i] + j : NULL;
  float *y = t->rows[i] + j;
  if (t->width == r && left >= PM_VL && !residual) {
    PM_UNROLL for (int x = 0; x < r; x++) put(e, o[x], y + x * t->step, NULL, PM_VL);
  } else {
    for (int64_t x = 0; x < t->width; x++)
      put(e, o[x], y + x * t->step, residual ? residual + x * t->residual_step : NULL, left);
  }
}

/* The same where the activation needs a sweep: the row waits for the others of its tile. */
PM_INLINE void keep_row(const state *s, const int r, const pm_vf *o, const target *t, int i, int64_t j) {
  const bool before = !s->conv.epilogue.after && i < t->height && t->residual[i];
  for (int64_t x = 0; x < r; x++) {
    pm_vf v = o[x];
    if (before && x < t->width)
      v += load_part(t->residual[i] + j + x * t->residual_step, t->columns - j);
    pm_store(s->aside + (i * r + x) * PM_VL, v);
  }
}

/* The activation of a tile that was kept, a vector of channels, and its way to the output. */
PM_INLINE void sweep_tile(const state *s, const int r, const target *t, int64_t j) {
  const pm_epilogue *e = &s->conv.epilogue;
  const int64_t left = t->columns - j;
  PM_FOR_ISA(pm_sweep_rows)
  (e, s->aside, r * r * PM_VL, s->aside, r * r * PM_VL, NULL, 0, 1, r * r * PM_VL);
  for (int64_t i = 0; i < t->height; i++) {
    const float *residual = e->after && t->residual[i] ? t->residual[i] + j : NULL;
    for (int64_t x = 0; x < t->width; x++) {
      pm_vf v = pm_load(s->aside + (i * r + x) * PM_VL);
      if (residual) v += load_part(residual + x * t->residual_step, left);
      store_part(t->rows[i] + j + x * t->step, v, left);
    }
  }
}

PM_INLINE void outputs_tile(const state *s, const int r, const float *m, int64_t plane,
                            int64_t channel, const target *t) {
  const bool sweeps = s->conv.epilogue.sweep;
  for (int64_t j = 0; j < t->columns; j += PM_VL) {
    const pm_vf bias = s->bias ? load_part(s->bias + channel + j, t->columns - j) : (pm_vf){0};
    PM_UNROLL for (int odd = 0; odd < r / 2; odd++) {
      pm_vf o[2 * 4];
      wino_outputs_rows(r, odd, m + j, plane, o);
      PM_UNROLL for (int x = 0; x < 2 * r; x++) o[x] += bias;
      if (sweeps) {
        keep_row(s, r, o, t, odd, j);
        keep_row(s, r, o + r, t, odd + r / 2, j);
      } else {
        put_row(s, r, o, t, odd, j);
        put_row(s, r, o + r, t, odd + r / 2, j);
      }
    }
    if (sweeps) sweep_tile(s, r, t, j);
  }
}

static void write_outputs(const state *s, int64_t first, int64_t tiles, int64_t group,
                          int64_t columns) {
  const int64_t plane = pm_wino_m_plane(&s->wino), channel = group * PM_PANEL;
  for (int64_t i = 0; i < tiles; i++) {
    const target t = target_of(s, corner_of(s, first + i), channel, columns);
    const float *m = s->m + i * PM_PANEL;
    if (s->wino.r == 4)
      outputs_tile(s, 4, m, plane, channel, &t);
    else
      outputs_tile(s, 2, m, plane, channel, &t);
  }
}

/* Tiles [first, first + tiles), whose data is transformed, for one group of output channels. */
static void do_group(const state *s, int64_t first, int64_t tiles, int64_t group) {
  const pm_wino *w = &s->wino;
  const int64_t columns = PM_MIN(PM_PANEL, s->conv.y.c - group * PM_PANEL);
  float *u = s->u + (w->keep ? group * w->points * pm_wino_u_plane(w) : 0);
  for (int64_t c = 0; c < w->channels; c += w->depth) {
    const int64_t count = PM_MIN(w->depth, w->channels - c);
    if (!w->keep || !s->ready[group]) transform_weights(s, group, c, count, u);
    multiply(s, tiles, u, columns, c, count);
  }
  if (w->keep) s->ready[group] = 1;
  write_outputs(s, first, tiles, group, columns);
}

static void do_part(state *s, int64_t part) {
  const pm_wino *w = &s->wino;
  const int64_t block = part / w->chunks, chunk = part % w->chunks;
  const int64_t first = w->tiles * block / w->blocks;
  const int64_t tiles = w->tiles * (block + 1) / w->blocks - first;
  if (s->block != block)
    for (int64_t i = 0; i < tiles; i++) transform_data(s, first + i, i);
  s->block = block;
  const int64_t end = w->groups * (chunk + 1) / w->chunks;
  for (int64_t group = w->groups * chunk / w->chunks; group < end; group++)
    do_group(s, first, tiles, group);
}

PM_KERNEL(winograd) {
  state s;
  prepare(call, worker, &s);
  int64_t part;
  while ((part = pm_take_near(worker, s.wino.blocks * s.wino.chunks)) >= 0) do_part(&s, part);
}
