/* Convolution as a product of matrices, without ever having the matrix of windows whole. */
#include "conv_pack.h"
#include "conv_split.h"

/* How one worker does its parts. */
typedef struct {
  pm_conv conv;
  pm_windows windows;
  pm_split split;
  const float *weights, *bias, *residual; /* no weights where they are narrow */
  pm_narrow narrow;
  float *out, *tile, *packed, *widened;
  int64_t columns, panels; /* of a group */
  bool in_place;           /* pixels of the data are rows of the matrix */
  const float *runs[PM_MOST_RUNS];
} state;

/* Whether rows so far apart fall into the same few sets of the first cache. */
static bool is_crowded(int64_t stride) { return stride % 512 == 0; }

static bool reads_in_place(const state *s) {
  const pm_conv *c = &s->conv;
  for (int i = 0; i < 3; i++)
    if (c->kernel[i] != 1 || c->stride[i] != 1 || c->pad[i] != 0) return false;
  if (c->x.w != c->y.w || c->x.d != c->y.d || c->row1 > c->x.h || is_crowded(c->x.sw)) return false;
  return s->split.lines > 1 || pm_image_is_flat(&c->x, c->row0, c->row1);
}

/* Whether windows are better read where they lie, line by line: packing is a large part of the work
   where there are few output channels; but then no tile goes on in the next line. */
static bool reads_lines(const state *s) {
  const pm_conv *c = &s->conv;
  const pm_windows *w = &s->windows;
  if (s->columns > 4 * PM_PANEL || c->y.w < 2 * PM_MR || w->k / w->run > PM_MOST_RUNS) return false;
  return !is_crowded(c->stride[2] * c->x.sw);
}

/* One panel of weights that are not packed, from output channel `first` of a group on. */
static void pack_panel(const pm_conv *c, const pm_tensor *t, const float *w, int64_t first, float *to) {
  const int64_t *s = t->strides;
  const bool mirrored = c->weights == PM_WEIGHTS_MIRRORED;
  const int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  for (int64_t i = 0; i < taps; i++) {
    const int64_t tap = mirrored ? taps - 1 - i : i;
    const int64_t x = tap % c->kernel[2], y = tap / c->kernel[2] % c->kernel[1];
    const float *from = w + tap / c->kernel[2] / c->kernel[1] * s[3] + y * s[4] + x * s[5];
    for (int64_t channel = 0; channel < t->dims[2]; channel++)
      for (int64_t j = 0; j < PM_PANEL; j++) {
        const bool inside = first + j < t->dims[1];
        *to++ = inside ? from[(first + j) * s[1] + channel * s[2]] : 0;
      }
  }
}

static void pack_weights(const pm_call *call, const pm_worker *worker, const state *s) {
  const pm_tensor *t = call->in[1].t;
  const int64_t size = s->windows.k * PM_PANEL;
  int64_t begin, end;
  pm_share(worker, s->conv.groups * s->panels, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const float *w = (const float *)call->in[1].data + i / s->panels * t->strides[0];
    pack_panel(&s->conv, t, w, i % s->panels * PM_PANEL, (float *)call->scratch + i * size);
  }
  pm_barrier(worker);
}

static void prepare(const pm_call *call, const pm_worker *worker, state *s) {
  s->conv = pm_conv_of(call);
  const pm_conv *c = &s->conv;
  const bool packed = c->weights == PM_WEIGHTS_PACKED;
  s->weights = (const float *)(packed ? call->in[1].data : call->scratch);
  if (pm_is_narrow(call)) s->weights = NULL;
  s->narrow = pm_narrow_of(call);
  s->bias = (const float *)call->in[2].data;
  s->residual = (const float *)call->in[3].data;
  s->out = (float *)call->out[0].data;
  s->windows = pm_windows_of(c, call->in[0].t, (const float *)call->in[0].data);
  s->columns = c->y.c / c->groups;
  s->panels = pm_panels(s->columns);
  s->split = pm_split_of(c, call->params + CONV_SHARED, s->residual != NULL, reads_lines(s), PM_MR,
                         worker->count);
  s->in_place = reads_in_place(s);
  s->packed = (float *)call->own_scratch;
  s->tile = s->packed + PM_MAX_MR * pm_packed_stride(s->split.depth);
  const int64_t columns = PM_MIN(call->params[CONV_SHARED + SPLIT_COLUMNS], c->y.c);
  s->widened = s->tile + PM_MAX_MR * pm_packed_stride(columns);
}

/* The first float of pixel `first` of a line in an image. */
static int64_t place(const state *s, const pm_image *i, int64_t line, int64_t first) {
  const int64_t lines = s->conv.row1 - s->conv.row0, plane = line / lines;
  return pm_image_row(i, plane / i->d, plane % i->d, line % lines + s->conv.row0) + first * i->sw;
}

/* Whether all windows of `rows` pixels lie within the image; then where their runs begin. */
static bool find_runs(state *s, int64_t line, int64_t first, int rows, int64_t offset) {
  const pm_conv *c = &s->conv;
  const pm_windows *w = &s->windows;
  const int64_t lines = c->row1 - c->row0, plane = line / lines;
  const int64_t left = first * c->stride[2] - c->pad[2];
  const int64_t last = (c->kernel[2] - 1) * c->dilation[2] + (rows - 1) * c->stride[2];
  if (left < 0 || left + last >= c->x.w) return false;
  const float **run = s->runs;
  for (int64_t i = 0; i < c->kernel[0]; i++)
    for (int64_t j = 0; j < c->kernel[1]; j++) {
      const int64_t z = plane % c->y.d * c->stride[0] - c->pad[0] + i * c->dilation[0];
      const int64_t y = (line % lines + c->row0) * c->stride[1] - c->pad[1] + j * c->dilation[1];
      if (z < 0 || z >= c->x.d || y < 0 || y >= c->x.h) return false;
      const float *row = w->data + pm_image_row(&c->x, plane / c->y.d, z, y) + left * c->x.sw + offset;
      for (int64_t k = 0; k < w->across; k++) *run++ = row + k * w->steps * c->x.sw;
    }
  return true;
}

