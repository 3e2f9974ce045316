/* How a convolution is cut into parts: rows of the output by channels, each a worker's at a time. */
#ifndef PM_CONV_SPLIT_H
#define PM_CONV_SPLIT_H

#include "conv.h"

/* Parameters of `conv` after those that all convolutions share. */
enum {
  SPLIT_DEPTH,   /* steps of the sum in one go */
  SPLIT_COLUMNS, /* output channels of a part, a multiple of 32 */
  SPLIT_ROWS,    /* output pixels of a part */
  SPLIT_PARAMS,
};

/* Runs of a window that are read where they lie. */
#define PM_MOST_RUNS 64

typedef struct {
  int64_t lines, pixels; /* runs of output pixels that are evenly spaced, and their length */
  int64_t units;         /* what rows are cut into: lines, pixels where there is only one line */
  int64_t depth;
  int64_t width;           /* channels of a group */
  int64_t columns, chunks; /* channels of a part, parts side by side in a group */
  int64_t pieces;          /* parts one after the other */
  int64_t parts;
  bool by_lines; /* windows are read where they lie: a tile is of one line */
} pm_split;

typedef struct {
  int64_t group, column, columns, begin, end; /* units [begin, end) */
} pm_part;

static inline pm_split pm_split_of(const pm_conv *c, const int64_t *params, bool has_residual,
                                   bool by_lines, int64_t tile_rows, int workers) {
  const int64_t width = c->y.c / c->groups, rows = c->row1 - c->row0;
  const int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  pm_split s = {.depth = params[SPLIT_DEPTH], .width = width};
  s.by_lines = by_lines && taps > 1 && s.depth == taps * (c->x.c / c->groups);
  const bool flat = !s.by_lines && pm_image_is_flat(&c->y, c->row0, c->row1) &&
                    (!has_residual || pm_image_is_flat(&c->r, c->row0, c->row1));
  s.lines = c->y.n * c->y.d * rows;
  s.pixels = c->y.w;
  if (flat) s.pixels *= s.lines, s.lines = PM_MIN(s.lines, 1);
  s.units = s.lines == 1 ? s.pixels : s.lines;
  /* Rows first: a worker finds what it reads where it wrote it. As many pieces for each worker, but
     none that is less than a tile. */
  const int64_t tiles = pm_ceil_div(s.pixels, tile_rows) * s.lines;
  const int64_t each = pm_ceil_div(pm_ceil_div(tiles, workers),
                                   PM_MAX(1, params[SPLIT_ROWS] / tile_rows));
  s.pieces = PM_MIN(PM_MIN(tiles, each * workers), s.units);
  s.columns = PM_MIN(params[SPLIT_COLUMNS], width);
  while (s.columns > 32 && s.pieces < workers &&
         s.pieces * c->groups * pm_ceil_div(width, s.columns) < 2 * workers)
    s.columns = pm_panels(s.columns / 2) * PM_PANEL;
  s.chunks = pm_ceil_div(width, PM_MAX(s.columns, 1));
  s.parts = c->groups * s.chunks * s.pieces;
  return s;
}

/* Parts one after the other share their rows. */
static inline void pm_part_of(const pm_split *s, int64_t number, pm_part *part) {
  const int64_t across = s->parts / s->pieces;
  const int64_t piece = number / across, beside = number % across;
  part->group = beside / s->chunks;
  part->column = beside % s->chunks * s->columns;
  part->columns = PM_MIN(s->columns, s->width - part->column);
  part->begin = s->units * piece / s->pieces;
  part->end = s->units * (piece + 1) / s->pieces;
}

#endif
