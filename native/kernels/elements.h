/* Elements of any type as those of a class that is computed in, and back.

   In: elements at equal steps in memory. Out: the same numbers one after the other, or the reverse.
   What does not fit is defined: integers keep their lowest bits; a float becomes an integer by leaving
   out its fraction, through int64, which has its least number for what is beyond it (through uint64
   from 2^63 on, where the target is uint64); of booleans all but 0 is 1. */
#ifndef PM_ELEMENTS_H
#define PM_ELEMENTS_H

#include <string.h>

#include "../vm/pelemay.h"

typedef enum {
#define PM_CLASS(name, text, type) PM_AS_##name,
#include "classes.def"
#undef PM_CLASS
  PM_CLASS_COUNT
} pm_class;

/* Elements that are converted at a time. */
#define PM_BLOCK 256

/* Room for a block of any class. */
typedef union {
  float f32[PM_BLOCK];
  double f64[PM_BLOCK];
  int64_t i64[PM_BLOCK];
  uint64_t u64[PM_BLOCK];
  _Alignas(64) uint8_t bytes[PM_BLOCK * 8];
} pm_block_room;

size_t pm_class_size(unsigned class);

/* The type whose elements are those of the class as they are. */
unsigned pm_class_dtype(unsigned class);

/* `step` is in bytes and may be 0 or negative. */
void pm_elements_load(unsigned class, unsigned dtype, const uint8_t *from, int64_t step, void *to,
                      int64_t n);
void pm_elements_store(unsigned class, unsigned dtype, const void *from, uint8_t *to, int64_t step,
                       int64_t n);

/* One element, in double precision. */
static inline double pm_element_at(const uint8_t *at, unsigned dtype) {
  if (dtype == PM_F32) {
    float single;
    memcpy(&single, at, sizeof single);
    return single;
  }
  double value;
  pm_elements_load(PM_AS_F64, dtype, at, 0, &value, 1);
  return value;
}

#endif