static void find_rows(state *s, int64_t line, int64_t first, const pm_part *part, int64_t k0,
                      pm_gemm *g) {
  const int64_t offset = part->group * s->windows.channels + k0;
  if (s->in_place) {
    g->a = s->windows.data + place(s, &s->conv.x, line, first) + offset;
    g->a_row = s->conv.x.sw;
    return;
  }
  g->runs = NULL;
  if (s->split.by_lines && find_runs(s, line, first, g->rows, offset)) {
    g->runs = s->runs;
    g->run = s->windows.run;
    g->a_row = s->conv.stride[2] * s->conv.x.sw;
    return;
  }
  pm_origins origins;
  pm_find_origins(&s->windows, line, first, g->rows, &origins);
  g->a_row = pm_packed_stride(s->split.depth);
  pm_pack_windows(&s->windows, &origins, part->group, k0, g->k, s->packed, g->a_row);
  g->a = s->packed;
}

/* Pixels [first, first + g->rows) of a line, one block of the sum. */
static void do_tile(state *s, const pm_part *part, int64_t line, int64_t first, int64_t k0,
                    pm_gemm *g) {
  find_rows(s, line, first, part, k0, g);
  const int64_t column = part->group * s->columns + part->column;
  float *out = s->out + place(s, &s->conv.y, line, first) + column;
  const pm_epilogue *e = &s->conv.epilogue;
  const float *residual = NULL;
  if (s->residual) residual = s->residual + place(s, &s->conv.r, line, first) + column;
  /* A residual that comes after a sweep may lie where the output goes. */
  const bool aside = e->sweep && e->after && residual;
  g->c = aside ? s->tile : out;
  g->c_row = aside ? pm_packed_stride(g->columns) : s->conv.y.sw;
  g->residual = aside ? NULL : residual;
  PM_FOR_ISA(pm_gemm_rows)(g);
  if (g->last && e->sweep)
    PM_FOR_ISA(pm_sweep_rows)
    (e, g->c, g->c_row, out, s->conv.y.sw, aside ? residual : NULL, s->conv.r.sw, g->rows,
     g->columns);
}

/* The weights of a part, for steps of the sum from `k0` on. Returns those that are read after them, as
   far as this group goes, or NULL. */
static const float *find_weights(const state *s, const pm_part *part, int64_t k0, pm_gemm *g) {
  const int64_t panel = part->group * s->panels + part->column / PM_PANEL;
  if (!s->weights) {
    pm_widen_panels(&s->narrow, panel, pm_panels(part->columns), k0, g->k, s->widened);
    g->b = s->widened, g->b_panel = g->k * PM_PANEL;
    return NULL;
  }
  g->b_panel = s->windows.k * PM_PANEL;
  g->b = s->weights + panel * g->b_panel + k0 * PM_PANEL;
  if (!g->last) return g->b + g->k * PM_PANEL;
  const int64_t next = part->column + part->columns;
  if (next >= s->columns) return NULL;
  return s->weights + (part->group * s->panels + next / PM_PANEL) * g->b_panel;
}

/* Pixels [begin, end) of a line, in tiles of much the same size. */
static void do_line(state *s, const pm_part *part, int64_t line, int64_t begin, int64_t end,
                    const float *soon, int64_t k0, pm_gemm *g) {
  const int64_t tiles = pm_ceil_div(end - begin, PM_MR);
  for (int64_t t = 0; t < tiles; t++) {
    const int64_t first = (end - begin) * t / tiles;
    g->rows = (int)((end - begin) * (t + 1) / tiles - first);
    g->ahead = pm_ahead(soon, t, g->b_panel);
    do_tile(s, part, line, begin + first, k0, g);
  }
}

static void do_part(state *s, const pm_part *part) {
  const pm_epilogue *e = &s->conv.epilogue;
  const int64_t k = s->windows.k;
  pm_gemm g = {.b_row = PM_PANEL, .columns = part->columns};
  g.residual_row = s->conv.r.sw;
  g.bias = s->bias ? s->bias + part->group * s->columns + part->column : NULL;
  g.low = e->low, g.high = e->high, g.after = e->after;
  for (int64_t k0 = 0; k0 < k; k0 += s->split.depth) {
    g.k = PM_MIN(s->split.depth, k - k0);
    g.first = k0 == 0, g.last = k0 + g.k == k;
    const float *soon = find_weights(s, part, k0, &g);
    if (s->split.lines == 1) {
      do_line(s, part, 0, part->begin, part->end, soon, k0, &g);
      continue;
    }
    for (int64_t line = part->begin; line < part->end; line++)
      do_line(s, part, line, 0, s->split.pixels, line == part->begin ? soon : NULL, k0, &g);
  }
}

PM_KERNEL(conv) {
  state s;
  prepare(call, worker, &s);
  if (s.conv.weights != PM_WEIGHTS_PACKED) pack_weights(call, worker, &s);
  int64_t i;
  pm_part part;
  while ((i = pm_take_near(worker, s.split.parts)) >= 0) {
    pm_part_of(&s.split, i, &part);
    do_part(&s, &part);
  }
}
