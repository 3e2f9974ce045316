/* Convolutions of 8-bit integers, channels last: qconv as a product of matrices, qdepthwise where each
   channel has a window of its own.

   Operands: x (uint8 or int8); w, panels as in qgemm.h, of each group's outputs for qconv, of all
   channels for qdepthwise; the zero point of x, and multipliers, where only the run knows them. Both
   may be left out. Out: y of 8 bits, int32 or float32. Padding counts as the zero point.
   Rows of x and y may be held in rings. */
#ifndef PM_QCONV_H
#define PM_QCONV_H

#include "conv.h"
#include "qgemm.h"

enum {
  QCONV_GEOMETRY = 0, /* as the first of CONV_: kernel, strides, dilations, pads, groups */
  QCONV_ROW0 = CONV_GROUPS + 1, /* rows of y to make, [row0, row1) */
  QCONV_ROW1,
  QCONV_TAIL, /* pm_qrow of the rows behind a panel */
  QCONV_ZERO, /* of x, where it is no operand */
  QCONV_Y_ZERO,
  QCONV_LOW, /* bounds of y */
  QCONV_HIGH,
  QCONV_SHARED,
};

static inline pm_conv pm_qconv_of(const pm_call *call) {
  pm_conv c = pm_conv_geometry(call);
  c.row0 = call->params[QCONV_ROW0];
  c.row1 = call->params[QCONV_ROW1];
  return c;
}

static inline pm_qfinish pm_qconv_finish(const pm_call *call) {
  const int64_t *p = call->params;
  return pm_qfinish_of(call->out[0].t, &call->in[3], p[QCONV_Y_ZERO], p[QCONV_LOW], p[QCONV_HIGH]);
}

/* The row of the data, NULL where it lies outside. Strides of the image are in bytes: x is of those. */
static inline const uint8_t *pm_qconv_row(const pm_conv *c, const uint8_t *data, int64_t n, int64_t z,
                                          int64_t y) {
  const bool inside = z >= 0 && z < c->x.d && y >= 0 && y < c->x.h;
  return inside ? data + pm_image_row(&c->x, n, z, y) : NULL;
}

/* Of qconv_check.c: all but how the weights lie, and the parameters after those shared. */
bool pm_qconv_fits(const pm_call *call, int n_params);

#endif
