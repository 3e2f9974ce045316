/* Images read between their pixels.

   grid_sample: inputs x (batch, channels, sizes...) and places (batch, points, axes), from -1 to 1 along
     each of one to three axes, last axis first. The output is (batch, channels, points). Parameters:
     mode, padding, whether -1 and 1 are the centres of the outermost pixels.
   affine_grid: inputs matrices (batch, axes, axes + 1) and for each axis the centres of its pixels, a
     vector of float64. The output is (batch, sizes..., axes). */
#ifndef PM_SAMPLE_H
#define PM_SAMPLE_H

#include "nest.h"

typedef enum { PM_SAMPLE_NEAREST, PM_SAMPLE_LINEAR, PM_SAMPLE_CUBIC, PM_SAMPLE_MODES } pm_sample_mode;
typedef enum { PM_PAD_ZEROS, PM_PAD_BORDER, PM_PAD_REFLECTION, PM_PAD_MODES } pm_pad_mode;

#define PM_SAMPLE_AXES 3

#endif
