/* Pooling. A maximum is exact; an average or a norm has a relative error below 3e-6 of that of sizes,
   for windows of up to some thousand elements: each row of a window is added up on its own. */
#include "pool.h"

#include "reduce_row.h"

/* Vectors of channels at a time. */
#define WIDE 4

typedef struct {
  const pm_call *call;
  pm_pool_kind kind;
  double p;
  pm_pixels x, y, places;
  pm_span d, h, w; /* of the window at hand */
  double count;    /* elements that an average is over */
} pool;

static const float *pixel_of(const pool *p, int64_t n, int64_t d, int64_t h, int64_t w) {
  const int64_t row = pm_pixels_row(&p->x, n, d, h);
  return (const float *)p->call->in[0].data + row + w * p->x.step[2];
}

/* A tap of the window. */
PM_INLINE pm_vf tap_of(pm_pool_kind kind, double power, pm_vf v) {
  if (kind != PM_POOL_LP) return v;
  return power == 1 ? pm_vabs(v) : v * v;
}

PM_INLINE pm_vf finished(const pool *p, pm_pool_kind kind, pm_vf v) {
  if (kind == PM_POOL_AVERAGE) return v / (float)p->count;
  if (kind == PM_POOL_LP && p->p != 1) return pm_vsqrt(v);
  return v;
}

/* Not-a-number is larger than all others. */
static pm_vf max_of_lanes(const pool *p, int64_t n, int64_t channel, int64_t some) {
  float best[PM_VL];
  pm_store(best, pm_splat(-INFINITY));
  for (int64_t d = p->d.first; d < p->d.last; d++)
    for (int64_t h = p->h.first; h < p->h.last; h++)
      for (int64_t w = p->w.first; w < p->w.last; w++) {
        const int64_t *dilation = p->call->params + PM_POOL_DILATION;
        const float *x = pixel_of(p, n, p->d.origin + d * dilation[0], p->h.origin + h * dilation[1],
                                  p->w.origin + w * dilation[2]);
        for (int64_t i = 0; i < (some ? some : PM_VL); i++)
          if (!(x[channel + i] <= best[i])) best[i] = best[i] == best[i] ? x[channel + i] : best[i];
      }
  return pm_load(best);
}

/* `vectors` of channels of one window; `some` is the number of channels where it is not 0. */
PM_INLINE void pool_vectors(const pool *p, pm_pool_kind kind, int64_t n, int64_t channel, int vectors,
                            int64_t some, float *y) {
  const int64_t *dilation = p->call->params + PM_POOL_DILATION;
  const int64_t step = dilation[2] * p->x.step[2];
  pm_vf total[WIDE], seen[WIDE] = {{0}};
  for (int v = 0; v < vectors; v++) total[v] = kind == PM_POOL_MAX ? pm_splat(-INFINITY) : (pm_vf){0};
  for (int64_t d = p->d.first; d < p->d.last; d++)
    for (int64_t h = p->h.first; h < p->h.last; h++) {
      const float *x = channel + pixel_of(p, n, p->d.origin + d * dilation[0], p->h.origin + h * dilation[1],
                                          p->w.origin + p->w.first * dilation[2]);
      pm_vf sum[WIDE] = {{0}};
      for (int64_t w = p->w.first; w < p->w.last; w++, x += step)
        PM_UNROLL for (int v = 0; v < vectors; v++) {
          const pm_vf here = tap_of(kind, p->p, pm_load_columns(x + v * PM_VL, some));
          if (kind == PM_POOL_MAX) total[v] = pm_vmax(here, total[v]);
          sum[v] += here;
        }
      PM_UNROLL for (int v = 0; v < vectors; v++) {
        if (kind == PM_POOL_MAX)
          seen[v] += sum[v];
        else
          total[v] += sum[v];
      }
    }
  /* A maximum hides not-a-number, a sum does not. */
  const bool again = kind == PM_POOL_MAX && pm_has_nan((seen[0] + seen[1]) + (seen[2] + seen[3]));
  PM_UNROLL for (int v = 0; v < vectors; v++) {
    const int64_t first = channel + v * PM_VL;
    const pm_vf result = again ? max_of_lanes(p, n, first, some) : finished(p, kind, total[v]);
    pm_store_columns(y + first, result, some);
  }
}

