/* Halves (IEEE binary16) and bfloat16, as bits, to floats and back; rounded to nearest, ties to even.

   Without branches, so that loops over them become vector code. */
#ifndef PM_HALF_H
#define PM_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t pm_float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float pm_float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline float pm_from_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = (uint32_t)(half & 0x7fffu) << 13;
  /* The product with 2^112 moves the exponent, of subnormals too. */
  const uint32_t finite = pm_float_bits(pm_float_of(rest) * 0x1p112f);
  return pm_float_of(sign | (rest >= 0x0f800000u ? rest | 0x7f800000u : finite));
}

static inline uint16_t pm_to_half(float x) {
  const uint32_t bits = pm_float_bits(x), size = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  /* 0.5 + x has x's value as a half in its last bits, if x is below the least normal half. */
  const uint32_t small = pm_float_bits(pm_float_of(size) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
  const uint32_t large = size > 0x7f800000u ? 0x7e00u | (size >> 13 & 0x3ffu) : 0x7c00u;
  const uint32_t half = size < 0x38800000u ? small : normal;
  return (uint16_t)(sign | (size >= 0x477ff000u ? large : half));
}

static inline float pm_from_bfloat(uint16_t bits) { return pm_float_of((uint32_t)bits << 16); }

static inline uint16_t pm_to_bfloat(float x) {
  const uint32_t bits = pm_float_bits(x), size = bits & 0x7fffffffu;
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return (uint16_t)(size > 0x7f800000u ? (bits >> 16 & 0x8000u) | 0x7fc0u : rounded);
}

/* A float whose rounding to a half is that of x: to odd, with the last bit standing for what is lost. */
static inline float pm_to_odd(double x) {
  const float near = (float)x;
  uint32_t bits = pm_float_bits(near);
  if ((double)near == x || x != x || (bits & 0x7fffffffu) == 0x7f800000u) return near;
  const double size = x < 0 ? -x : x, near_size = near < 0 ? -(double)near : (double)near;
  if (near_size > size) bits--;
  return pm_float_of(bits | 1u);
}

#endif
