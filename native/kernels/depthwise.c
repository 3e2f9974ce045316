#include "depthwise.h"
#include "depthwise_lanes.h"

#if defined(__AVX512F__) && !defined(PM_SCALAR)
#define PIXELS 7
#else
#define PIXELS 4
#endif

typedef const float *pixel;

/* Neighbouring pixels of an output row, some of their channels. */
typedef struct {
  const pixel *from;      /* of the data, by rows of the window */
  const float *w, *bias;  /* panels */
  int64_t taps;
  float *to;
  int64_t to_step;
  const float *residual;  /* NULL for none */
  int64_t residual_step;
  int64_t first, last;    /* channels */
  int spread;             /* channels of a group */
  bool after;
  float low, high;
} block;

typedef void block_function(const block *b);

PM_INLINE pm_vf load_part(const float *p, const bool partial, int64_t n) {
  return partial ? pm_load_some(p, n) : pm_load(p);
}

PM_INLINE void finish(const int pixels, const bool partial, const block *b, int64_t c,
                      const pm_vf *acc) {
  const int64_t n = b->last - c;
  const pm_vf low = pm_splat(b->low), high = pm_splat(b->high);
  PM_UNROLL for (int p = 0; p < pixels; p++) {
    pm_vf y = acc[p], r = {0};
    if (b->residual) r = load_part(b->residual + p * b->residual_step + c, partial, n);
    if (b->residual && !b->after) y += r;
    y = pm_vclip(y, low, high);
    if (b->residual && b->after) y += r;
    float *to = b->to + p * b->to_step + c;
    if (partial)
      pm_store_some(to, y, n);
    else
      pm_store(to, y);
  }
}

/* A vector of channels; `rows`, `columns`, `stride`, `pixels` are constants. */
PM_INLINE void window_vector(const int rows, const int columns, const int stride, const int pixels,
                             const bool partial, const block *b, int64_t c) {
  const int across = (pixels - 1) * stride + columns;
  const float *w = b->w + c / PM_PANEL * PM_PANEL * (rows * columns) + c % PM_PANEL;
  pm_vf acc[PIXELS];
  PM_UNROLL for (int p = 0; p < pixels; p++)
    acc[p] = b->bias ? load_part(b->bias + c, partial, b->last - c) : (pm_vf){0};
  PM_UNROLL for (int r = 0; r < rows; r++) {
    pm_vf x[(PIXELS - 1) * 2 + 5];
    PM_UNROLL for (int i = 0; i < across; i++)
      x[i] = load_part(b->from[r * across + i] + c, partial, b->last - c);
    PM_UNROLL for (int q = 0; q < columns; q++) {
      const pm_vf wv = pm_load(w + (r * columns + q) * PM_PANEL);
      PM_UNROLL for (int p = 0; p < pixels; p++) acc[p] = pm_vfma(x[p * stride + q], wv, acc[p]);
    }
  }
  finish(pixels, partial, b, c, acc);
}

PM_INLINE void window_block(const int rows, const int columns, const int stride, const int pixels,
                            const block *b) {
  int64_t c = b->first;
  for (; c + PM_VL <= b->last; c += PM_VL)
    window_vector(rows, columns, stride, pixels, false, b, c);
  if (c < b->last) window_vector(rows, columns, stride, pixels, true, b, c);
}

/* One position of any window: x are the pixels, `spread` a constant. */
PM_INLINE const float *any_tap(const int spread, const bool partial, const block *b, int pixels,
                               const pixel *from, const float *w, int64_t c, pm_vf *acc) {
  pm_vf x[PIXELS];
  if (spread > PM_VL || spread > 8) {
    const int64_t group = c / spread * spread;
    for (int i = 0; i < spread; i++, w += PM_PANEL) {
      const pm_vf wv = pm_load(w);
      for (int p = 0; p < pixels; p++) acc[p] = pm_vfma(pm_splat(from[p][group + i]), wv, acc[p]);
    }
    return w;
  }
  for (int p = 0; p < pixels; p++) x[p] = load_part(from[p] + c, partial, b->last - c);
  PM_UNROLL for (int i = 0; i < spread; i++, w += PM_PANEL) {
    const pm_vf wv = pm_load(w);
    for (int p = 0; p < pixels; p++) acc[p] = pm_vfma(pm_lanes(spread, i, x[p]), wv, acc[p]);
  }
  return w;
}

