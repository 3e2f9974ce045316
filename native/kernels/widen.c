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

/* Steps that are widened before those of the next panel are fetched. */
#define SOME 16

static void widen_some(const pm_narrow *weights, const uint8_t *from, const float *scales,
                       int64_t steps, float *to) {
  switch (weights->dtype) {
    case PM_F16: pm_halves_load(from, to, steps * PM_PANEL); break;
    case PM_BF16: pm_bfloats_load(from, to, steps * PM_PANEL); break;
    case PM_I8: load_scaled(from, scales, to, steps); break;
    default: break;
  }
}

void PM_FOR_ISA(pm_widen)(const pm_narrow *weights, int64_t panel, int64_t first, int64_t steps,
                          float *to) {
  const int64_t step = PM_PANEL * (weights->dtype == PM_I8 ? 1 : 2), next = weights->steps * step;
  const uint8_t *from = weights->data + (panel * weights->steps + first) * step;
  const float *scales = weights->scales ? weights->scales + panel * PM_PANEL : NULL;
  for (int64_t i = 0; i < steps; i += SOME, from += SOME * step, to += SOME * PM_PANEL) {
    for (int64_t line = 0; line < SOME * step; line += 64) __builtin_prefetch(from + next + line, 0, 2);
    widen_some(weights, from, scales, PM_MIN(SOME, steps - i), to);
  }
}
