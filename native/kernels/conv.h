/* What the convolutions share: images, windows, and the parameters of their instructions.

   Data is channels-last: (N, W, C), (N, H, W, C) or (N, D, H, W, C). The outer dimensions may have
   any strides, the channels of a pixel lie together. */
#ifndef PM_CONV_H
#define PM_CONV_H

#include "widen.h"

/* A tensor of three to five dimensions; those that it does not have are 1. */
typedef struct {
  int64_t n, d, h, w, c;
  int64_t sn, sd, sh, sw; /* strides, in floats */
  int64_t ring;           /* rows of h that are held; 0 means all */
} pm_image;

/* Places in an instruction's parameters. */
enum {
  CONV_KERNEL = 0,   /* d, h, w */
  CONV_STRIDE = 3,
  CONV_DILATION = 6,
  CONV_PAD = 9,      /* before the first element; below zero where elements are left out */
  CONV_GROUPS = 12,
  CONV_KIND,         /* activation, its two parameters, whether the residual comes after it */
  CONV_ALPHA,
  CONV_BETA,
  CONV_AFTER,
  CONV_ROW0,         /* rows of the output to make, [row0, row1) */
  CONV_ROW1,
  CONV_WEIGHTS,      /* a pm_weights */
  CONV_SHARED, /* how many parameters the convolutions share */
};

/* Weights are panels of 16 output channels, (panels, steps of the sum, 16), each group's last panel
   filled up with zeros, of any type that widen.h knows; or as the network has them, (groups, outputs, inputs, d, h, w) with any
   strides, the window perhaps mirrored: the kernel then packs them first. */
typedef enum { PM_WEIGHTS_PACKED, PM_WEIGHTS_RAW, PM_WEIGHTS_MIRRORED, PM_WEIGHTS_KINDS } pm_weights;

typedef struct {
  pm_image x, y, r; /* data, output, residual */
  int64_t kernel[3], stride[3], dilation[3], pad[3];
  int64_t groups, row0, row1;
  pm_epilogue epilogue;
  pm_weights weights;
} pm_conv;

static inline pm_image pm_image_of(const pm_tensor *t) {
  pm_image i = {1, 1, 1, 1, 1, 0, 0, 0, 0, t->ring};
  const int r = t->rank;
  i.n = t->dims[0], i.sn = t->strides[0];
  i.c = t->dims[r - 1];
  i.w = t->dims[r - 2], i.sw = t->strides[r - 2];
  if (r > 3) i.h = t->dims[r - 3], i.sh = t->strides[r - 3];
  if (r > 4) i.d = t->dims[r - 4], i.sd = t->strides[r - 4];
  return i;
}

/* Floats from the start of the image to a row. */
static inline int64_t pm_image_row(const pm_image *i, int64_t n, int64_t d, int64_t y) {
  return n * i->sn + d * i->sd + (i->ring ? y % i->ring : y) * i->sh;
}

/* Whether the pixels of all rows [row0, row1) are `sw` apart, one row after the other. */
static inline bool pm_image_is_flat(const pm_image *i, int64_t row0, int64_t row1) {
  const bool whole = row0 == 0 && row1 == i->h;
  if (row1 - row0 > 1 && i->ring) return false;
  if (row1 - row0 > 1 && i->sh != i->w * i->sw) return false;
  if (i->n * i->d > 1 && !whole) return false;
  if (i->d > 1 && i->sd != i->h * i->w * i->sw) return false;
  return i->n == 1 || i->sn == i->d * i->h * i->w * i->sw;
}

/* The images and windows alone. */
static inline pm_conv pm_conv_geometry(const pm_call *call) {
  const int64_t *p = call->params;
  pm_conv c = {.x = pm_image_of(call->in[0].t), .y = pm_image_of(call->out[0].t)};
  for (int i = 0; i < 3; i++) {
    c.kernel[i] = p[CONV_KERNEL + i];
    c.stride[i] = p[CONV_STRIDE + i];
    c.dilation[i] = p[CONV_DILATION + i];
    c.pad[i] = p[CONV_PAD + i];
  }
  c.groups = p[CONV_GROUPS];
  return c;
}

/* Operands are data, weights, bias, residual, and the weights' scales where their type has any; bias
   and residual may be left out. */
static inline pm_conv pm_conv_of(const pm_call *call) {
  const int64_t *p = call->params;
  pm_conv c = pm_conv_geometry(call);
  if (call->in[3].t) c.r = pm_image_of(call->in[3].t);
  c.row0 = p[CONV_ROW0];
  c.row1 = p[CONV_ROW1];
  c.weights = (pm_weights)p[CONV_WEIGHTS];
  c.epilogue =
      pm_epilogue_of(p[CONV_KIND], p[CONV_ALPHA], p[CONV_BETA], p[CONV_AFTER] != 0);
  return c;
}

/* Floats of packed weights: whole panels for each group. */
static inline int64_t pm_packed_weights(const pm_conv *c) {
  const int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  return c->groups * pm_panels(c->y.c / c->groups) * taps * (c->x.c / c->groups) * PM_PANEL;
}

/* Of conv_check.c: whether images, window, bias, residual and epilogue fit each other; and the
   elements of a window in one group, 0 where that is out of all bounds. */
bool pm_conv_fits(const pm_call *call, int n_params);
int64_t pm_window_size(const pm_conv *c);
/* Whether the parameters are those of a window; whether a tensor is an image of that type. */
bool pm_window_is_possible(const int64_t *params);
bool pm_is_image(const pm_tensor *t, unsigned dtype);

#endif
