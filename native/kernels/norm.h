/* The instruction `norm`: numbers are centred and divided by their spread over some axes.

   in: x, scale, bias; scale and bias may be left out; they have x's rank, and its size or 1 along
   each axis. out: y, of x's shape (may be x itself), mean, inverse; the last two may be left out,
   they have 1 along the axes of the statistics.
   params: kind, axes (bits), epsilon (a double).

     layer     (x - mean) / sqrt(variance + epsilon)
     root      x / sqrt(mean of squares + epsilon)
     deviation (x - mean) / (sqrt(variance) + epsilon)
     sizes     x / sum of sizes, or 0
     length    x / sqrt(sum of squares), or 0

   each times the scale, plus the bias. */
#ifndef PM_NORM_H
#define PM_NORM_H

#include "reduce_path.h"

/* In the order of NORM_KINDS in program/lower/normalization.py. */
typedef enum {
  PM_NORM_LAYER,
  PM_NORM_ROOT,
  PM_NORM_DEVIATION,
  PM_NORM_SIZES,
  PM_NORM_LENGTH,
  PM_NORM_KINDS
} pm_norm_kind;

enum { PM_NORM_PARAMS = 3 };

/* Tensors of the paths. */
enum { PM_NORM_X, PM_NORM_Y, PM_NORM_SCALE, PM_NORM_BIAS, PM_NORM_TENSORS };

static inline bool pm_norm_is_centred(pm_norm_kind kind) {
  return kind == PM_NORM_LAYER || kind == PM_NORM_DEVIATION;
}

#endif
