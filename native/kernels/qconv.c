/* Convolution of 8-bit integers as a product of matrices, without ever having the matrix of windows
   whole. Sums are exact: their order does not matter. */
#include "qconv.h"

#include "conv_split.h"
#include "move.h"

typedef struct {
  pm_conv conv;
  pm_split split;
  pm_qfinish finish;
  const uint8_t *data, *end, *weights;
  uint8_t *out, *packed;
  int64_t k;                  /* steps of the sum */
  int64_t channels, columns;  /* inputs and outputs of a group */
  int64_t run, pixels, across; /* bytes that lie together, their pixels, runs in a row of the window */
  int64_t panel, size;        /* bytes of a panel, of an element of y */
  int64_t tail;
  uint8_t flip, outside;      /* what bytes are changed with; what stands for the zero point, before that */
  int32_t zero;
  bool in_place;
} state;

/* Whether pixels of the data are rows of the matrix. Rows too far apart crowd in the first cache. */
static bool reads_in_place(const state *s) {
  const pm_conv *c = &s->conv;
  for (int i = 0; i < 3; i++)
    if (c->kernel[i] != 1 || c->stride[i] != 1 || c->pad[i] != 0) return false;
  if (PM_QWIDE > 1 || s->flip || s->channels % 4 || c->x.sw % 2048 == 0) return false;
  if (c->x.w != c->y.w || c->x.d != c->y.d || c->row1 > c->x.h) return false;
  return s->split.lines > 1 || pm_image_is_flat(&c->x, c->row0, c->row1);
}

static void prepare(const pm_call *call, const pm_worker *worker, state *s) {
  const int64_t *p = call->params;
  *s = (state){.conv = pm_qconv_of(call), .finish = pm_qconv_finish(call)};
  const pm_conv *c = &s->conv;
  const unsigned dtype = call->in[0].t->dtype;
  s->data = call->in[0].data, s->weights = call->in[1].data;
  s->end = s->data + pm_span_bytes(call->in[0].t);
  s->out = call->out[0].data, s->packed = call->own_scratch;
  s->channels = c->x.c / c->groups, s->columns = c->y.c / c->groups;
  s->k = p[QCONV_SHARED + SPLIT_DEPTH];
  const bool joined = c->groups == 1 && c->x.sw == c->x.c && c->dilation[2] == 1;
  s->pixels = joined ? c->kernel[2] : 1;
  s->run = s->pixels * s->channels;
  s->across = joined ? 1 : c->kernel[2];
  s->tail = p[QCONV_TAIL];
  s->panel = pm_qgroups(s->k, s->tail) * PM_QGROUP;
  s->size = (int64_t)pm_dtype_size(call->out[0].t->dtype);
  s->flip = pm_qflip(dtype);
  s->zero = pm_qzero_of(call->in[0].t, &call->in[2], p[QCONV_ZERO]);
  s->outside = (uint8_t)((uint8_t)s->zero ^ s->flip);
  s->split = pm_split_of(c, p + QCONV_SHARED, false, false, PM_QMR, worker->count);
  s->in_place = reads_in_place(s);
}

/* The first element of pixel `first` of a line in an image. */
static int64_t place(const state *s, const pm_image *i, int64_t line, int64_t first) {
  const int64_t lines = s->conv.row1 - s->conv.row0, plane = line / lines;
  return pm_image_row(i, plane / i->d, plane % i->d, line % lines + s->conv.row0) + first * i->sw;
}

#define STEP (PM_VL * 4)

/* A few bytes are copied with those behind them, as far as the data goes: what is too much is overwritten by
   the next run, or lies between two rows. */
#define FEW 32

PM_INLINE void copy_bytes(uint8_t *to, const uint8_t *from, int64_t n, const uint8_t *end) {
  if (n <= FEW && end - from >= FEW) {
    memcpy(to, from, FEW);
    return;
  }
  if (n < STEP) {
    pm_move_short(to, from, n);
    return;
  }
  for (int64_t i = 0; i < n - STEP; i += STEP) pm_qstore(to + i, pm_qload(from + i));
  pm_qstore(to + n - STEP, pm_qload(from + n - STEP));
}

