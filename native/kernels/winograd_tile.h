/* The transforms of one tile, for a vector of channels. `r` is a constant where these expand. */
#ifndef PM_WINOGRAD_TILE_H
#define PM_WINOGRAD_TILE_H

#include "winograd.h"

#define WINO_P 0.707106781f
#define WINO_Q 1.41421356f
/* Factors of the outputs that the other transforms leave out. */
#define WINO_A (-2.0f / 3.0f)
#define WINO_B (1.0f / 6.0f)

/* a * f + b with a constant f */
PM_INLINE pm_vf wino_fma(pm_vf a, float f, pm_vf b) { return pm_vfma(a, pm_splat(f), b); }

/* Data, in one dimension: r + 2 values to r + 2, `step` vectors apart. */
PM_INLINE void wino_data(const int r, const pm_vf *d, const int from, pm_vf *o, const int to) {
#define D(i) d[(i) * from]
  if (r == 2) {
    o[0] = D(0) - D(2);
    o[to] = D(1) + D(2);
    o[2 * to] = D(2) - D(1);
    o[3 * to] = D(1) - D(3);
    return;
  }
  const pm_vf a = wino_fma(D(2), -2.0f, D(4)), b = wino_fma(D(1), -2.0f, D(3));
  const pm_vf c = wino_fma(D(2), -0.5f, D(4)), e = wino_fma(D(1), -0.5f, D(3));
  o[0] = wino_fma(D(2), -2.5f, D(0) + D(4));
  o[to] = wino_fma(b, WINO_P, a);
  o[2 * to] = wino_fma(b, -WINO_P, a);
  o[3 * to] = wino_fma(e, WINO_Q, c);
  o[4 * to] = wino_fma(e, -WINO_Q, c);
  o[5 * to] = wino_fma(D(3), -2.5f, D(1) + D(5));
#undef D
}

/* Weights, in one dimension: 3 values to r + 2. */
PM_INLINE void wino_weights(const int r, pm_vf a, pm_vf b, pm_vf c, pm_vf *o, const int to) {
  o[0] = a;
  if (r == 2) {
    const pm_vf s = (a + c) * 0.5f;
    o[to] = wino_fma(b, 0.5f, s);
    o[2 * to] = wino_fma(b, -0.5f, s);
    o[3 * to] = c;
    return;
  }
  const pm_vf s = wino_fma(c, 0.5f, a), t = wino_fma(c, 2.0f, a);
  o[to] = wino_fma(b, WINO_P, s);
  o[2 * to] = wino_fma(b, -WINO_P, s);
  o[3 * to] = wino_fma(b, WINO_Q, t);
  o[4 * to] = wino_fma(b, -WINO_Q, t);
  o[5 * to] = c;
}

/* Products, in one dimension: r + 2 values to r outputs. */
PM_INLINE void wino_outputs(const int r, const pm_vf *m, pm_vf *o) {
  if (r == 2) {
    o[0] = m[0] + m[1] + m[2];
    o[1] = m[1] - m[2] - m[3];
    return;
  }
  const pm_vf s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
  o[0] = wino_fma(s, WINO_A, wino_fma(t, WINO_B, m[0]));
  o[1] = wino_fma(d, WINO_A * WINO_P, e * (WINO_B * WINO_Q));
  o[2] = wino_fma(s, WINO_A * 0.5f, t * (WINO_B * 2.0f));
  o[3] = wino_fma(d, WINO_A * WINO_P * 0.5f, wino_fma(e, WINO_B * WINO_Q * 2.0f, m[5]));
}

/* A tile's (r + 2)^2 pixels, a vector of channels of each, and where their planes go. */
typedef struct {
  const float *const *pixels;
  int64_t c, left;
  float *to;
  int64_t plane;
} wino_source;

PM_INLINE pm_vf wino_pixel(const wino_source *s, const bool partial, const int i) {
  return partial ? pm_load_some(s->pixels[i] + s->c, s->left) : pm_load(s->pixels[i] + s->c);
}

PM_INLINE void wino_data_row(const int r, const wino_source *s, const int y, const pm_vf *e) {
  pm_vf o[6];
  wino_data(r, e, 1, o, 1);
  PM_UNROLL for (int x = 0; x < r + 2; x++)
    pm_store(s->to + (y * (r + 2) + x) * s->plane + s->c, o[x]);
}

/* Rows `y` and `y + 1` of F(4x4): sum and difference of the same two terms. Few values are alive at
   a time, which is why pixels are loaded more than once. */
