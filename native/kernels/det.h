/* The instruction `det`: determinants of square matrices.

   in: x (..., n, n), of two axes at least. out: y (..., 1, 1), of x's type, float32 or float64. */
#ifndef PM_DET_H
#define PM_DET_H

#include "reduce_path.h"

#endif
