#include "qpool.h"

#include "qround.h"

typedef struct {
  const int64_t *params;
  pm_pixels x, y;
  const uint8_t *data;
  uint8_t *out;
  pm_span d, h, w; /* of the window at hand */
  float factor, low, high;
  int32_t zero, y_zero;
  bool is_signed;
} state;

/* `n` channels, at most a vector, as integers. */
PM_INLINE pm_vi load_bytes(const uint8_t *p, bool is_signed, int64_t n) {
  typedef int8_t signed_bytes __attribute__((vector_size(PM_VL)));
  pm_qbytes bytes = {0};
  memcpy(&bytes, p, n >= PM_VL ? PM_VL : (size_t)n);
  if (is_signed) return __builtin_convertvector((signed_bytes)bytes, pm_vi);
  return __builtin_convertvector(bytes, pm_vi);
}

/* Channels from `c` on of one window. */
PM_INLINE void pool_vector(const bool is_signed, const state *s, int64_t n, int64_t c, uint8_t *y) {
  const int64_t *dilation = s->params + PM_POOL_DILATION;
  const int64_t left = s->x.c - c, step = dilation[2] * s->x.step[2];
  pm_vu sum = {0};
  for (int64_t d = s->d.first; d < s->d.last; d++)
    for (int64_t h = s->h.first; h < s->h.last; h++) {
      const int64_t row = pm_pixels_row(&s->x, n, s->d.origin + d * dilation[0], s->h.origin + h * dilation[1]);
      const uint8_t *x = s->data + c + row + (s->w.origin + s->w.first * dilation[2]) * s->x.step[2];
      for (int64_t w = s->w.first; w < s->w.last; w++, x += step)
        sum += (pm_vu)(load_bytes(x, is_signed, left) - s->zero);
    }
  const pm_vf real = __builtin_convertvector((pm_vi)sum, pm_vf) * s->factor;
  pm_qstore_rounded(y + c, real, s->low, s->high, s->y_zero, left);
}

static void pool_pixel(const state *s, int64_t n, uint8_t *y) {
  if (s->is_signed)
    for (int64_t c = 0; c < s->x.c; c += PM_VL) pool_vector(true, s, n, c, y);
  else
    for (int64_t c = 0; c < s->x.c; c += PM_VL) pool_vector(false, s, n, c, y);
}

/* Pixel number `i` of those that are to be made. */
static void do_pixel(state *s, int64_t i) {
  const int64_t *params = s->params, columns = s->y.size[2];
  const int64_t rows = params[PM_POOL_ROW1] - params[PM_POOL_ROW0];
  const int64_t h = params[PM_POOL_ROW0] + i / columns % rows, d = i / columns / rows % s->y.size[0];
  const int64_t n = i / columns / rows / s->y.size[0], w = i % columns;
  s->d = pm_span_of(params, 0, s->x.size[0], d);
  s->h = pm_span_of(params, 1, s->x.size[1], h);
  s->w = pm_span_of(params, 2, s->x.size[2], w);
  const int64_t count = pm_counted(params, &s->x, 0, &s->d) * pm_counted(params, &s->x, 1, &s->h) *
                        pm_counted(params, &s->x, 2, &s->w);
  s->factor = (float)pm_param_f64(params[PM_QPOOL_SCALE]) / (float)count;
  pool_pixel(s, n, s->out + pm_pixels_row(&s->y, n, d, h) + w * s->y.step[2]);
}

PM_KERNEL(qpool) {
  const int64_t *p = call->params;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if (!pm_count(y)) return;
  state s = {.params = p, .x = pm_pixels_of(x), .y = pm_pixels_of(y), .data = call->in[0].data};
  const int32_t least = y->dtype == PM_U8 ? 0 : INT8_MIN;
  s.out = call->out[0].data;
  s.zero = (int32_t)p[PM_QPOOL_ZERO], s.y_zero = (int32_t)p[PM_QPOOL_Y_ZERO];
  s.low = (float)(least - s.y_zero), s.high = (float)(least + 255 - s.y_zero);
  s.is_signed = x->dtype == PM_I8;
  int64_t begin, end;
  const int64_t rows = p[PM_POOL_ROW1] - p[PM_POOL_ROW0];
  pm_share(worker, s.y.n * s.y.size[0] * rows * s.y.size[2], &begin, &end);
  for (int64_t i = begin; i < end; i++) do_pixel(&s, i);
}
