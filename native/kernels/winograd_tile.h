/* The transforms of one tile, for a vector of channels. `r` is a constant where these expand. */
#ifndef PM_WINOGRAD_TILE_H
#define PM_WINOGRAD_TILE_H

#include "winograd.h"

#define WINO_P 0.707106781f
#define WINO_Q 1.41421356f

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
PM_INLINE void wino_outputs(const int r, const pm_vf *m, const int from, pm_vf *o, const int to) {
#define M(i) m[(i) * from]
  if (r == 2) {
    o[0] = M(0) + M(1) + M(2);
    o[to] = M(1) - M(2) - M(3);
    return;
  }
  /* With the factors -2/3 and 1/6 that the other transforms leave out. */
  const pm_vf s = M(1) + M(2), d = M(1) - M(2), t = M(3) + M(4), e = M(3) - M(4);
  o[0] = wino_fma(s, -2.0f / 3.0f, wino_fma(t, 1.0f / 6.0f, M(0)));
  o[to] = wino_fma(d, -2.0f / 3.0f * WINO_P, e * (WINO_Q / 6.0f));
  o[2 * to] = wino_fma(s, -1.0f / 3.0f, t * (1.0f / 3.0f));
  o[3 * to] = wino_fma(d, -1.0f / 3.0f * WINO_P, wino_fma(e, WINO_Q / 3.0f, M(5)));
#undef M
}

/* A tile's (r + 2)^2 pixels to as many planes, channels from `c` on: all of them or `left`. */
PM_INLINE void wino_data_tile(const int r, const bool partial, const float *const *pixels, int64_t c,
                              int64_t left, float *to, int64_t plane) {
  const int n = r + 2;
  pm_vf e[36];
  PM_UNROLL for (int x = 0; x < n; x++) {
    pm_vf d[6];
    PM_UNROLL for (int y = 0; y < n; y++) {
      const float *p = pixels[y * n + x] + c;
      d[y] = partial ? pm_load_some(p, left) : pm_load(p);
    }
    wino_data(r, d, 1, e + x, n);
  }
  PM_UNROLL for (int y = 0; y < n; y++) {
    pm_vf o[6];
    wino_data(r, e + y * n, 1, o, 1);
    PM_UNROLL for (int x = 0; x < n; x++) pm_store(to + (y * n + x) * plane + c, o[x]);
  }
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

/* (r + 2)^2 products of one tile, a vector of output channels, to r x r outputs. */
PM_INLINE void wino_outputs_tile(const int r, const float *m, int64_t plane, pm_vf *o) {
  const int n = r + 2;
  pm_vf e[4 * 6];
  PM_UNROLL for (int x = 0; x < n; x++) {
    pm_vf column[6];
    PM_UNROLL for (int y = 0; y < n; y++) column[y] = pm_load(m + (y * n + x) * plane);
    wino_outputs(r, column, 1, e + x, n);
  }
  PM_UNROLL for (int y = 0; y < r; y++) wino_outputs(r, e + y * n, 1, o + y * r, 1);
}

#endif
