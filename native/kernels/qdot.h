/* Products of 8-bit integers, four at a time, added up in lanes of int32: the one step that the
   integer kernels are made of. Exact: no sum in between saturates; one beyond 32 bits wraps around.

   A lane holds four steps of the sum of one column. Weights are int8. Data is uint8, or int8 where
   the machine multiplies only numbers with a sign: PM_QFLIP is what the bits of uint8 are changed
   with to be that form. Rows of data lie as they are, or, where the machine multiplies int16, in
   PM_QWIDE bytes for each: of four steps the first and third, then the second and fourth. */
#ifndef PM_QDOT_H
#define PM_QDOT_H

#include "kernel.h"
#include "vec.h"

typedef uint32_t pm_qv __attribute__((vector_size(PM_VL * 4)));
typedef uint32_t pm_qv_any __attribute__((vector_size(PM_VL * 4), aligned(1), may_alias));

PM_INLINE pm_qv pm_qload(const void *p) { return *(const pm_qv_any *)p; }
PM_INLINE void pm_qstore(void *p, pm_qv v) { *(pm_qv_any *)p = v; }
PM_INLINE pm_qv pm_qsplat(uint32_t x) { return x - (pm_qv){0}; }

#if defined(__SSE2__) && !defined(PM_SCALAR)
#if defined(__AVX512F__)
#define PM_Q(name) _mm512_##name
typedef __m512i pm_qraw;
#elif defined(__AVX2__)
#define PM_Q(name) _mm256_##name
typedef __m256i pm_qraw;
#else
#define PM_Q(name) _mm_##name
typedef __m128i pm_qraw;
#endif
#endif

/* A vector of weights, one of data, and a sum, as the step below takes them. */
#if defined(__AVX512VNNI__) && !defined(PM_SCALAR)
#define PM_QFLIP 0x00u
typedef pm_qv pm_qw, pm_qx, pm_qsum;
PM_INLINE pm_qw pm_qweights(pm_qv w) { return w; }
PM_INLINE pm_qx pm_qdata(pm_qv x) { return x; }
PM_INLINE pm_qv pm_qtotal(pm_qsum sum) { return sum; }
PM_INLINE pm_qsum pm_qdot(pm_qsum sum, pm_qx x, pm_qw w) {
  return (pm_qv)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
}

#elif defined(__SSE2__) && !defined(PM_SCALAR)
/* Even and odd steps apart, as int16. */
#define PM_QFLIP 0x00u
#define PM_QWIDE 2
typedef struct {
  pm_qraw even, odd;
} pm_qw, pm_qx;
typedef pm_qv pm_qsum;
PM_INLINE pm_qw pm_qweights(pm_qv w) {
  return (pm_qw){PM_Q(srai_epi16)(PM_Q(slli_epi16)((pm_qraw)w, 8), 8), PM_Q(srai_epi16)((pm_qraw)w, 8)};
}
PM_INLINE pm_qx pm_qdata(pm_qv x) {
  return (pm_qx){(pm_qraw)(x & 0x00ff00ffu), PM_Q(srli_epi16)((pm_qraw)x, 8)};
}
PM_INLINE pm_qv pm_qtotal(pm_qsum sum) { return sum; }
PM_INLINE pm_qsum pm_qdot(pm_qsum sum, pm_qx x, pm_qw w) {
  return sum + (pm_qv)PM_Q(madd_epi16)(x.even, w.even) + (pm_qv)PM_Q(madd_epi16)(x.odd, w.odd);
}

#elif defined(__ARM_FEATURE_DOTPROD) && !defined(PM_SCALAR)
#define PM_QFLIP 0x80u
typedef pm_qv pm_qw, pm_qx, pm_qsum;
PM_INLINE pm_qw pm_qweights(pm_qv w) { return w; }
PM_INLINE pm_qx pm_qdata(pm_qv x) { return x; }
PM_INLINE pm_qv pm_qtotal(pm_qsum sum) { return sum; }
PM_INLINE pm_qsum pm_qdot(pm_qsum sum, pm_qx x, pm_qw w) {
  return (pm_qv)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w);
}

#elif defined(__ARM_NEON) && !defined(PM_SCALAR)
/* Pairs of steps are added up on their own: of two columns each. */
#define PM_QFLIP 0x80u
typedef pm_qv pm_qw, pm_qx;
typedef struct {
  int32x4_t low, high;
} pm_qsum;
PM_INLINE pm_qw pm_qweights(pm_qv w) { return w; }
PM_INLINE pm_qx pm_qdata(pm_qv x) { return x; }
PM_INLINE pm_qv pm_qtotal(pm_qsum sum) { return (pm_qv)vpaddq_s32(sum.low, sum.high); }
PM_INLINE pm_qsum pm_qdot(pm_qsum sum, pm_qx x, pm_qw w) {
  const int8x16_t a = (int8x16_t)x, b = (int8x16_t)w;
  return (pm_qsum){vpadalq_s16(sum.low, vmull_s8(vget_low_s8(a), vget_low_s8(b))),
                   vpadalq_s16(sum.high, vmull_s8(vget_high_s8(a), vget_high_s8(b)))};
}

