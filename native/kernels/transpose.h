/* Transposing a part of a matrix: the input is contiguous along one axis, the output along the other.

   In: `na` places along the axis where the input's elements lie one after the other, `nb` along the
   output's, and how many bytes the other matrix moves along each. */
#ifndef PM_TRANSPOSE_H
#define PM_TRANSPOSE_H

#include <stdbool.h>

#include "move.h"
#include "vec.h"

typedef struct {
  const uint8_t *from;
  uint8_t *to;
  int64_t na, nb;
  int64_t from_b; /* bytes between neighbours along b in the input */
  int64_t to_a;   /* bytes between neighbours along a in the output */
} pm_tile;

#define PM_TILE_LOOPS(bits) \
  static void pm_tile_##bits(const pm_tile *t) { \
    for (int64_t a = 0; a < t->na; a++) \
      for (int64_t b = 0; b < t->nb; b++) { \
        uint##bits##_t x; \
        memcpy(&x, t->from + a * (bits / 8) + b * t->from_b, sizeof x); \
        memcpy(t->to + a * t->to_a + b * (bits / 8), &x, sizeof x); \
      } \
  }

PM_TILE_LOOPS(8)
PM_TILE_LOOPS(16)
PM_TILE_LOOPS(32)
PM_TILE_LOOPS(64)

typedef uint32_t pm_v4 __attribute__((vector_size(16)));
typedef uint32_t pm_v4_any __attribute__((vector_size(16), aligned(4), may_alias));

/* GCC before 12 has only its own name for it. */
#if defined(__clang__) || __GNUC__ >= 12
#define PM_SHUFFLE(x, y, a, b, c, d) __builtin_shufflevector(x, y, a, b, c, d)
#else
#define PM_SHUFFLE(x, y, a, b, c, d) __builtin_shuffle(x, y, (pm_v4){a, b, c, d})
#endif

/* Four by four. */
PM_INLINE void pm_transpose_4(const uint8_t *from, int64_t from_b, uint8_t *to, int64_t to_a) {
  const pm_v4 r0 = *(const pm_v4_any *)(const void *)from;
  const pm_v4 r1 = *(const pm_v4_any *)(const void *)(from + from_b);
  const pm_v4 r2 = *(const pm_v4_any *)(const void *)(from + 2 * from_b);
  const pm_v4 r3 = *(const pm_v4_any *)(const void *)(from + 3 * from_b);
  const pm_v4 p = PM_SHUFFLE(r0, r1, 0, 4, 1, 5), q = PM_SHUFFLE(r2, r3, 0, 4, 1, 5);
  const pm_v4 s = PM_SHUFFLE(r0, r1, 2, 6, 3, 7), t = PM_SHUFFLE(r2, r3, 2, 6, 3, 7);
  *(pm_v4_any *)(void *)to = PM_SHUFFLE(p, q, 0, 1, 4, 5);
  *(pm_v4_any *)(void *)(to + to_a) = PM_SHUFFLE(p, q, 2, 3, 6, 7);
  *(pm_v4_any *)(void *)(to + 2 * to_a) = PM_SHUFFLE(s, t, 0, 1, 4, 5);
  *(pm_v4_any *)(void *)(to + 3 * to_a) = PM_SHUFFLE(s, t, 2, 3, 6, 7);
}

/* Sixteen by sixteen: each cache line of both matrices is touched once, and as a whole. Where rows
   are a power of two apart their lines compete for the same few places of the cache. */
PM_INLINE void pm_transpose_16(const uint8_t *from, int64_t from_b, uint8_t *to, int64_t to_a) {
  _Alignas(64) uint8_t room[16 * 64];
  for (int64_t b = 0; b < 16; b += 4)
    for (int64_t a = 0; a < 16; a += 4)
      pm_transpose_4(from + a * 4 + b * from_b, from_b, room + a * 64 + b * 4, 64);
  for (int64_t a = 0; a < 16; a++) memcpy(to + a * to_a, room + a * 64, 64);
}

static void pm_tile_fast(const pm_tile *t) {
  const int64_t a4 = t->na / 4 * 4, b4 = t->nb / 4 * 4;
  const bool competes = t->from_b % 2048 == 0 || t->to_a % 2048 == 0;
  for (int64_t a = 0; a < a4; a += 16) {
    int64_t b = 0;
    for (; competes && a + 16 <= a4 && b + 16 <= b4; b += 16)
      pm_transpose_16(t->from + a * 4 + b * t->from_b, t->from_b, t->to + a * t->to_a + b * 4, t->to_a);
    for (; b < b4; b += 4)
      for (int64_t i = a; i < a4 && i < a + 16; i += 4)
        pm_transpose_4(t->from + i * 4 + b * t->from_b, t->from_b, t->to + i * t->to_a + b * 4, t->to_a);
  }
  const pm_tile right = {t->from + b4 * t->from_b, t->to + b4 * 4, a4, t->nb - b4, t->from_b, t->to_a};
  const pm_tile below = {t->from + a4 * 4, t->to + a4 * t->to_a, t->na - a4, t->nb, t->from_b, t->to_a};
  pm_tile_32(&right);
  pm_tile_32(&below);
}

/* Few places along b, such as the colours of an image, that lie together in the output. */
#define PM_TILE_JOIN(count) \
  static void pm_tile_join_##count(const pm_tile *t) { \
    for (int64_t a = 0; a < t->na; a++) \
      for (int b = 0; b < count; b++) { \
        uint32_t x; \
        memcpy(&x, t->from + a * 4 + b * t->from_b, 4); \
        memcpy(t->to + a * 4 * count + b * 4, &x, 4); \
      } \
  }

/* Few places along a, that lie together in the input. */
#define PM_TILE_PART(count) \
  static void pm_tile_part_##count(const pm_tile *t) { \
    for (int64_t b = 0; b < t->nb; b++) \
      for (int a = 0; a < count; a++) { \
        uint32_t x; \
        memcpy(&x, t->from + a * 4 + b * 4 * count, 4); \
        memcpy(t->to + a * t->to_a + b * 4, &x, 4); \
      } \
  }

PM_TILE_JOIN(2)
PM_TILE_JOIN(3)
PM_TILE_PART(2)
PM_TILE_PART(3)

static void pm_tile_words(const pm_tile *t) {
  if (t->nb == 3 && t->to_a == 12)
    pm_tile_join_3(t);
  else if (t->nb == 2 && t->to_a == 8)
    pm_tile_join_2(t);
  else if (t->na == 3 && t->from_b == 12)
    pm_tile_part_3(t);
  else if (t->na == 2 && t->from_b == 8)
    pm_tile_part_2(t);
  else
    pm_tile_fast(t);
}

static void pm_transpose_tile(const pm_tile *t, int64_t size) {
  switch (size) {
    case 1: pm_tile_8(t); break;
    case 2: pm_tile_16(t); break;
    case 4: pm_tile_words(t); break;
    default: pm_tile_64(t); break;
  }
}

#endif
