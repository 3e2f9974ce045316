/* CRC-32 as zlib has it: eight bytes a step by tables, or 64 or 256 by the processor's product
   without carries.

   The second way is that of Gopal et al., "Fast CRC Computation for Generic Polynomials Using
   PCLMULQDQ Instruction" (Intel, 2009): folding by 64 and 16 bytes, then Barrett's reduction. */
#include "pelemay.h"

/* Entry i of a table from those of the powers of two: the checksum is linear. */
#define BIT(i, b, v) ((i) >> (b)&1 ? v : 0u)
#define ENTRY(i, a, b, c, d, e, f, g, h) \
  BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ BIT(i, 4, e) ^ BIT(i, 5, f) ^ BIT(i, 6, g) ^ \
      BIT(i, 7, h)
#define FOUR(i, ...) \
  ENTRY(i, __VA_ARGS__), ENTRY(i + 1, __VA_ARGS__), ENTRY(i + 2, __VA_ARGS__), ENTRY(i + 3, __VA_ARGS__)
#define SIXTEEN(i, ...) \
  FOUR(i, __VA_ARGS__), FOUR(i + 4, __VA_ARGS__), FOUR(i + 8, __VA_ARGS__), FOUR(i + 12, __VA_ARGS__)
#define SIXTY_FOUR(i, ...) \
  SIXTEEN(i, __VA_ARGS__), SIXTEEN(i + 16, __VA_ARGS__), SIXTEEN(i + 32, __VA_ARGS__), \
      SIXTEEN(i + 48, __VA_ARGS__)
#define ALL(...) \
  SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), SIXTY_FOUR(128, __VA_ARGS__), \
      SIXTY_FOUR(192, __VA_ARGS__)

/* tables[k][i]: what byte i becomes when k zero bytes come after it. */
static const uint32_t tables[8][256] = {
    {ALL(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190, 0xedb88320)},
    {ALL(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05, 0x3b83984b)},
    {ALL(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0, 0xe1351b80)},
    {ALL(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d, 0xed59b63b)},
    {ALL(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849, 0xb1e6b092)},
    {ALL(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c, 0x1eb014d8)},
    {ALL(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579, 0x8816eaf2)},
    {ALL(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed, 0x533b85da)},
};

static uint32_t by_tables(uint32_t crc, const uint8_t *bytes, size_t nbytes) {
  for (; nbytes >= 8; bytes += 8, nbytes -= 8) {
    crc ^= bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    crc = tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^ tables[5][crc >> 16 & 255] ^ tables[4][crc >> 24] ^
          tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^ tables[0][bytes[7]];
  }
  for (; nbytes; bytes++, nbytes--) crc = (crc >> 8) ^ tables[0][(crc ^ *bytes) & 255];
  return crc;
}

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

#define FOLDING __attribute__((target("pclmul,sse4.1")))

/* To ask the processor takes 27 microseconds in a virtual machine. */
#define WORTH_ASKING (1 << 15)

typedef enum { UNKNOWN, BYTES, NARROW, WIDE } way;

/* Whether the system keeps wide registers, all of them. */
static bool keeps_wide(void) {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 0xe6) == 0xe6;
}

static way find_way(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_PCLMUL) || !(c & bit_SSE4_1)) return BYTES;
  if (!(c & bit_OSXSAVE) || !keeps_wide() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return NARROW;
  return (b & bit_AVX512F) && (c & bit_VPCLMULQDQ) ? WIDE : NARROW;
}

static way best_way(void) {
  static _Atomic way known;
  if (known == UNKNOWN) known = find_way();
  return known;
}

FOLDING static inline __m128i at(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)(const void *)bytes); }

