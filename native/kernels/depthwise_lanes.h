/* For each channel of a vector the channel number `i` of its group. */
#ifndef PM_DEPTHWISE_LANES_H
#define PM_DEPTHWISE_LANES_H

#include "vec.h"

#define AT(j) ((j) / S * S + I)
#if PM_VL == 16
#define LANES \
  AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7), AT(8), AT(9), AT(10), AT(11), AT(12), \
      AT(13), AT(14), AT(15)
#elif PM_VL == 8
#define LANES AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7)
#else
#define LANES AT(0), AT(1), AT(2), AT(3)
#endif

/* `spread` channels make a group, and no more than a vector; both numbers are constants. */
PM_INLINE pm_vf pm_lanes(const int spread, const int i, pm_vf x) {
#define CASE(s, n) \
  case 16 * s + n: { \
    enum { S = s, I = n }; \
    return __builtin_shufflevector(x, x, LANES); \
  }
  switch (16 * spread + i) {
    CASE(2, 0) CASE(2, 1)
    CASE(4, 0) CASE(4, 1) CASE(4, 2) CASE(4, 3)
#if PM_VL >= 8
    CASE(8, 0) CASE(8, 1) CASE(8, 2) CASE(8, 3) CASE(8, 4) CASE(8, 5) CASE(8, 6) CASE(8, 7)
#endif
    default: return x;
  }
#undef CASE
}

#undef AT
#undef LANES

#endif
