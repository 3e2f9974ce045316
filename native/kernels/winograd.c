#include "winograd_tile.h"

typedef struct {
  pm_conv conv;
  pm_wino wino;
  const float *data, *weights, *bias, *residual;
  float *out;
  float *v, *u, *m, *zeros, *aside;
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

static void prepare(const pm_call *call, state *s) {
  s->conv = pm_conv_of(call);
  const pm_conv *c = &s->conv;
  s->wino = pm_wino_of(c, call->params + CONV_SHARED);
  const pm_wino *w = &s->wino;
  s->data = (const float *)call->in[0].data;
  s->weights = (const float *)call->in[1].data;
  s->bias = (const float *)call->in[2].data;
  s->residual = (const float *)call->in[3].data;
  s->out = (float *)call->out[0].data;
  s->zeros = (float *)call->own_scratch;
  s->aside = s->zeros + w->v_row;
  s->m = s->aside + 4 * w->width;
  float *own = s->m + w->points * pm_wino_m_plane(w, w->block);
  const bool data = w->shared == PM_WINO_DATA;
  s->v = data ? (float *)call->scratch : own;
  s->u = data ? own : (float *)call->scratch;
  for (int64_t i = 0; i < w->v_row; i++) s->zeros[i] = 0;
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

PM_INLINE void data_tile(const int r, const float *const *pixels, int64_t channels, float *to,
                         int64_t plane) {
  int64_t c = 0;
  for (; c + PM_VL <= channels; c += PM_VL) wino_data_tile(r, false, pixels, c, 0, to, plane);
  if (c < channels) wino_data_tile(r, true, pixels, c, channels - c, to, plane);
}

/* One tile of data; it becomes number `slot` of so many in a buffer. */
static void transform_data(const state *s, int64_t tile, float *v, int64_t slot, int64_t tiles) {
  const pm_wino *w = &s->wino;
  const float *pixels[36];
  find_pixels(s, tile, pixels);
  const int64_t plane = pm_wino_v_plane(w, tiles);
  if (w->r == 4)
    data_tile(4, pixels, w->channels, v + slot * w->v_row, plane);
  else
    data_tile(2, pixels, w->channels, v + slot * w->v_row, plane);
}

PM_INLINE void weights_panel(const int r, const float *panel, int64_t channels, int64_t first,
                             int64_t count, float *to, int64_t row, int64_t plane) {
  for (int64_t j = 0; j < PM_PANEL; j += PM_VL)
    for (int64_t c = 0; c < count; c++)
      wino_weights_tile(r, panel + (first + c) * PM_PANEL + j, channels * PM_PANEL, to + c * row + j,
                        plane);
}

/* Input channels [first, first + count) of a group of output channels. */
static void transform_weights(const state *s, int64_t group, int64_t first, int64_t count, float *u) {
  const pm_wino *w = &s->wino;
  const int64_t plane = pm_wino_u_plane(w, count), size = 9 * w->channels * PM_PANEL;
  const int64_t panels = pm_panels(s->conv.y.c), across = w->width / PM_PANEL;
  for (int64_t p = 0; p < across && group * across + p < panels; p++) {
    const float *panel = s->weights + (group * across + p) * size;
    float *to = u + p * PM_PANEL;
    if (w->r == 4)
      weights_panel(4, panel, w->channels, first, count, to, w->width, plane);
    else
      weights_panel(2, panel, w->channels, first, count, to, w->width, plane);
  }
}

/* Products of tiles with the weights of a group, for input channels [first, first + count). */
static void multiply(const state *s, const float *v, int64_t v_plane, int64_t tiles, const float *u,
                     int64_t columns, int64_t first, int64_t count) {
  const pm_wino *w = &s->wino;
  const int64_t parts = (tiles + PM_MR - 1) / PM_MR;
  const int64_t m_plane = pm_wino_m_plane(w, w->block), u_plane = pm_wino_u_plane(w, count);
  pm_gemm g = {.a_row = w->v_row, .b_panel = PM_PANEL, .b_row = w->width, .k = count};
  g.c_row = w->width, g.columns = columns, g.first = first == 0;
  g.ahead = (const char *)u;
  for (int p = 0; p < w->points; p++) {
    g.b = u + p * u_plane;
    for (int64_t i = 0; i < parts; i++) {
      const int64_t tile = tiles * i / parts;
      g.rows = (int)(tiles * (i + 1) / parts - tile);
      g.a = v + p * v_plane + tile * w->v_row + first;
      g.c = s->m + p * m_plane + tile * w->width;
      PM_FOR_ISA(pm_gemm_rows)(&g);
    }
  }
}

/* One row of a tile's outputs, `count` pixels, a vector of channels. */
PM_INLINE void put_row(const state *s, const pm_vf *o, int64_t count, float *y, int64_t y_step,
                       const float *residual, pm_vf bias, int64_t left) {
  const pm_epilogue *e = &s->conv.epilogue;
  const pm_vf low = pm_splat(e->low), high = pm_splat(e->high);
  const bool partial = left < PM_VL;
  for (int64_t x = 0; x < count; x++, y += y_step) {
    pm_vf v = o[x] + bias, r = {0};
    if (residual) {
      const float *p = residual + x * s->conv.r.sw;
      r = partial ? pm_load_some(p, left) : pm_load(p);
    }
    if (!e->after) v += r;
    v = pm_vclip(v, low, high);
    if (e->after) v += r;
    if (partial)
      pm_store_some(y, v, left);
    else
      pm_store(y, v);
  }
}

/* The activation of one row of a tile, where it needs a sweep. */
static void sweep(const state *s, float *from, int64_t step, float *y, const float *residual,
                  int64_t count, int64_t columns) {
  PM_FOR_ISA(pm_sweep_rows)
  (&s->conv.epilogue, from, step, y, s->conv.y.sw, residual, s->conv.r.sw, count, columns);
}

/* Outputs of one tile, some of whose channels begin at `channel`. */
PM_INLINE void outputs_tile(const state *s, const int r, const float *m, int64_t plane, corner at,
                            int64_t channel, int64_t columns) {
  const pm_conv *c = &s->conv;
  const pm_epilogue *e = &c->epilogue;
  const int64_t height = PM_MIN(r, c->row1 - at.y), count = PM_MIN(r, c->y.w - at.x);
  const bool aside = e->sweep && e->after && s->residual;
  pm_vf o[4 * 4];
  for (int64_t j = 0; j < columns; j += PM_VL) {
    const int64_t left = columns - j;
    wino_outputs_tile(r, m + j, plane, o);
    pm_vf bias = {0};
    if (s->bias) {
      const float *b = s->bias + channel + j;
      bias = left < PM_VL ? pm_load_some(b, left) : pm_load(b);
    }
    for (int64_t y = 0; y < height; y++) {
      float *out = s->out + pm_image_row(&c->y, at.n, 0, at.y + y) + at.x * c->y.sw + channel + j;
      const float *residual = NULL;
      if (s->residual)
        residual = s->residual + pm_image_row(&c->r, at.n, 0, at.y + y) + at.x * c->r.sw + channel + j;
      const int64_t part = PM_MIN(left, PM_VL);
      float *to = aside ? s->aside : out;
      const int64_t step = aside ? s->wino.width : c->y.sw;
      put_row(s, o + y * r, count, to, step, aside ? NULL : residual, bias, left);
      if (e->sweep) sweep(s, to, step, out, aside ? residual : NULL, count, part);
    }
  }
}

static void write_outputs(const state *s, int64_t first, int64_t tiles, int64_t group,
                          int64_t columns) {
  const pm_wino *w = &s->wino;
  const int64_t plane = pm_wino_m_plane(w, w->block);
  for (int64_t i = 0; i < tiles; i++) {
    const corner at = corner_of(s, first + i);
    const float *m = s->m + i * w->width;
    if (w->r == 4)
      outputs_tile(s, 4, m, plane, at, group * w->width, columns);
    else
      outputs_tile(s, 2, m, plane, at, group * w->width, columns);
  }
}

static int64_t columns_of(const state *s, int64_t group) {
  return PM_MIN(s->wino.width, s->conv.y.c - group * s->wino.width);
}

/* Tiles [first, first + tiles) of a strip of data, for one group of output channels. */
static void do_group(const state *s, int64_t group, int64_t first, int64_t tiles) {
  const pm_wino *w = &s->wino;
  const int64_t columns = columns_of(s, group), plane = pm_wino_v_plane(w, w->strip);
  if (w->depth < w->channels) {
    /* All tiles are held while their sums grow: the strip is not longer than a block. */
    for (int64_t c = 0; c < w->channels; c += w->depth) {
      const int64_t count = PM_MIN(w->depth, w->channels - c);
      transform_weights(s, group, c, count, s->u);
      multiply(s, s->v, plane, tiles, s->u, columns, c, count);
    }
    write_outputs(s, first, tiles, group, columns);
    return;
  }
  transform_weights(s, group, 0, w->channels, s->u);
  for (int64_t t = 0; t < tiles; t += w->block) {
    const int64_t count = PM_MIN(w->block, tiles - t);
    multiply(s, s->v + t * w->v_row, plane, count, s->u, columns, 0, w->channels);
    write_outputs(s, first + t, count, group, columns);
  }
}

static void share_data(const state *s, const pm_worker *worker) {
  const pm_wino *w = &s->wino;
  for (int64_t first = 0; first < w->tiles; first += w->strip) {
    const int64_t tiles = PM_MIN(w->strip, w->tiles - first);
    int64_t i;
    while ((i = pm_take(worker, 1)) < tiles) transform_data(s, first + i, s->v, i, w->strip);
    pm_barrier(worker);
    while ((i = pm_take(worker, 1)) < w->groups) do_group(s, i, first, tiles);
    if (first + w->strip < w->tiles) pm_barrier(worker);
  }
}

static void share_weights(const state *s, const pm_worker *worker) {
  const pm_wino *w = &s->wino;
  const int64_t size = w->points * pm_wino_u_plane(w, w->channels);
  int64_t i;
  while ((i = pm_take(worker, 1)) < w->groups)
    transform_weights(s, i, 0, w->channels, s->u + i * size);
  pm_barrier(worker);
  const int64_t blocks = (w->tiles + w->block - 1) / PM_MAX(w->block, 1);
  while ((i = pm_take(worker, 1)) < blocks) {
    const int64_t first = w->tiles * i / blocks, tiles = w->tiles * (i + 1) / blocks - first;
    for (int64_t t = 0; t < tiles; t++) transform_data(s, first + t, s->v, t, w->block);
    for (int64_t group = 0; group < w->groups; group++) {
      const int64_t columns = columns_of(s, group), plane = pm_wino_v_plane(w, w->block);
      multiply(s, s->v, plane, tiles, s->u + group * size, columns, 0, w->channels);
      write_outputs(s, first, tiles, group, columns);
    }
  }
}

PM_KERNEL(winograd) {
  state s;
  prepare(call, &s);
  if (s.wino.shared == PM_WINO_DATA)
    share_data(&s, worker);
  else
    share_weights(&s, worker);
}