#else
#define PM_QFLIP 0x00u
typedef pm_qv pm_qw, pm_qx, pm_qsum;
PM_INLINE pm_qw pm_qweights(pm_qv w) { return w; }
PM_INLINE pm_qx pm_qdata(pm_qv x) { return x; }
PM_INLINE pm_qv pm_qtotal(pm_qsum sum) { return sum; }
PM_INLINE pm_qsum pm_qdot(pm_qsum sum, pm_qx x, pm_qw w) {
  PM_UNROLL for (int i = 0; i < 32; i += 8)
    sum += (x >> i & 0xffu) * (pm_qv)((pm_vi)(w << (24 - i)) >> 24);
  return sum;
}
#endif

#ifndef PM_QWIDE
#define PM_QWIDE 1
#endif

PM_INLINE pm_qv pm_qword(const uint8_t *p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return pm_qsplat(word);
}

/* Four steps of a row of data, in all lanes. */
PM_INLINE pm_qx pm_qspread(const uint8_t *p) {
#if PM_QWIDE == 2
  return (pm_qx){(pm_qraw)pm_qword(p), (pm_qraw)pm_qword(p + 4)};
#else
  return pm_qdata(pm_qword(p));
#endif
}

/* Four vectors of bytes, one for each step, to lanes of four steps. Of each 16 bytes that lie together
   in a vector, vector i of the result has those from 4 i on. */
PM_INLINE void pm_qmix(const pm_qv *steps, pm_qv *lanes) {
#if defined(__SSE2__) && !defined(PM_SCALAR)
  const pm_qraw a = PM_Q(unpacklo_epi8)((pm_qraw)steps[0], (pm_qraw)steps[1]);
  const pm_qraw b = PM_Q(unpackhi_epi8)((pm_qraw)steps[0], (pm_qraw)steps[1]);
  const pm_qraw c = PM_Q(unpacklo_epi8)((pm_qraw)steps[2], (pm_qraw)steps[3]);
  const pm_qraw d = PM_Q(unpackhi_epi8)((pm_qraw)steps[2], (pm_qraw)steps[3]);
  lanes[0] = (pm_qv)PM_Q(unpacklo_epi16)(a, c), lanes[1] = (pm_qv)PM_Q(unpackhi_epi16)(a, c);
  lanes[2] = (pm_qv)PM_Q(unpacklo_epi16)(b, d), lanes[3] = (pm_qv)PM_Q(unpackhi_epi16)(b, d);
#elif defined(__aarch64__) && !defined(PM_SCALAR)
  const uint8x16x2_t a = vzipq_u8((uint8x16_t)steps[0], (uint8x16_t)steps[1]);
  const uint8x16x2_t c = vzipq_u8((uint8x16_t)steps[2], (uint8x16_t)steps[3]);
  const uint16x8x2_t low = vzipq_u16((uint16x8_t)a.val[0], (uint16x8_t)c.val[0]);
  const uint16x8x2_t high = vzipq_u16((uint16x8_t)a.val[1], (uint16x8_t)c.val[1]);
  lanes[0] = (pm_qv)low.val[0], lanes[1] = (pm_qv)low.val[1];
  lanes[2] = (pm_qv)high.val[0], lanes[3] = (pm_qv)high.val[1];
#else
  PM_UNROLL for (int i = 0; i < 4; i++) {
    uint8_t bytes[PM_VL * 4];
    PM_UNROLL for (int j = 0; j < PM_VL * 4; j++)
      bytes[j] = ((const uint8_t *)&steps[j % 4])[i * 4 + j / 4];
    lanes[i] = pm_qload(bytes);
  }
#endif
}

/* What the bits of a byte of data are changed with for the kernels: 0 where they are right. */
static inline uint8_t pm_qflip(unsigned dtype) {
  return (uint8_t)(dtype == PM_I8 ? PM_QFLIP ^ 0x80u : PM_QFLIP);
}

/* The number that a byte of data stands for after that. */
static inline int32_t pm_qnumber(uint8_t flipped) {
  return PM_QFLIP ? (int32_t)(int8_t)flipped : (int32_t)flipped;
}

/* From a zero point of the data's type to that number. */
static inline int32_t pm_qzero(unsigned dtype, int64_t zero) {
  return pm_qnumber((uint8_t)((uint8_t)zero ^ pm_qflip(dtype)));
}

#endif
