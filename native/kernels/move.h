/* Elements of any type, moved as they are. */
#ifndef PM_MOVE_H
#define PM_MOVE_H

#include <stdint.h>
#include <string.h>

/* One element of `size` bytes. */
static inline void pm_move_one(uint8_t *to, const uint8_t *from, int64_t size) {
  uint64_t bits;
  switch (size) {
    case 1: memcpy(&bits, from, 1), memcpy(to, &bits, 1); break;
    case 2: memcpy(&bits, from, 2), memcpy(to, &bits, 2); break;
    case 4: memcpy(&bits, from, 4), memcpy(to, &bits, 4); break;
    default: memcpy(&bits, from, 8), memcpy(to, &bits, 8); break;
  }
}

#define PM_MOVE_STRIDED(bits) \
  static inline void pm_move_##bits(uint8_t *to, int64_t to_step, const uint8_t *from, \
                                    int64_t from_step, int64_t n) { \
    for (int64_t i = 0; i < n; i++) { \
      uint##bits##_t x; \
      memcpy(&x, from + i * from_step, sizeof x); \
      memcpy(to + i * to_step, &x, sizeof x); \
    } \
  }

PM_MOVE_STRIDED(8)
PM_MOVE_STRIDED(16)
PM_MOVE_STRIDED(32)
PM_MOVE_STRIDED(64)

/* `n` elements at equal steps, one after the other. */
static inline void pm_move_steps(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step,
                                 int64_t size, int64_t n) {
  switch (size) {
    case 1: pm_move_8(to, to_step, from, from_step, n); break;
    case 2: pm_move_16(to, to_step, from, from_step, n); break;
    case 4: pm_move_32(to, to_step, from, from_step, n); break;
    default: pm_move_64(to, to_step, from, from_step, n); break;
  }
}

/* A few bytes, up to 64, without a call. */
static inline void pm_move_short(uint8_t *to, const uint8_t *from, int64_t bytes) {
  uint8_t room[64];
  const int64_t half = bytes >= 32 ? 32 : bytes >= 16 ? 16 : bytes >= 8 ? 8 : bytes >= 4 ? 4 : 0;
  switch (half) {
    case 32: memcpy(room, from, 32), memcpy(room + 32, from + bytes - 32, 32); break;
    case 16: memcpy(room, from, 16), memcpy(room + 16, from + bytes - 16, 16); break;
    case 8: memcpy(room, from, 8), memcpy(room + 8, from + bytes - 8, 8); break;
    case 4: memcpy(room, from, 4), memcpy(room + 4, from + bytes - 4, 4); break;
    default:
      for (int64_t i = 0; i < bytes; i++) room[i] = from[i];
      for (int64_t i = 0; i < bytes; i++) to[i] = room[i];
  }
  switch (half) {
    case 32: memcpy(to, room, 32), memcpy(to + bytes - 32, room + 32, 32); break;
    case 16: memcpy(to, room, 16), memcpy(to + bytes - 16, room + 16, 16); break;
    case 8: memcpy(to, room, 8), memcpy(to + bytes - 8, room + 8, 8); break;
    case 4: memcpy(to, room, 4), memcpy(to + bytes - 4, room + 4, 4); break;
    default: break;
  }
}

static inline void pm_move_bytes(uint8_t *to, const uint8_t *from, int64_t bytes) {
  if (bytes <= 64)
    pm_move_short(to, from, bytes);
  else
    memmove(to, from, (size_t)bytes);
}

/* `n` elements at equal steps; in one go where they lie together. */
static inline void pm_move_row(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step,
                               int64_t size, int64_t n) {
  if ((to_step == size && from_step == size) || n == 1)
    pm_move_bytes(to, from, n * size);
  else
    pm_move_steps(to, to_step, from, from_step, size, n);
}

#endif
