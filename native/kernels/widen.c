#include "widen.h"

#include "halfrow.h"

/* Steps of 16 whole numbers, each times the scale of its column. */
static void load_scaled(const uint8_t *bytes, const float *scales, float *to, int64_t steps) {
  const int8_t *from = (const int8_t *)bytes;
#if defined(__AVX512F__)
  const __m512 factor = _mm512_loadu_ps(scales);
  for (int64_t i = 0; i < steps; i++, from += PM_PANEL, to += PM_PANEL) {
    const __m512i whole = _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from));
    _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_cvtepi32_ps(whole), factor));
  }
#elif defined(__AVX2__)
  const __m256 low = _mm256_loadu_ps(scales), high = _mm256_loadu_ps(scales + 8);
  for (int64_t i = 0; i < steps; i++, from += PM_PANEL, to += PM_PANEL) {
    const __m256i a = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from));
    const __m256i b = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(from + 8)));
    _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_cvtepi32_ps(a), low));
    _mm256_storeu_ps(to + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(b), high));
  }
#else
  for (int64_t i = 0; i < steps; i++, from += PM_PANEL, to += PM_PANEL)
    for (int j = 0; j < PM_PANEL; j++) to[j] = (float)from[j] * scales[j];
#endif
}

void PM_FOR_ISA(pm_widen)(const pm_narrow *weights, int64_t panel, int64_t first, int64_t steps,
                          float *to) {
  const int64_t element = (panel * weights->steps + first) * PM_PANEL, n = steps * PM_PANEL;
  switch (weights->dtype) {
    case PM_F16: pm_halves_load(weights->data + 2 * element, to, n); break;
    case PM_BF16: pm_bfloats_load(weights->data + 2 * element, to, n); break;
    case PM_I8:
      load_scaled(weights->data + element, weights->scales + panel * PM_PANEL, to, steps);
      break;
    default: break;
  }
}