PM_INLINE void pool_pixel(const pool *p, pm_pool_kind kind, int64_t n, float *y) {
  const int64_t channels = p->x.c;
  int64_t c = 0;
  for (; c + WIDE * PM_VL <= channels; c += WIDE * PM_VL) pool_vectors(p, kind, n, c, WIDE, 0, y);
  for (; c + PM_VL <= channels; c += PM_VL) pool_vectors(p, kind, n, c, 1, 0, y);
  if (c < channels) pool_vectors(p, kind, n, c, 1, channels - c, y);
}

/* The maximum of bytes that lie together; of an empty window the least number there is. */
#define POOL_BYTES(type, least)                                                          \
  static void pool_bytes_##type(const pool *p, int64_t n, int64_t y) {                   \
    const int64_t *dilation = p->call->params + PM_POOL_DILATION;                        \
    type *restrict to = (type *)p->call->out[0].data + y;                                \
    for (int64_t c = 0; c < p->x.c; c++) to[c] = least;                                  \
    for (int64_t d = p->d.first; d < p->d.last; d++)                                     \
      for (int64_t h = p->h.first; h < p->h.last; h++)                                   \
        for (int64_t w = p->w.first; w < p->w.last; w++) {                               \
          const int64_t row = pm_pixels_row(&p->x, n, p->d.origin + d * dilation[0],     \
                                            p->h.origin + h * dilation[1]);              \
          const type *restrict x = (const type *)p->call->in[0].data + row +             \
                          (p->w.origin + w * dilation[2]) * p->x.step[2];                \
          for (int64_t c = 0; c < p->x.c; c++) to[c] = PM_MAX(to[c], x[c]);              \
        }                                                                                \
  }

POOL_BYTES(int8_t, INT8_MIN)
POOL_BYTES(uint8_t, 0)

static void pool_floats(const pool *p, int64_t n, int64_t y) {
  float *to = (float *)p->call->out[0].data + y;
  switch (p->kind) {
    case PM_POOL_MAX: pool_pixel(p, PM_POOL_MAX, n, to); break;
    case PM_POOL_AVERAGE: pool_pixel(p, PM_POOL_AVERAGE, n, to); break;
    default: pool_pixel(p, PM_POOL_LP, n, to);
  }
}

/* Channels that lie together. */
static void pool_together(const pool *p, int64_t n, int64_t y) {
  switch (p->call->in[0].t->dtype) {
    case PM_I8: pool_bytes_int8_t(p, n, y); break;
    case PM_U8: pool_bytes_uint8_t(p, n, y); break;
    default: pool_floats(p, n, y);
  }
}

/* Any strides and types, with the places of maxima: one number after the other. */

/* How far apart neighbours lie in the flattened image. */
static int64_t place_step(const pool *p, int axis) {
  int64_t step = 1;
  for (int i = 0; i < 3; i++)
    if (p->call->params[PM_POOL_COLUMNS] ? i < axis : i > axis) step *= p->x.size[i];
  return step;
}

/* The place of the window's position (d, h, w), which may lie in the padding. */
static int64_t place_of(const pool *p, int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
  const int64_t *dilation = p->call->params + PM_POOL_DILATION;
  const int64_t image = (n * p->x.c + c) * p->x.size[0] * p->x.size[1] * p->x.size[2];
  return image + (p->d.origin + d * dilation[0]) * place_step(p, 0) +
         (p->h.origin + h * dilation[1]) * place_step(p, 1) +
         (p->w.origin + w * dilation[2]) * place_step(p, 2);
}

/* Whether the window begins with padding, which is the least there is. */
static bool begins_outside(const pool *p) {
  const bool empty = p->d.last <= p->d.first || p->h.last <= p->h.first || p->w.last <= p->w.first;
  return empty || p->d.first || p->h.first || p->w.first;
}