/* A run of a window that begins at pixel `x` of a row, which is NULL outside of the image. */
PM_INLINE void pack_run(const state *s, const uint8_t *row, int64_t x, uint8_t *to) {
  const pm_image *image = &s->conv.x;
  if (row && x >= 0 && x + s->pixels <= image->w) {
    copy_bytes(to, row + x * image->sw, s->run, s->end);
    return;
  }
  const int64_t inside = row ? PM_MIN(PM_MAX(image->w - x, 0) * s->channels, s->run) : 0;
  const int64_t begin = PM_MIN(PM_MAX(-x, 0) * s->channels, inside);
  memset(to, s->outside, (size_t)s->run);
  if (inside > begin) memcpy(to + begin, row + x * image->sw + begin, (size_t)(inside - begin));
}

/* The window of one output pixel, whose first position is (z, y, x). */
static void pack_window(const state *s, int64_t n, int64_t group, const int64_t *at, uint8_t *to) {
  const pm_conv *c = &s->conv;
  for (int64_t i = 0; i < c->kernel[0]; i++)
    for (int64_t j = 0; j < c->kernel[1]; j++) {
      const uint8_t *row =
          pm_qconv_row(c, s->data, n, at[0] + i * c->dilation[0], at[1] + j * c->dilation[1]);
      if (row) row += group * s->channels;
      for (int64_t k = 0; k < s->across; k++, to += s->run) pack_run(s, row, at[2] + k * c->dilation[2], to);
    }
}

/* Windows of `rows` output pixels from `first` of a line on, or of all lines if there is only one. */
static void pack_rows(const state *s, int64_t group, int64_t line, int64_t first, int rows) {
  const pm_conv *c = &s->conv;
  const int64_t lines = c->row1 - c->row0;
  line += first / c->y.w;
  int64_t x = first % c->y.w;
  for (int m = 0; m < rows; m++) {
    uint8_t *raw = pm_qtile_raw(s->packed, s->k, m);
    const int64_t plane = line / lines;
    const int64_t at[3] = {plane % c->y.d * c->stride[0] - c->pad[0],
                           (line % lines + c->row0) * c->stride[1] - c->pad[1],
                           x * c->stride[2] - c->pad[2]};
    pack_window(s, plane / c->y.d, group, at, raw);
    pm_qfinish_row(raw, s->k, s->flip, pm_qtile_row(s->packed, s->k, m));
    if (++x == c->y.w) x = 0, line++;
  }
}

/* Pixels [first, first + g->rows) of a line. */
static void do_tile(const state *s, const pm_part *part, int64_t line, int64_t first, pm_qgemm *g) {
  if (s->in_place) {
    g->a = s->data + place(s, &s->conv.x, line, first) + part->group * s->channels;
    g->a_row = s->conv.x.sw;
  } else {
    pack_rows(s, part->group, line, first, g->rows);
    g->a = s->packed, g->a_row = pm_qstride(s->k) * PM_QWIDE;
  }
  const int64_t column = part->group * s->columns + part->column;
  g->y = s->out + (place(s, &s->conv.y, line, first) + column) * s->size;
  PM_FOR_ISA(pm_qgemm_tile)(g);
}

/* Pixels [begin, end) of a line, in tiles of much the same size. */
static void do_line(const state *s, const pm_part *part, int64_t line, int64_t begin, int64_t end,
                    pm_qgemm *g) {
  const int64_t tiles = pm_qceil(end - begin, PM_QMR);
  for (int64_t t = 0; t < tiles; t++) {
    const int64_t first = (end - begin) * t / tiles;
    g->rows = (int)((end - begin) * (t + 1) / tiles - first);
    do_tile(s, part, line, begin + first, g);
  }
}

static void do_part(const state *s, const pm_part *part) {
  const int64_t column = part->group * s->columns + part->column;
  pm_qfinish finish = s->finish;
  if (finish.each) finish.multipliers += column;
  const int64_t panel = part->group * pm_qpanels(s->columns) + part->column / PM_QPANEL;
  pm_qgemm g = {.k = s->k,
                .b = s->weights + panel * s->panel,
                .b_panel = s->panel,
                .tail = s->tail,
                .zero = s->zero,
                .y_row = s->conv.y.sw * s->size,
                .columns = part->columns,
                .finish = &finish};
  if (s->split.lines == 1) {
    do_line(s, part, 0, part->begin, part->end, &g);
    return;
  }
  for (int64_t line = part->begin; line < part->end; line++) do_line(s, part, line, 0, s->split.pixels, &g);
}

PM_KERNEL(qconv) {
  state s;
  prepare(call, worker, &s);
  int64_t i;
  pm_part part;
  while ((i = pm_take_near(worker, s.split.parts)) >= 0) {
    pm_part_of(&s.split, i, &part);
    do_part(&s, &part);
  }
}