/* x moved on by as many bytes as the factors say, and what comes there. */
FOLDING static inline __m128i fold(__m128i x, __m128i factors, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(x, factors, 0x00), high = _mm_clmulepi64_si128(x, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

FOLDING static uint32_t reduce(__m128i x, __m128i factors) {
  const __m128i mask = _mm_setr_epi32(~0, 0, ~0, 0);
  x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, factors, 0x10));
  const __m128i last = _mm_set_epi64x(0, 0x163cd6124);
  x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, mask), last, 0x00));
  const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
  __m128i q = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(x, mask), barrett, 0x10), mask);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, _mm_clmulepi64_si128(q, barrett, 0x00)), 1);
}

/* What is left of both ways: parts of 16 bytes, and a multiple of 16 after them. */
FOLDING static uint32_t fold_rest(const __m128i *parts, int count, const uint8_t *bytes, size_t nbytes) {
  const __m128i by_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  __m128i x = parts[0];
  for (int i = 1; i < count; i++) x = fold(x, by_16, parts[i]);
  for (; nbytes; bytes += 16, nbytes -= 16) x = fold(x, by_16, at(bytes));
  return reduce(x, by_16);
}

/* nbytes is a multiple of 16, at least 64. */
FOLDING static uint32_t by_folding(uint32_t crc, const uint8_t *bytes, size_t nbytes) {
  const __m128i by_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  __m128i x0 = _mm_xor_si128(at(bytes), _mm_cvtsi32_si128((int)crc));
  __m128i x1 = at(bytes + 16), x2 = at(bytes + 32), x3 = at(bytes + 48);
  for (bytes += 64, nbytes -= 64; nbytes >= 64; bytes += 64, nbytes -= 64) {
    x0 = fold(x0, by_64, at(bytes));
    x1 = fold(x1, by_64, at(bytes + 16));
    x2 = fold(x2, by_64, at(bytes + 32));
    x3 = fold(x3, by_64, at(bytes + 48));
  }
  const __m128i parts[] = {x0, x1, x2, x3};
  return fold_rest(parts, 4, bytes, nbytes);
}

#define FOLDING_WIDE __attribute__((target("pclmul,sse4.1,avx512f,vpclmulqdq")))

FOLDING_WIDE static inline __m512i fold_wide(__m512i x, __m512i factors, __m512i next) {
  const __m512i low = _mm512_clmulepi64_epi128(x, factors, 0x00), high = _mm512_clmulepi64_epi128(x, factors, 0x11);
  return _mm512_xor_si512(_mm512_xor_si512(low, high), next);
}

/* nbytes is a multiple of 16, at least 256. */
FOLDING_WIDE static uint32_t by_folding_wide(uint32_t crc, const uint8_t *bytes, size_t nbytes) {
  const __m512i by_256 = _mm512_broadcast_i32x4(_mm_set_epi64x(0x1322d1430, 0x11542778a));
  const __m512i begin = _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)crc));
  __m512i x[4];
  for (int i = 0; i < 4; i++) x[i] = _mm512_loadu_si512(bytes + 64 * i);
  x[0] = _mm512_xor_si512(x[0], begin);
  for (bytes += 256, nbytes -= 256; nbytes >= 256; bytes += 256, nbytes -= 256)
    for (int i = 0; i < 4; i++) x[i] = fold_wide(x[i], by_256, _mm512_loadu_si512(bytes + 64 * i));
  __m128i parts[16];
  for (int i = 0; i < 4; i++) _mm512_storeu_si512(&parts[4 * i], x[i]);
  return fold_rest(parts, 16, bytes, nbytes);
}
#endif

uint32_t pm_crc32(uint32_t crc, const uint8_t *bytes, size_t nbytes) {
  crc = ~crc;
#ifdef FOLDING
  const way best = nbytes < WORTH_ASKING ? BYTES : best_way();
  if (best != BYTES) {
    const size_t whole = nbytes / 16 * 16;
    crc = best == WIDE ? by_folding_wide(crc, bytes, whole) : by_folding(crc, bytes, whole);
    bytes += whole, nbytes -= whole;
  }
#endif
  return ~by_tables(crc, bytes, nbytes);
}
