/* Depthwise convolution of 8-bit integers; operands as in qconv.h. Steps of the sum are positions of the
   window, so that a panel is of 16 channels. */
#ifndef PM_QDEPTHWISE_H
#define PM_QDEPTHWISE_H

#include "qconv.h"

/* Panels side by side in the widest vector. */
#define PM_QABREAST 4

/* Rows behind the steps, as the kernel arranges them. */
enum { QD_SHIFT, QD_FACTOR, QD_ZEROS, QD_MORE, QD_ROWS };

/* Shared scratch: the weights of all channels, arranged for the vectors of the machine. */
static inline int64_t pm_qdepthwise_shared(int64_t channels, int64_t taps) {
  const int64_t panels = pm_qceil(pm_qpanels(channels), PM_QABREAST) * PM_QABREAST;
  return panels * (pm_qsteps(taps) + QD_ROWS) * PM_QGROUP;
}

/* Scratch of a worker: a pixel of the zero point, which stands for those outside of the image, and where
   the pixels of a window lie. */
static inline int64_t pm_qdepthwise_outside(int64_t channels) {
  return pm_qceil(channels, PM_QGROUP) * PM_QGROUP;
}

#endif