PM_INLINE void wino_data_pair(const bool partial, const wino_source *s, const int y, const float f,
                              const float g) {
  pm_vf sum[6], difference[6];
  PM_UNROLL for (int x = 0; x < 6; x++) {
    const pm_vf a = wino_fma(wino_pixel(s, partial, 12 + x), f, wino_pixel(s, partial, 24 + x));
    const pm_vf b = wino_fma(wino_pixel(s, partial, 6 + x), f, wino_pixel(s, partial, 18 + x));
    sum[x] = wino_fma(b, g, a);
    difference[x] = wino_fma(b, -g, a);
  }
  wino_data_row(4, s, y, sum);
  wino_data_row(4, s, y + 1, difference);
}

/* Row 0 or 5 of F(4x4), of the pixels of rows i, i + 2 and i + 4. */
PM_INLINE void wino_data_rim(const bool partial, const wino_source *s, const int y, const int i) {
  pm_vf e[6];
  PM_UNROLL for (int x = 0; x < 6; x++) {
    const pm_vf ends = wino_pixel(s, partial, 6 * i + x) + wino_pixel(s, partial, 6 * i + 24 + x);
    e[x] = wino_fma(wino_pixel(s, partial, 6 * i + 12 + x), -2.5f, ends);
  }
  wino_data_row(4, s, y, e);
}

PM_INLINE void wino_data_tile(const int r, const bool partial, const wino_source *s) {
  if (r == 4) {
    wino_data_rim(partial, s, 0, 0);
    wino_data_pair(partial, s, 1, -2.0f, WINO_P);
    wino_data_pair(partial, s, 3, -0.5f, WINO_Q);
    wino_data_rim(partial, s, 5, 1);
    return;
  }
  pm_vf e[16];
  PM_UNROLL for (int x = 0; x < 4; x++) {
    pm_vf d[4];
    PM_UNROLL for (int y = 0; y < 4; y++) d[y] = wino_pixel(s, partial, y * 4 + x);
    wino_data(2, d, 1, e + x, 4);
  }
  PM_UNROLL for (int y = 0; y < 4; y++) wino_data_row(2, s, y, e + y * 4);
}

/* The 3x3 weights of one input channel for a vector of output channels: taps `step` apart. */
PM_INLINE void wino_weights_tile(const int r, const float *w, int64_t step, float *to, int64_t plane) {
  const int n = r + 2;
  pm_vf h[6 * 3];
  PM_UNROLL for (int x = 0; x < 3; x++)
    wino_weights(r, pm_load(w + x * step), pm_load(w + (3 + x) * step), pm_load(w + (6 + x) * step),
                 h + x, 3);
  PM_UNROLL for (int y = 0; y < n; y++) {
    pm_vf o[6];
    wino_weights(r, h[y * 3], h[y * 3 + 1], h[y * 3 + 2], o, 1);
    PM_UNROLL for (int x = 0; x < n; x++) pm_store(to + (y * n + x) * plane, o[x]);
  }
}

/* Two rows of a tile's outputs from its (r + 2)^2 products, a vector of channels of each: rows 0 and
   1 of F(2x2); of F(4x4) rows 0 and 2, which come from sums, or 1 and 3, which do from differences. */
PM_INLINE void wino_outputs_rows(const int r, const bool odd, const float *m, int64_t plane, pm_vf *o) {
  pm_vf e[2 * 6];
#define M(y, x) pm_load(m + ((y) * (r + 2) + (x)) * plane)
  PM_UNROLL for (int x = 0; x < r + 2; x++) {
    if (r == 2) {
      e[x] = M(0, x) + M(1, x) + M(2, x);
      e[4 + x] = M(1, x) - M(2, x) - M(3, x);
    } else if (!odd) {
      const pm_vf s = M(1, x) + M(2, x), t = M(3, x) + M(4, x);
      e[x] = wino_fma(s, WINO_A, wino_fma(t, WINO_B, M(0, x)));
      e[6 + x] = wino_fma(s, WINO_A * 0.5f, t * (WINO_B * 2.0f));
    } else {
      const pm_vf d = M(1, x) - M(2, x), t = M(3, x) - M(4, x);
      e[x] = wino_fma(d, WINO_A * WINO_P, t * (WINO_B * WINO_Q));
      e[6 + x] = wino_fma(d, WINO_A * WINO_P * 0.5f, wino_fma(t, WINO_B * WINO_Q * 2.0f, M(5, x)));
    }
  }
#undef M
  PM_UNROLL for (int y = 0; y < 2; y++) wino_outputs(r, e + y * (r + 2), o + y * r);
}

#endif
