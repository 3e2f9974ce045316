/* Between float32 and 8-bit integers.

   quantize: x (float32), scale (float32), zero point (of y's type, or left out), broadcast to y.
   dequantize: x (8 bits or int32), scale (float32), zero point (of x's type, or left out), broadcast to y.
   quantize_dynamic: x (float32), contiguous; y (uint8) of its shape, contiguous, and the scale (float32) and
   zero point (uint8) of the range of x and 0, one element each. No parameters. */
#ifndef PM_QUANTIZE_H
#define PM_QUANTIZE_H

#include "nest.h"

/* Least and largest element of each worker. */
typedef struct {
  _Alignas(PM_ALIGNMENT) float low, high;
} pm_extremes;

#endif
