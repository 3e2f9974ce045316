/* The instruction `dft`: Fourier's transform of lines.

   in: x (..., n, 1 or 2): real, or real and imaginary parts; a window (m), which may be left out, whose
   numbers are factors of the line's. out: y (..., k, 1 or 2). Other axes are the same; the type is
   float32 or float64. A line is cut or filled with zeros to the length of the transform; k is at most that.
   params: length, whether it is the inverse (which divides by the length), whether x has the first half
   of a spectrum whose other half is its mirror image. Of y only as many frequencies are made as it
   has, and only real parts if it has one part. */
#ifndef PM_DFT_H
#define PM_DFT_H

#include "reduce_path.h"

enum { PM_DFT_LENGTH, PM_DFT_INVERSE, PM_DFT_HALF, PM_DFT_PARAMS };

/* Doubles for each worker: angles' cosines and sines, and two complex lines. */
enum { PM_DFT_SCRATCH = 6 };

#endif