/* Any window: the pixels lie by positions of the window. */
PM_INLINE void any_vector(const int spread, const bool partial, const block *b, int pixels, int64_t c) {
  const float *w = b->w + c / PM_PANEL * PM_PANEL * b->taps * spread + c % PM_PANEL;
  pm_vf acc[PIXELS];
  for (int p = 0; p < pixels; p++)
    acc[p] = b->bias ? load_part(b->bias + c, partial, b->last - c) : (pm_vf){0};
  for (int64_t t = 0; t < b->taps; t++)
    w = any_tap(spread, partial, b, pixels, b->from + t * pixels, w, c, acc);
  finish(pixels, partial, b, c, acc);
}

PM_INLINE void any_spread(const int spread, const block *b, int pixels) {
  int64_t c = b->first;
  if (pixels == PIXELS)
    for (; c + PM_VL <= b->last; c += PM_VL) any_vector(spread, false, b, PIXELS, c);
  for (; c + PM_VL <= b->last; c += PM_VL) any_vector(spread, false, b, pixels, c);
  if (c < b->last) any_vector(spread, true, b, pixels, c);
}

static void any_block(const block *b, int pixels) {
  switch (b->spread) {
    case 1: any_spread(1, b, pixels); break;
    case 2: any_spread(2, b, pixels); break;
    case 4: any_spread(4, b, pixels); break;
    case 8: any_spread(8, b, pixels); break;
    case 16: any_spread(16, b, pixels); break;
    default: any_spread(32, b, pixels); break;
  }
}

#define BLOCK(k, s, p) \
  static void block_##k##_##s##_##p(const block *b) { window_block(k, k, s, p, b); }
#if PIXELS == 7
#define BLOCKS(k, s) \
  BLOCK(k, s, 1) BLOCK(k, s, 2) BLOCK(k, s, 3) BLOCK(k, s, 4) BLOCK(k, s, 5) BLOCK(k, s, 6) \
  BLOCK(k, s, 7)
