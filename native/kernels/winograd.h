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
  WINO_SIZE,  /* r: 2 or 4 */
  WINO_DEPTH, /* input channels whose weights are transformed at a time */
  WINO_BLOCK, /* tiles that are transformed and multiplied at a time, at most */
  WINO_KEEP,  /* whether a worker keeps all weights that it has transformed */
  WINO_PARAMS,
};

/* Tiles are cut into blocks and output channels into groups of 16. A part is a block with some of
   the groups. Its worker transforms the block's data, and the weights of each group; nothing is
   shared, for memory that one worker writes and another one reads is slow to write again. */
typedef struct {
  int r, points; /* outputs of a tile in one dimension; products in two */
  bool keep;
  int64_t depth, block;
  int64_t rows, columns, tiles; /* of tiles: in an image, in all images */
  int64_t groups, blocks, chunks;
  int64_t channels, v_row;      /* floats of a tile's row of transformed data */
} pm_wino;

/* Narrow weights are widened so many input channels at a time; the floats of these, 9 taps each. */
#define PM_WINO_WIDENED 16
#define PM_WINO_TAPS (9 * PM_WINO_WIDENED * PM_PANEL)

/* With fewer tiles than this the rows of a product are too few. */
#define PM_WINO_FEW 6

/* Floats of the planes of the three buffers; a few more, so that planes do not crowd in a cache. */
static inline int64_t pm_wino_v_plane(const pm_wino *w) { return w->block * w->v_row + 16; }
static inline int64_t pm_wino_u_plane(const pm_wino *w) { return (w->depth + 1) * PM_PANEL; }
static inline int64_t pm_wino_m_plane(const pm_wino *w) { return (w->block + 1) * PM_PANEL; }

static inline pm_wino pm_wino_of(const pm_conv *c, const int64_t *params, int workers) {
  pm_wino w = {.r = (int)params[WINO_SIZE], .keep = params[WINO_KEEP] != 0};
  w.depth = params[WINO_DEPTH];
  w.channels = c->x.c;
  w.points = (w.r + 2) * (w.r + 2);
  w.rows = pm_ceil_div(c->row1 - c->row0, w.r);
  w.columns = pm_ceil_div(c->y.w, w.r);
  w.tiles = c->y.n * w.rows * w.columns;
  w.groups = pm_panels(c->y.c);
  w.v_row = pm_panels(c->x.c) * PM_PANEL + 16;
  const int64_t beside = PM_MIN(workers, PM_MAX(1, w.tiles / PM_WINO_FEW));
  const int64_t each = pm_ceil_div(pm_ceil_div(w.tiles, beside), params[WINO_BLOCK]);
  w.blocks = each * beside;
  w.block = pm_ceil_div(w.tiles, PM_MAX(1, w.blocks));
  w.chunks = PM_MIN(w.groups, pm_ceil_div(4 * workers, PM_MAX(1, w.blocks)));
  return w;
}

#endif
