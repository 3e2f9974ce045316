/* Depthwise convolution: each channel has a window of its own; and convolution in groups of 2 to 32
   channels, a power of two. Weights are panels of 16 output channels, whatever their groups: for each position of
   the window, and each channel of the group, the 16 values lie together. */
#ifndef PM_DEPTHWISE_H
#define PM_DEPTHWISE_H

#include "conv.h"

/* Output pixels that are made at a time. */
#define PM_MAX_PIXELS 7

/* Scratch of a worker: zeros that stand for pixels outside of the image, pixels before a sweep that
   must not go to the output yet, and where the window's pixels lie. */
static inline size_t pm_depthwise_zeros(int64_t channels) {
  return pm_aligned((size_t)(channels + PM_PANEL) * sizeof(float));
}

static inline size_t pm_depthwise_aside(int64_t channels) {
  return PM_MAX_PIXELS * pm_depthwise_zeros(channels);
}

#endif
