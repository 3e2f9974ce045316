/* Elementary functions of a vector of floats, without libm.

   Unless a function says otherwise the relative error is below 5e-7 and not-a-number stays so;
   results that are too large are infinite, too small ones subnormal or zero.
   Polynomials and rational functions are minimax fits made for these intervals. */
#ifndef PM_VMATH_H
#define PM_VMATH_H

#include <float.h>
#include <math.h>

#include "vec.h"

typedef uint32_t pm_vu __attribute__((vector_size(PM_VL * 4)));

/* a * b + c, rounded once where the instruction set can. */
PM_INLINE pm_vf pm_vfma(pm_vf a, pm_vf b, pm_vf c) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (pm_vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__) && !defined(PM_SCALAR)
  return (pm_vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

/* x * a + c with constants a and c. */
PM_INLINE pm_vf pm_vaxpb(pm_vf x, float a, float c) {
  return pm_vfma(x, pm_splat(a), pm_splat(c));
}

/* One step of Horner's rule. */
PM_INLINE pm_vf pm_vstep(pm_vf sum, pm_vf x, float c) { return pm_vfma(sum, x, pm_splat(c)); }

/* `yes` where a < b, else (and for not-a-number) `no`. */
PM_INLINE pm_vf pm_if_less(pm_vf a, pm_vf b, pm_vf yes, pm_vf no) {
#if defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
  return (pm_vf)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
#elif defined(__AVX2__)
  __m256 mask = _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ);
  return (pm_vf)_mm256_blendv_ps((__m256)no, (__m256)yes, mask);
#else
  return pm_select(a < b, yes, no);
#endif
}

/* `yes` where a <= b, else (and for not-a-number) `no`. */
PM_INLINE pm_vf pm_if_less_equal(pm_vf a, pm_vf b, pm_vf yes, pm_vf no) {
#if defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LE_OQ);
  return (pm_vf)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
#elif defined(__AVX2__)
  __m256 mask = _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LE_OQ);
  return (pm_vf)_mm256_blendv_ps((__m256)no, (__m256)yes, mask);
#else
  return pm_select(a <= b, yes, no);
#endif
}

/* `yes` where a == b, else (and for not-a-number) `no`. */
PM_INLINE pm_vf pm_if_equal(pm_vf a, pm_vf b, pm_vf yes, pm_vf no) {
#if defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ);
  return (pm_vf)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
#elif defined(__AVX2__)
  __m256 mask = _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_EQ_OQ);
  return (pm_vf)_mm256_blendv_ps((__m256)no, (__m256)yes, mask);
#else
  return pm_select(a == b, yes, no);
#endif
}

PM_INLINE pm_vf pm_vabs(pm_vf x) {
  return (pm_vf)((pm_vu)x & ((pm_vu){0} + 0x7fffffffu));
}

/* The size of `x` with the sign of `like`. */
PM_INLINE pm_vf pm_vcopysign(pm_vf x, pm_vf like) {
  const pm_vu sign = (pm_vu){0} + 0x80000000u;
  return (pm_vf)(((pm_vu)x & ~sign) | ((pm_vu)like & sign));
}

/* 1, -1 or x itself, which is 0 or not a number. */
PM_INLINE pm_vf pm_vsign(pm_vf x) {
  const pm_vf zero = {0};
  return pm_if_less(zero, x, pm_splat(1.0f), pm_if_less(x, zero, pm_splat(-1.0f), x));
}

PM_INLINE pm_vf pm_vsqrt(pm_vf x) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (pm_vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__) && !defined(PM_SCALAR)
  return (pm_vf)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__) && !defined(PM_SCALAR)
  return (pm_vf)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < PM_VL; i++) x[i] = sqrtf(x[i]);
  return x;
#endif
}

/* The whole number next to x; the even one of two. */
PM_INLINE pm_vf pm_vround(pm_vf x) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (pm_vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  /* From 2^23 on every float is whole, and adding 2^23 rounds those below. */
  const pm_vf whole = pm_splat(8388608.0f), size = pm_vabs(x);
  return pm_if_less(size, whole, pm_vcopysign((size + whole) - whole, x), x);
#endif
}

