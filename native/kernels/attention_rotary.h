/* The instruction `rotary`: pairs of numbers turned by angles that grow with the position.

   in: x (N, H, T, S); cosines and sines (float32): (N or 1, T, R / 2), or (P, R / 2) where places are
   given; places (int64, N or 1, T), rows of the cosines and sines, which may be left out.
   out: y, of x's shape. All have any strides.
   params: R, how many numbers of S are turned; whether pairs are neighbours, or half of R apart. */
#ifndef PM_ATTENTION_ROTARY_H
#define PM_ATTENTION_ROTARY_H

#include "kernel.h"

enum { PM_ROTARY_PARAMS = 2 };

#endif
