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

#endif
