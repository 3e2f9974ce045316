/* Vectors of the instruction set that this file is compiled for, through GCC's vector extensions.

   PM_VL floats make a vector: 16 for AVX-512, 8 for AVX2, 4 for SSE2, NEON and the scalar build,
   which uses no instruction of the machine by name (PM_SCALAR). */
#ifndef PM_VEC_H
#define PM_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define PM_VL 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define PM_VL 8
#elif defined(__SSE2__) && !defined(PM_SCALAR)
#include <emmintrin.h>
#define PM_VL 4
#elif defined(__ARM_NEON) && !defined(PM_SCALAR)
#include <arm_neon.h>
#define PM_VL 4
#else
#define PM_VL 4
#endif

#define PM_INLINE static inline __attribute__((always_inline))
#define PM_UNROLL _Pragma("GCC unroll 32")

typedef float pm_vf __attribute__((vector_size(PM_VL * 4)));
typedef int32_t pm_vi __attribute__((vector_size(PM_VL * 4)));
typedef float pm_vf_any __attribute__((vector_size(PM_VL * 4), aligned(4), may_alias));

PM_INLINE pm_vf pm_load(const float *p) { return *(const pm_vf_any *)p; }
PM_INLINE void pm_store(float *p, pm_vf v) { *(pm_vf_any *)p = v; }
PM_INLINE pm_vf pm_splat(float x) { return x - (pm_vf){0}; }

/* `n` < PM_VL floats, the rest zero; reads and writes nothing beyond them. */
PM_INLINE pm_vf pm_load_some(const float *p, int64_t n) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  float lanes[PM_VL] = {0};
  memcpy(lanes, p, (size_t)n * sizeof(float));
  return pm_load(lanes);
#endif
}

PM_INLINE void pm_store_some(float *p, pm_vf v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  float lanes[PM_VL];
  pm_store(lanes, v);
  memcpy(p, lanes, (size_t)n * sizeof(float));
#endif
}

PM_INLINE pm_vf pm_select(pm_vi mask, pm_vf yes, pm_vf no) {
  return (pm_vf)((mask & (pm_vi)yes) | (~mask & (pm_vi)no));
}

/* The larger of each pair; `b` where either is not a number. */
PM_INLINE pm_vf pm_vmax(pm_vf a, pm_vf b) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (pm_vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__) && !defined(PM_SCALAR)
  return (pm_vf)_mm_max_ps((__m128)a, (__m128)b);
#elif defined(__ARM_NEON) && !defined(PM_SCALAR)
  return (pm_vf)vbslq_f32(vcgtq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b);
#else
  return pm_select(a > b, a, b);
#endif
}

PM_INLINE pm_vf pm_vmin(pm_vf a, pm_vf b) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (pm_vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__) && !defined(PM_SCALAR)
  return (pm_vf)_mm_min_ps((__m128)a, (__m128)b);
#elif defined(__ARM_NEON) && !defined(PM_SCALAR)
  return (pm_vf)vbslq_f32(vcltq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b);
#else
  return pm_select(a < b, a, b);
#endif
}

#endif