#define ENTRY(k, s) \
  {block_##k##_##s##_1, block_##k##_##s##_2, block_##k##_##s##_3, block_##k##_##s##_4, \
   block_##k##_##s##_5, block_##k##_##s##_6, block_##k##_##s##_7}
#else
#define BLOCKS(k, s) BLOCK(k, s, 1) BLOCK(k, s, 2) BLOCK(k, s, 3) BLOCK(k, s, 4)
#define ENTRY(k, s) \
  {block_##k##_##s##_1, block_##k##_##s##_2, block_##k##_##s##_3, block_##k##_##s##_4}
#endif

BLOCKS(3, 1) BLOCKS(3, 2) BLOCKS(5, 1) BLOCKS(5, 2)

static block_function *const FAST[2][2][PIXELS] = {{ENTRY(3, 1), ENTRY(3, 2)},
                                                   {ENTRY(5, 1), ENTRY(5, 2)}};

typedef struct {
  pm_conv conv;
  const float *data, *residual;
  float *out, *aside;
  float *zeros;
  pixel *from;
  block_function *const *fast; /* NULL where the window is not one of the common ones */
  block block;
} state;

static block_function *const *fast_of(const pm_conv *c) {
  const int64_t k = c->kernel[2], s = c->stride[2];
  if (c->groups != c->x.c) return NULL;
  if (c->kernel[0] != 1 || c->kernel[1] != k || c->dilation[2] != 1) return NULL;
  if ((k != 3 && k != 5) || (s != 1 && s != 2)) return NULL;
  return FAST[k == 5][s == 2];
}

static void prepare(const pm_call *call, state *s) {
  s->conv = pm_conv_of(call);
  const pm_conv *c = &s->conv;
  s->data = (const float *)call->in[0].data;
  s->residual = (const float *)call->in[3].data;
  s->out = (float *)call->out[0].data;
  s->zeros = (float *)call->own_scratch;
  s->aside = (float *)(call->own_scratch + pm_depthwise_zeros(c->x.c));
  s->from = (pixel *)((char *)s->aside + pm_depthwise_aside(c->x.c));
  for (int64_t i = 0; i < c->x.c; i++) s->zeros[i] = 0;
  s->fast = fast_of(c);
  s->block = (block){.from = s->from,
                     .w = (const float *)call->in[1].data,
                     .bias = (const float *)call->in[2].data,
                     .taps = c->kernel[0] * c->kernel[1] * c->kernel[2],
                     .spread = (int)(c->x.c / c->groups),
                     .after = c->epilogue.after,
                     .low = c->epilogue.low,
                     .high = c->epilogue.high};
}

/* The row of the data, NULL where it lies outside. */
static const float *row_of(const state *s, int64_t n, int64_t z, int64_t y) {
  const pm_image *x = &s->conv.x;
  const bool inside = z >= 0 && z < x->d && y >= 0 && y < x->h;
  return inside ? s->data + pm_image_row(x, n, z, y) : NULL;
}

/* Pixels of one row of the windows: from `x`, `count` of them `step` apart. */
static void find_pixels(const state *s, const float *row, int64_t x, int64_t step, int64_t count,
                        pixel *to) {
  const pm_image *image = &s->conv.x;
  if (!row) {
    for (int64_t i = 0; i < count; i++) to[i] = s->zeros;
  } else if (x >= 0 && x + (count - 1) * step < image->w) {
    const float *p = row + x * image->sw;
    for (int64_t i = 0; i < count; i++, p += step * image->sw) to[i] = p;
  } else {
    for (int64_t i = 0; i < count; i++, x += step)
      to[i] = x >= 0 && x < image->w ? row + x * image->sw : s->zeros;
  }
}

/* Where the windows of `pixels` outputs from `x` lie. Returns how many places that are. */
static int64_t find_window(const state *s, int64_t n, int64_t z, int64_t y, int64_t x, int pixels) {
  const pm_conv *c = &s->conv;
  pixel *to = s->from;
  const int64_t left = x * c->stride[2] - c->pad[2];
  for (int64_t i = 0; i < c->kernel[0]; i++)
    for (int64_t j = 0; j < c->kernel[1]; j++) {
      const float *row = row_of(s, n, z * c->stride[0] - c->pad[0] + i * c->dilation[0],
                                y * c->stride[1] - c->pad[1] + j * c->dilation[1]);
      if (s->fast) {
        const int64_t across = (pixels - 1) * c->stride[2] + c->kernel[2];
        find_pixels(s, row, left, 1, across, to);
        to += across;
        continue;
      }
      for (int64_t k = 0; k < c->kernel[2]; k++, to += pixels)
        find_pixels(s, row, left + k * c->dilation[2], c->stride[2], pixels, to);
    }
  return to - s->from;
}

/* Whether the windows of output pixels [x, x + pixels) of row y of a plane lie within the image. */
static bool is_inside(const pm_conv *c, int64_t z, int64_t y, int64_t x, int64_t pixels) {
  const int64_t first[3] = {z, y, x}, last[3] = {z, y, x + pixels - 1};
  const int64_t sizes[3] = {c->x.d, c->x.h, c->x.w};
  for (int i = 0; i < 3; i++) {
    const int64_t end = last[i] * c->stride[i] - c->pad[i] + (c->kernel[i] - 1) * c->dilation[i];
    if (first[i] * c->stride[i] < c->pad[i] || end >= sizes[i]) return false;
  }
  return true;
}

/* Pixels [x, x + pixels) of one row of the output. */
static void do_block(const state *s, block *b, float *out, const float *residual, int pixels) {
  const pm_epilogue *e = &s->conv.epilogue;
  const bool aside = e->sweep && e->after && residual;
  b->to = aside ? s->aside : out;
  b->to_step = aside ? s->conv.x.c : s->conv.y.sw;
  b->residual = aside ? NULL : residual;
  b->residual_step = s->conv.r.sw;
  if (s->fast)
    s->fast[pixels - 1](b);
  else
    any_block(b, pixels);
  if (!e->sweep) return;
  const int64_t c = b->first;
  PM_FOR_ISA(pm_sweep_rows)
  (e, b->to + c, b->to_step, out + c, s->conv.y.sw, aside ? residual + c : NULL, s->conv.r.sw,
   pixels, b->last - c);
}

static void do_line(const state *s, block *b, int64_t line) {
  const pm_conv *c = &s->conv;
  const int64_t rows = c->row1 - c->row0, plane = line / rows, y = line % rows + c->row0;
  const int64_t n = plane / c->y.d, z = plane % c->y.d;
  const int64_t blocks = (c->y.w + PIXELS - 1) / PIXELS;
  float *out = s->out + pm_image_row(&c->y, n, z, y);
  const float *residual = s->residual ? s->residual + pm_image_row(&c->r, n, z, y) : NULL;
  int64_t places = 0, before = 0;
  for (int64_t i = 0; i < blocks; i++) {
    const int64_t x = c->y.w * i / blocks;
    const int pixels = (int)(c->y.w * (i + 1) / blocks - x);
    /* Beside a window that lies inside is the next one that does, just as far for all pixels. */
    const bool inside = is_inside(c, z, y, x, pixels);
    if (inside && before == pixels) {
      const int64_t step = pixels * c->stride[2] * c->x.sw;
      for (int64_t k = 0; k < places; k++) s->from[k] += step;
    } else {
      places = find_window(s, n, z, y, x, pixels);
    }
    before = inside ? pixels : 0;
    do_block(s, b, out + x * c->y.sw, residual ? residual + x * c->r.sw : NULL, pixels);
  }
}

/* One output channel of weights that are not packed; `to` is its place in its panel. */
static void pack_channel(const state *s, const pm_tensor *t, const float *w, float *to) {
  const pm_conv *c = &s->conv;
  const int64_t *stride = t->strides, taps = s->block.taps;
  for (int64_t k = 0; k < taps; k++) {
    const int64_t tap = c->weights == PM_WEIGHTS_MIRRORED ? taps - 1 - k : k;
    const int64_t x = tap % c->kernel[2], y = tap / c->kernel[2] % c->kernel[1];
    const int64_t z = tap / c->kernel[2] / c->kernel[1];
    const float *from = w + z * stride[3] + y * stride[4] + x * stride[5];
    for (int i = 0; i < s->block.spread; i++, to += PM_PANEL) *to = from[i * stride[2]];
  }
}

static void pack_weights(const pm_call *call, const pm_worker *worker, state *s) {
  const pm_tensor *t = call->in[1].t;
  const int64_t spread = s->block.spread, size = s->block.taps * spread * PM_PANEL;
  float *to = (float *)call->scratch;
  int64_t begin, end;
  pm_share(worker, pm_panels(s->conv.x.c), &begin, &end);
  for (int64_t i = begin * size; i < end * size; i++) to[i] = 0;
  for (int64_t i = begin * PM_PANEL; i < PM_MIN(end * PM_PANEL, s->conv.x.c); i++) {
    const float *w = (const float *)call->in[1].data;
    w += i / spread * t->strides[0] + i % spread * t->strides[1];
    pack_channel(s, t, w, to + i / PM_PANEL * size + i % PM_PANEL);
  }
  s->block.w = to;
  pm_barrier(worker);
}

/* All of the weights, which are few. */
static void widen_weights(const pm_call *call, const pm_worker *worker, state *s) {
  const pm_narrow narrow = pm_narrow_of(call);
  float *to = (float *)call->scratch;
  int64_t begin, end;
  pm_share(worker, pm_panels(s->conv.x.c), &begin, &end);
  pm_widen_panels(&narrow, begin, end - begin, 0, narrow.steps, to + begin * narrow.steps * PM_PANEL);
  s->block.w = to;
  pm_barrier(worker);
}

PM_KERNEL(depthwise) {
  state s;
  prepare(call, &s);
  if (s.conv.weights != PM_WEIGHTS_PACKED)
    pack_weights(call, worker, &s);
  else if (pm_is_narrow(call))
    widen_weights(call, worker, &s);
  const pm_conv *c = &s.conv;
  const int64_t lines = c->y.n * c->y.d * (c->row1 - c->row0);
  const int64_t panels = pm_panels(c->x.c);
  /* Few rows: cut the channels too. */
  int64_t chunks = 1;
  while (lines * chunks < 4 * worker->count && panels / chunks >= 8) chunks *= 2;
  /* As many pieces for each worker: what it reads is where it wrote it. */
  const int64_t pieces = PM_MIN(lines, 4 * worker->count);
  int64_t i;
  while ((i = pm_take_near(worker, pieces * chunks)) >= 0) {
    const int64_t chunk = i % chunks, piece = i / chunks;
    block b = s.block;
    b.first = panels * chunk / chunks * PM_PANEL;
    b.last = PM_MIN(panels * (chunk + 1) / chunks * PM_PANEL, c->x.c);
    for (int64_t line = lines * piece / pieces; line < lines * (piece + 1) / pieces; line++)
      do_line(&s, &b, line);
  }
}
