/* From float32 to 8-bit integers: rounded half to even, held within bounds. */
#ifndef PM_QROUND_H
#define PM_QROUND_H

#include <stdbool.h>

#include "vec.h"

/* The nearest integers, ties to even, of numbers between -2^22 and 2^22. */
PM_INLINE pm_vi pm_qround(pm_vf x) {
#if defined(__AVX512F__)
  return (pm_vi)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX2__)
  return (pm_vi)_mm256_cvtps_epi32((__m256)x);
#elif defined(__SSE2__) && !defined(PM_SCALAR)
  return (pm_vi)_mm_cvtps_epi32((__m128)x);
#elif defined(__aarch64__) && !defined(PM_SCALAR)
  return (pm_vi)vcvtnq_s32_f32((float32x4_t)x);
#else
  /* From 1.5 * 2^23 on there are no fractions. */
  return (pm_vi)(x + 12582912.0f) - 0x4b400000;
#endif
}

typedef uint32_t pm_vu __attribute__((vector_size(PM_VL * 4)));
typedef uint8_t pm_qbytes __attribute__((vector_size(PM_VL)));

/* The lowest bytes of integers. */
PM_INLINE pm_qbytes pm_qlowest(pm_vi v) {
#if PM_VL == 8
  const __m256i places = _mm256_set1_epi32(0x0c080400), ends = _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4);
  const __m256i lanes = _mm256_shuffle_epi8((__m256i)v, places);
  const int64_t word = _mm_cvtsi128_si64(_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(lanes, ends)));
  pm_qbytes bytes;
  memcpy(&bytes, &word, sizeof bytes);
  return bytes;
#elif defined(__SSE2__) && !defined(PM_SCALAR) && PM_VL == 4
  const __m128i low = _mm_and_si128((__m128i)v, _mm_set1_epi32(0xff));
  const __m128i halves = _mm_packs_epi32(low, low);
  const int32_t word = _mm_cvtsi128_si32(_mm_packus_epi16(halves, halves));
  pm_qbytes bytes;
  memcpy(&bytes, &word, sizeof bytes);
  return bytes;
#else
  return __builtin_convertvector(v, pm_qbytes);
#endif
}

PM_INLINE void pm_qstore_bytes(uint8_t *to, pm_vi v, int64_t n) {
  const pm_qbytes bytes = pm_qlowest(v);
  if (n >= PM_VL)
    memcpy(to, &bytes, sizeof bytes);
  else
    memcpy(to, &bytes, (size_t)n);
}

/* The lowest bytes of four vectors of integers between -128 and 255, which pm_qmix() made: `n` of them,
   in their order. Without a sign they are between 0 and 255, with one between -128 and 127. */
PM_INLINE void pm_qstore_mixed(uint8_t *to, const pm_vu *v, bool is_signed, int64_t n) {
#if PM_VL == 16
  const __m512i a = _mm512_packs_epi32((__m512i)v[0], (__m512i)v[1]);
  const __m512i b = _mm512_packs_epi32((__m512i)v[2], (__m512i)v[3]);
  const __m512i bytes = is_signed ? _mm512_packs_epi16(a, b) : _mm512_packus_epi16(a, b);
  _mm512_mask_storeu_epi8(to, n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1, bytes);
#elif PM_VL == 8
  const __m256i a = _mm256_packs_epi32((__m256i)v[0], (__m256i)v[1]);
  const __m256i b = _mm256_packs_epi32((__m256i)v[2], (__m256i)v[3]);
  const __m256i bytes = is_signed ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b);
  memcpy(to, &bytes, n >= 32 ? 32 : (size_t)n);
#else
  (void)is_signed;
  for (int i = 0; i < 4 && i * 4 < n; i++) pm_qstore_bytes(to + i * 4, (pm_vi)v[i], n - i * 4);
#endif
}

/* Floats held within bounds and rounded, plus a zero point: `n` bytes of them, at most a vector.
   What is not a number becomes the lower bound. */
PM_INLINE void pm_qstore_rounded(uint8_t *to, pm_vf x, float low, float high, int32_t zero, int64_t n) {
  const pm_vf held = pm_vmin(pm_vmax(x, pm_splat(low)), pm_splat(high));
  pm_qstore_bytes(to, pm_qround(held) + zero, n);
}

#endif
