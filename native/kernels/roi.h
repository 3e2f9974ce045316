/* Regions of images, pooled to a small size.

   roi_align: inputs x (batch, channels, height, width), regions (count, 4) of the type of x, and the
     image that each is of (count) as int64. The output is (count, channels, rows, columns). Parameters:
     whether the largest is taken and not the mean, whether places are moved by half a pixel, samples
     along an axis of an output (0: as many as it has pixels), the scale of the regions (a float).
   max_roi_pool: inputs x and regions (count, 5), the image first; the output as above. Parameter: the
     scale. */
#ifndef PM_ROI_H
#define PM_ROI_H

#include "nest.h"

#endif
