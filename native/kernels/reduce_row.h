/* Sums and extremes of contiguous floats.

   Sums are made of blocks: within a block each lane adds at most 16 floats to an accumulator, and
   blocks are added in double precision, so that the relative error of a sum of positive numbers
   stays below 3e-6 whatever their number. */
#ifndef PM_REDUCE_ROW_H
#define PM_REDUCE_ROW_H

#include <stdbool.h>

#include "vmath.h"

#define PM_ROW_BLOCK (64 * PM_VL)

/* What is added up, or kept. */
typedef enum {
  PM_TERM_SELF,
  PM_TERM_SIZE,
  PM_TERM_SQUARE,
  PM_TERM_MAX,
  PM_TERM_MIN,
} pm_term;

/* All ones in the first `n` lanes. */
PM_INLINE pm_vi pm_first_lanes(int64_t n) {
  static const int32_t places[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  pm_vi lanes;
  memcpy(&lanes, places, sizeof lanes);
  return lanes < (int32_t)n;
}

/* Numbers of columns next to each other: `some` of them, or a whole vector where it is 0. */
PM_INLINE pm_vf pm_load_columns(const float *x, int64_t some) { return some ? pm_load_some(x, some) : pm_load(x); }

PM_INLINE void pm_store_columns(float *y, pm_vf v, int64_t some) {
  if (some)
    pm_store_some(y, v, some);
  else
    pm_store(y, v);
}

/* Whether one of the lanes is not a number. */
PM_INLINE bool pm_has_nan(pm_vf v) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)v, _CMP_UNORD_Q)) != 0;
#else
  const pm_vi lanes = v != v;
  int32_t any = 0;
  PM_UNROLL for (int i = 0; i < PM_VL; i++) any |= lanes[i];
  return any != 0;
#endif
}

PM_INLINE float pm_sum_of_lanes(pm_vf v) {
  float lanes[PM_VL];
  pm_store(lanes, v);
  PM_UNROLL for (int half = PM_VL / 2; half; half /= 2)
    PM_UNROLL for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}

PM_INLINE float pm_max_of_lanes(pm_vf v) {
  float lanes[PM_VL];
  pm_store(lanes, v);
  PM_UNROLL for (int half = PM_VL / 2; half; half /= 2)
    PM_UNROLL for (int i = 0; i < half; i++)
      lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
  return lanes[0];
}

PM_INLINE pm_vf pm_term_of(pm_term term, pm_vf x) {
  switch (term) {
    case PM_TERM_SIZE: return pm_vabs(x);
    case PM_TERM_SQUARE: return x * x;
    default: return x;
  }
}

PM_INLINE pm_vf pm_add_term(pm_term term, pm_vf sum, pm_vf x) {
  switch (term) {
    case PM_TERM_SQUARE: return pm_vfma(x, x, sum);
    default: return sum + pm_term_of(term, x);
  }
}

PM_INLINE float pm_sum_of_block(pm_term term, const float *x, int64_t n) {
  pm_vf sums[4] = {{0}};
  int64_t i = 0;
  for (; i + 4 * PM_VL <= n; i += 4 * PM_VL)
    PM_UNROLL for (int v = 0; v < 4; v++)
      sums[v] = pm_add_term(term, sums[v], pm_load(x + i + v * PM_VL));
  for (; i + PM_VL <= n; i += PM_VL) sums[0] = pm_add_term(term, sums[0], pm_load(x + i));
  if (i < n) {
    const pm_vf last = pm_term_of(term, pm_load_some(x + i, n - i));
    sums[1] += pm_select(pm_first_lanes(n - i), last, (pm_vf){0});
  }
  return pm_sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* The sum of a term over `n` floats. */
PM_INLINE double pm_sum_of_row(pm_term term, const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i += PM_ROW_BLOCK)
    sum += (double)pm_sum_of_block(term, x + i, n - i < PM_ROW_BLOCK ? n - i : PM_ROW_BLOCK);
  return sum;
}

/* Sums of distances from a point, and of their squares. */
typedef struct {
  double first, second;
} pm_moments;

PM_INLINE void pm_add_moments(pm_moments *m, const float *x, int64_t n, float point) {
  for (int64_t block = 0; block < n; block += PM_ROW_BLOCK) {
    const int64_t end = n - block < PM_ROW_BLOCK ? n : block + PM_ROW_BLOCK;
    pm_vf first[2] = {{0}}, second[2] = {{0}};
    int64_t i = block;
    for (; i + 2 * PM_VL <= end; i += 2 * PM_VL)
      PM_UNROLL for (int v = 0; v < 2; v++) {
        const pm_vf far = pm_load(x + i + v * PM_VL) - point;
        first[v] += far;
        second[v] = pm_vfma(far, far, second[v]);
      }
    for (; i < end; i += PM_VL) {
      const int64_t some = end - i < PM_VL ? end - i : PM_VL;
      const pm_vf here = some < PM_VL ? pm_load_some(x + i, some) : pm_load(x + i);
      const pm_vf far = pm_select(pm_first_lanes(some), here - point, (pm_vf){0});
      first[0] += far;
      second[0] = pm_vfma(far, far, second[0]);
    }
    m->first += (double)pm_sum_of_lanes(first[0] + first[1]);
    m->second += (double)pm_sum_of_lanes(second[0] + second[1]);
  }
}

/* The largest of `n` floats, not-a-number left aside; -inf where there is none. */
PM_INLINE float pm_max_of_row(const float *x, int64_t n) {
  const pm_vf none = pm_splat(-INFINITY);
  pm_vf most[4] = {none, none, none, none};
  int64_t i = 0;
  for (; i + 4 * PM_VL <= n; i += 4 * PM_VL)
    PM_UNROLL for (int v = 0; v < 4; v++) most[v] = pm_vmax(pm_load(x + i + v * PM_VL), most[v]);
  for (; i + PM_VL <= n; i += PM_VL) most[0] = pm_vmax(pm_load(x + i), most[0]);
  if (i < n) {
    const pm_vf last = pm_select(pm_first_lanes(n - i), pm_load_some(x + i, n - i), none);
    most[1] = pm_vmax(last, most[1]);
  }
  return pm_max_of_lanes(pm_vmax(pm_vmax(most[0], most[1]), pm_vmax(most[2], most[3])));
}

/* The smallest, likewise; inf where there is none. */
PM_INLINE float pm_min_of_row(const float *x, int64_t n) {
  const pm_vf none = pm_splat(INFINITY);
  pm_vf least[2] = {none, none};
  int64_t i = 0;
  for (; i + 2 * PM_VL <= n; i += 2 * PM_VL)
    PM_UNROLL for (int v = 0; v < 2; v++) least[v] = pm_vmin(pm_load(x + i + v * PM_VL), least[v]);
  for (; i < n; i += PM_VL) {
    const int64_t some = n - i < PM_VL ? n - i : PM_VL;
    const pm_vf here = some < PM_VL ? pm_load_some(x + i, some) : pm_load(x + i);
    least[0] = pm_vmin(pm_select(pm_first_lanes(some), here, none), least[0]);
  }
  return -pm_max_of_lanes(-pm_vmin(least[0], least[1]));
}

#endif
