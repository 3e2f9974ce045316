/* Rows of halves and bfloat16 to floats and back, as fast as the instruction set can. */
#ifndef PM_HALFROW_H
#define PM_HALFROW_H

#include "half.h"
#include "vec.h"

#define PM_HALFROW __attribute__((unused)) static void

PM_HALFROW pm_halves_load(const uint8_t *from, float *to, int64_t n) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + 2 * i))));
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + 2 * i))));
#endif
  for (; i < n; i++) {
    uint16_t half;
    memcpy(&half, from + 2 * i, 2);
    to[i] = pm_from_half(half);
  }
}

PM_HALFROW pm_halves_store(const float *from, uint8_t *to, int64_t n) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256((void *)(to + 2 * i), _mm512_cvtps_ph(_mm512_loadu_ps(from + i), 0));
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128((void *)(to + 2 * i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), 0));
#endif
  for (; i < n; i++) {
    const uint16_t half = pm_to_half(from[i]);
    memcpy(to + 2 * i, &half, 2);
  }
}

PM_HALFROW pm_bfloats_load(const uint8_t *from, float *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint16_t bits;
    memcpy(&bits, from + 2 * i, 2);
    to[i] = pm_from_bfloat(bits);
  }
}

PM_HALFROW pm_bfloats_store(const float *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const uint16_t bits = pm_to_bfloat(from[i]);
    memcpy(to + 2 * i, &bits, 2);
  }
}

#endif