PM_INLINE pm_vf pm_vfloor(pm_vf x) {
#if defined(__AVX512F__)
  return (pm_vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (pm_vf)_mm256_floor_ps((__m256)x);
#else
  const pm_vf near = pm_vround(x);
  return pm_vcopysign(pm_if_less(x, near, near - 1.0f, near), x);
#endif
}

PM_INLINE pm_vf pm_vceil(pm_vf x) { return -pm_vfloor(-x); }

/* x held between `low` and `high`; `high` wins where they cross. */
PM_INLINE pm_vf pm_vclip(pm_vf x, pm_vf low, pm_vf high) { return pm_vmin(high, pm_vmax(low, x)); }

/* What exp and expm1 share: x = n ln 2 + r with |r| <= ln 2 / 2. Returns exp(r) - 1. */
PM_INLINE pm_vf pm_exp_reduced(pm_vf x, pm_vf *n, pm_vi *whole) {
  /* 1.5 * 2^23: the sum's last bit is worth 1, and its low bits are n in two's complement. */
  const float magic = 12582912.0f;
  const pm_vf sum = pm_vaxpb(x, 1.44269504f, magic);
  *n = sum - magic;
  *whole = (pm_vi)((pm_vu)sum - 0x4b400000u);
  /* ln 2 in two parts; the first has so few bits that n times it is exact. */
  pm_vf r = pm_vfma(*n, pm_splat(-0.693359375f), x);
  r = pm_vfma(*n, pm_splat(2.12194440e-4f), r);
  pm_vf p = pm_splat(0.00138825155f);
  p = pm_vstep(p, r, 0.00836654752f);
  p = pm_vstep(p, r, 0.0416672006f);
  p = pm_vstep(p, r, 0.166665435f);
  p = pm_vstep(p, r, 0.49999997f);
  return pm_vfma(p, r * r, r);
}

PM_INLINE pm_vf pm_power_of_two(pm_vi n) { return (pm_vf)((pm_vu)(n + 127) << 23); }

PM_INLINE pm_vf pm_vexp(pm_vf x) {
  /* Beyond these the result is 0 or infinite. */
  x = pm_vclip(x, pm_splat(-104.0f), pm_splat(89.0f));
  pm_vf n;
  pm_vi whole;
  const pm_vf power = pm_exp_reduced(x, &n, &whole) + 1.0f;
#if defined(__AVX512F__)
  return (pm_vf)_mm512_scalef_ps((__m512)power, (__m512)n);
#else
  const pm_vi half = whole >> 1;
  return power * pm_power_of_two(half) * pm_power_of_two(whole - half);
#endif
}

/* exp(x) - 1 */
PM_INLINE pm_vf pm_vexpm1(pm_vf x) {
  x = pm_vclip(x, pm_splat(-20.0f), pm_splat(89.0f));
  pm_vf n;
  pm_vi whole;
  const pm_vf q = pm_exp_reduced(x, &n, &whole);
  /* 2^n q + (2^n - 1), with 2^n in two factors for 2^128. */
  const pm_vi half = whole >> 1, other = whole - half;
  const pm_vf scale = pm_power_of_two(half);
  return pm_vfma(q, scale, scale - pm_power_of_two(-other)) * pm_power_of_two(other);
}

PM_INLINE pm_vf pm_vlog(pm_vf x) {
  const pm_vf zero = {0};
  const pm_vf small = pm_splat(FLT_MIN);
  const pm_vf normal = pm_if_less(x, small, x * 8388608.0f, x);
  /* x = 2^e m with m from sqrt(1/2) to sqrt(2) */
  const pm_vi e = (pm_vi)((pm_vu)normal - 0x3f3504f3u) >> 23;
  const pm_vf f = (pm_vf)((pm_vu)normal - ((pm_vu)e << 23)) - 1.0f;
  const pm_vf power = __builtin_convertvector(e, pm_vf) - pm_if_less(x, small, zero + 23.0f, zero);
  pm_vf p = pm_splat(-0.0763435066f);
  p = pm_vstep(p, f, 0.127654135f);
  p = pm_vstep(p, f, -0.131620109f);
  p = pm_vstep(p, f, 0.142013714f);
  p = pm_vstep(p, f, -0.166231439f);
  p = pm_vstep(p, f, 0.200012356f);
  p = pm_vstep(p, f, -0.250008255f);
  p = pm_vstep(p, f, 0.333333313f);
  const pm_vf square = f * f;
  pm_vf sum = pm_vfma(power, pm_splat(-2.12194440e-4f), f * square * p);
  sum = pm_vfma(square, pm_splat(-0.5f), sum) + f;
  sum = pm_vfma(power, pm_splat(0.693359375f), sum);
  sum = pm_if_less(x, pm_splat(INFINITY), sum, x);
  sum = pm_if_equal(x, zero, pm_splat(-INFINITY), sum);
  return pm_if_less(x, zero, pm_splat(NAN), sum);
}

/* log(1 + x) */
PM_INLINE pm_vf pm_vlog1p(pm_vf x) {
  const pm_vf u = x + 1.0f;
  /* What u lost when it was rounded. */
  const pm_vf lost = pm_if_less(pm_vabs(x), pm_splat(16777216.0f), x - (u - 1.0f), (pm_vf){0});
  const pm_vf sum = pm_vlog(u);
  return pm_if_equal(u, (pm_vf){0}, sum, sum + lost / u);
}

PM_INLINE pm_vf pm_vtanh(pm_vf x) {
  /* From 10 on the result is 1. */
  const pm_vf size = pm_vmin(pm_splat(10.0f), pm_vabs(x));
  const pm_vf t = pm_vexpm1(size + size);
  return pm_vcopysign(t / (t + 2.0f), x);
}

/* 1 / (1 + exp(-x)) */
PM_INLINE pm_vf pm_vsigmoid(pm_vf x) {
  const pm_vf e = pm_vexp(-pm_vabs(x));
  return pm_if_less(x, (pm_vf){0}, e, pm_splat(1.0f)) / (1.0f + e);
}

/* The error function; beyond 3.92 it is 1. */
PM_INLINE pm_vf pm_verf(pm_vf x) {
  const pm_vf held = pm_vclip(x, pm_splat(-3.925f), pm_splat(3.925f)), s = held * held;
  pm_vf p = pm_splat(2.04596495e-6f);
  p = pm_vstep(p, s, 2.84836191e-4f);
  p = pm_vstep(p, s, 3.77247226e-3f);
  p = pm_vstep(p, s, 5.27690575e-2f);
  p = pm_vstep(p, s, 0.190592706f);
  p = pm_vstep(p, s, 1.12837911f);
  pm_vf q = pm_splat(3.80467354e-5f);
  q = pm_vstep(q, s, 1.16382807e-3f);
  q = pm_vstep(q, s, 1.49830533e-2f);
  q = pm_vstep(q, s, 0.114182197f);
  q = pm_vstep(q, s, 0.502241135f);
  q = pm_vstep(q, s, 1.0f);
  const pm_vf one = pm_splat(1.0f), inside = pm_vclip(held * p / q, -one, one);
  return pm_if_less(pm_splat(3.92f), pm_vabs(x), pm_vcopysign(one, x), inside);
}

#endif