#define POOL_ANY(type, least)                                                            \
  static void pool_any_##type(const pool *p, int64_t n, int64_t y, int64_t place) {      \
    const int64_t *dilation = p->call->params + PM_POOL_DILATION;                        \
    int64_t *places = (int64_t *)p->call->out[1].data;                                   \
    for (int64_t c = 0; c < p->x.c; c++) {                                               \
      double best = (double)(least), sum = 0;                                            \
      int64_t where = begins_outside(p) ? place_of(p, n, c, 0, 0, 0) : -1;               \
      for (int64_t d = p->d.first; d < p->d.last; d++)                                   \
        for (int64_t h = p->h.first; h < p->h.last; h++)                                 \
          for (int64_t w = p->w.first; w < p->w.last; w++) {                             \
            const int64_t row = pm_pixels_row(&p->x, n, p->d.origin + d * dilation[0],   \
                                              p->h.origin + h * dilation[1]);            \
            const int64_t at = row + (p->w.origin + w * dilation[2]) * p->x.step[2];     \
            const double v = (double)((const type *)p->call->in[0].data)[at + c * p->x.c_step]; \
            sum += p->kind == PM_POOL_LP ? pow(fabs(v), p->p) : v;                       \
            if (places && (where < 0 || v > best)) where = place_of(p, n, c, d, h, w);   \
            best = best == best && !(v <= best) ? v : best;                              \
          }                                                                              \
      if (p->kind == PM_POOL_AVERAGE) sum /= p->count;                                   \
      if (p->kind == PM_POOL_LP) sum = pow(sum, 1 / p->p);                               \
      type *to = (type *)p->call->out[0].data + y + c * p->y.c_step;                     \
      *to = (type)(p->kind == PM_POOL_MAX ? best : sum);                                 \
      if (places) places[place + c * p->places.c_step] = where;                          \
    }                                                                                    \
  }

POOL_ANY(float, -INFINITY)
POOL_ANY(double, -INFINITY)
POOL_ANY(int8_t, INT8_MIN)
POOL_ANY(uint8_t, 0)

static void pool_any(const pool *p, int64_t n, int64_t y, int64_t place) {
  switch (p->call->in[0].t->dtype) {
    case PM_F32: pool_any_float(p, n, y, place); break;
    case PM_F64: pool_any_double(p, n, y, place); break;
    case PM_I8: pool_any_int8_t(p, n, y, place); break;
    default: pool_any_uint8_t(p, n, y, place);
  }
}

static bool is_fast(const pool *p) {
  if (p->call->out[1].t || p->call->in[0].t->dtype == PM_F64) return false;
  const bool together = (p->x.c_step == 1 && p->y.c_step == 1) || p->x.c == 1;
  return together && (p->kind != PM_POOL_LP || p->p == 1 || p->p == 2);
}

/* The pixels [begin, end) of those that are to be made. */
static void pool_pixels(pool *p, bool fast, int64_t begin, int64_t end) {
  const int64_t *params = p->call->params, columns = p->y.size[2];
  const int64_t rows = params[PM_POOL_ROW1] - params[PM_POOL_ROW0];
  for (int64_t i = begin; i < end;) {
    const int64_t h = params[PM_POOL_ROW0] + i / columns % rows, d = i / columns / rows % p->y.size[0];
    const int64_t n = i / columns / rows / p->y.size[0], first = i % columns;
    const int64_t last = PM_MIN(columns, first + end - i);
    const int64_t y = pm_pixels_row(&p->y, n, d, h), place = pm_pixels_row(&p->places, n, d, h);
    p->d = pm_span_of(params, 0, p->x.size[0], d);
    p->h = pm_span_of(params, 1, p->x.size[1], h);
    const int64_t count = pm_counted(params, &p->x, 0, &p->d) * pm_counted(params, &p->x, 1, &p->h);
    for (int64_t w = first; w < last; w++) {
      p->w = pm_span_of(params, 2, p->x.size[2], w);
      if (p->kind == PM_POOL_AVERAGE) p->count = (double)(count * pm_counted(params, &p->x, 2, &p->w));
      if (fast)
        pool_together(p, n, y + w * p->y.step[2]);
      else
        pool_any(p, n, y + w * p->y.step[2], place + w * p->places.step[2]);
    }
    i += last - first;
  }
}

PM_KERNEL(pool) {
  const int64_t *params = call->params;
  pool p = {.call = call, .kind = (pm_pool_kind)params[PM_POOL_KIND], .p = pm_param_f64(params[PM_POOL_P])};
  p.x = pm_pixels_of(call->in[0].t);
  p.y = pm_pixels_of(call->out[0].t);
  if (call->out[1].t) p.places = pm_pixels_of(call->out[1].t);
  const int64_t rows = params[PM_POOL_ROW1] - params[PM_POOL_ROW0];
  if (!pm_count(call->out[0].t)) return;
  int64_t begin, end;
  pm_share(worker, p.y.n * p.y.size[0] * rows * p.y.size[2], &begin, &end);
  pool_pixels(&p, is_fast(&p), begin, end);
}
