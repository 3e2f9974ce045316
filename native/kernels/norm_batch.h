/* The instruction `batch_norm`: numbers are centred and divided by spreads that are given.

   in: x, scale, bias, mean, variance; the last four have x's type and rank, and its size or 1 along
   each axis. out: y, of x's type and shape; may be x itself.
   params: epsilon (a double).
   y = (x - mean) * (scale / sqrt(variance + epsilon)) + bias */
#ifndef PM_NORM_BATCH_H
#define PM_NORM_BATCH_H

#include "reduce_path.h"

enum { PM_BATCH_X, PM_BATCH_Y, PM_BATCH_SCALE, PM_BATCH_BIAS, PM_BATCH_MEAN, PM_BATCH_VARIANCE, PM_BATCH_TENSORS };

enum { PM_BATCH_PARAMS = 1 };

#endif
