/* Convolution 3x3 of stride 1 by Winograd's minimal filtering: F(2x2, 3x3) and F(4x4, 3x3).

   Lavin and Gray, Fast algorithms for convolutional neural networks, arXiv 1509.09308. A tile of
   r x r outputs is made of (r + 2)^2 products instead of 9 r^2. Weights are stored as for `conv`
   and are transformed on the way. The points of F(4x4) are 0, 1/sqrt 2, -1/sqrt 2, sqrt 2, -sqrt 2
   and infinity: rounding errors are three times smaller than with 0, 1, -1, 2, -2. */
#ifndef PM_WINOGRAD_H
#define PM_WINOGRAD_H

#include "conv.h"

/* Parameters after those that all convolutions share. */
enum {
  WINO_SIZE,   /* r: 2 or 4 */
  WINO_SHARED, /* a pm_wino_shared */
  WINO_WIDTH,  /* output channels at a time: 16 or 32 */
  WINO_DEPTH,  /* input channels whose weights are transformed at a time */
  WINO_BLOCK,  /* tiles that are multiplied at a time */
  WINO_STRIP,  /* tiles that are transformed at a time, where the data is shared */
  WINO_PARAMS,
};

/* What all workers make together and share: data, with weights made by whoever needs them; or
   weights, with the data's tiles made by whoever multiplies them. */
typedef enum { PM_WINO_DATA, PM_WINO_WEIGHTS, PM_WINO_SHARED_KINDS } pm_wino_shared;

typedef struct {
  int r, points; /* outputs of a tile in one dimension; products in two */
  pm_wino_shared shared;
  int64_t width, depth, block, strip;
  int64_t rows, columns, tiles; /* of tiles: in an image, in all images */
  int64_t groups;               /* of `width` output channels */
  int64_t channels, v_row;      /* floats of a tile's row of transformed data */
} pm_wino;

/* Floats of the buffers. A few more between the planes, so that these do not crowd in a cache. */
static inline int64_t pm_wino_v_plane(const pm_wino *w, int64_t tiles) { return tiles * w->v_row + 16; }
static inline int64_t pm_wino_u_plane(const pm_wino *w, int64_t depth) { return (depth + 1) * w->width; }
static inline int64_t pm_wino_m_plane(const pm_wino *w, int64_t tiles) { return tiles * w->width + 16; }

static inline pm_wino pm_wino_of(const pm_conv *c, const int64_t *params) {
  pm_wino w = {.r = (int)params[WINO_SIZE],
               .shared = (pm_wino_shared)params[WINO_SHARED],
               .width = params[WINO_WIDTH],
               .depth = params[WINO_DEPTH],
               .channels = c->x.c};
  w.points = (w.r + 2) * (w.r + 2);
  w.rows = (c->row1 - c->row0 + w.r - 1) / w.r;
  w.columns = (c->y.w + w.r - 1) / w.r;
  w.tiles = c->y.n * w.rows * w.columns;
  w.block = PM_MIN(params[WINO_BLOCK], w.tiles);
  w.strip = PM_MIN(params[WINO_STRIP], w.tiles);
  w.groups = (c->y.c + w.width - 1) / w.width;
  w.v_row = pm_panels(c->x.c) * PM_PANEL + 16;
  return w;
}

#endif
