#include "qdepthwise.h"

#include "qround.h"

/* Channels of a block: a byte of each makes a vector. Panels side by side in it. */
#define CHANNELS (PM_VL * 4)
#define ABREAST (CHANNELS / PM_QPANEL)

typedef const uint8_t *pixel;

typedef struct {
  pm_conv conv;
  pm_qfinish finish;
  const uint8_t *data, *arranged;
  uint8_t *out, *outside;
  pixel *from; /* of the window's positions, filled up to a multiple of four */
  int64_t taps, steps, block, size; /* block: bytes of what is arranged for one */
  int32_t zero;
  uint8_t flip;
  bool has_zeros;
} state;

static void prepare(const pm_call *call, state *s) {
  const int64_t *p = call->params;
  *s = (state){.conv = pm_qconv_of(call), .finish = pm_qconv_finish(call)};
  const pm_conv *c = &s->conv;
  s->data = call->in[0].data, s->out = call->out[0].data;
  s->arranged = call->scratch, s->outside = call->own_scratch;
  s->from = (pixel *)(void *)(s->outside + pm_qdepthwise_outside(c->x.c));
  s->taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  s->steps = pm_qsteps(s->taps);
  s->block = (s->steps + QD_ROWS) * ABREAST * PM_QGROUP;
  s->size = (int64_t)pm_dtype_size(call->out[0].t->dtype);
  s->flip = pm_qflip(call->in[0].t->dtype);
  s->zero = pm_qzero_of(call->in[0].t, &call->in[2], p[QCONV_ZERO]);
  s->has_zeros = p[QCONV_TAIL] & PM_QZEROS;
  memset(s->outside, (uint8_t)s->zero ^ s->flip, (size_t)c->x.c);
  for (int64_t i = s->taps; i < s->steps * 4; i++) s->from[i] = s->outside;
}

/* One of the rows of a panel's channels: what the vectors of sums need. */
static void make_row(const pm_call *call, const state *s, const uint8_t *panel, int64_t first, int row,
                     uint32_t *to) {
  static const pm_qrow sources[QD_ROWS] = {PM_QBIAS, PM_QMULTIPLIERS, PM_QZEROS, PM_QFLOATS};
  const int64_t tail = call->params[QCONV_TAIL];
  const uint8_t *found = pm_qrow_of(panel, s->taps, tail, sources[row]);
  memset(to, 0, PM_QGROUP);
  if (found) memcpy(to, found, PM_QGROUP);
  const uint8_t *sums = pm_qrow_of(panel, s->taps, tail, PM_QSUMS);
  for (int64_t i = 0; i < PM_QPANEL; i++) {
    uint32_t sum;
    memcpy(&sum, sums + i * 4, sizeof sum);
    if (row == QD_SHIFT) to[i] -= (uint32_t)s->zero * sum;
    if (row != QD_FACTOR || !s->finish.multipliers || first + i >= s->conv.x.c) continue;
    memcpy(to + i, s->finish.multipliers + (s->finish.each ? first + i : 0), sizeof *to);
  }
}

/* Panels side by side: their quarters of 16 bytes one after the other, as pm_qmix() has the data. */
static void arrange(const pm_call *call, const pm_worker *worker, const state *s) {
  const int64_t panels = pm_qpanels(s->conv.x.c);
  const int64_t bytes = pm_qgroups(s->taps, call->params[QCONV_TAIL]) * PM_QGROUP;
  int64_t begin, end;
  pm_share(worker, pm_qceil(panels, ABREAST) * ABREAST, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    uint8_t *to = call->scratch + i / ABREAST * s->block + i % ABREAST * 16;
    const uint8_t *panel = call->in[1].data + i * bytes;
    for (int64_t group = 0; group < s->steps + QD_ROWS; group++) {
      uint32_t row[PM_QPANEL] = {0};
      if (i < panels && group < s->steps)
        memcpy(row, panel + group * PM_QGROUP, sizeof row);
      else if (i < panels)
        make_row(call, s, panel, i * PM_QPANEL, (int)(group - s->steps), row);
      for (int j = 0; j < 4; j++, to += ABREAST * 16) memcpy(to, row + j * 4, 16);
    }
  }
  pm_barrier(worker);
}

PM_INLINE pm_qv load_channels(const uint8_t *p, const bool partial, int64_t n) {
  if (!partial) return pm_qload(p);
#if PM_VL == 16
  return (pm_qv)_mm512_maskz_loadu_epi8(((__mmask64)1 << n) - 1, p);
#else
  pm_qv v = {0};
  memcpy(&v, p, (size_t)n);
  return v;
#endif
}

/* The sums of a block of channels, from channel `c` on, and those of the data where zeros are asked for. */
PM_INLINE void sum_block(const bool flips, const bool partial, const bool zeros, const state *s,
                         const uint8_t *w, int64_t c, pm_qv *total, pm_qv *data) {
  const pm_qv flip = pm_qsplat(s->flip * 0x01010101u);
  const int64_t n = s->conv.x.c - c;
  pm_qsum sum[4], plain[4];
  PM_UNROLL for (int i = 0; i < 4; i++) sum[i] = plain[i] = (pm_qsum){0};
  for (int64_t step = 0; step < s->steps; step++, w += 4 * CHANNELS) {
    pm_qv x[4], lanes[4];
    PM_UNROLL for (int i = 0; i < 4; i++) {
      x[i] = load_channels(s->from[step * 4 + i] + c, partial, n);
      if (flips) x[i] ^= flip;
    }
    pm_qmix(x, lanes);
    const int64_t left = PM_MIN(s->taps - step * 4, 4);
    const uint32_t ones = 0x01010101u >> (8 * (4 - left));
    PM_UNROLL for (int i = 0; i < 4; i++) {
      const pm_qx v = pm_qdata(lanes[i]);
      sum[i] = pm_qdot(sum[i], v, pm_qweights(pm_qload(w + i * CHANNELS)));
      if (zeros) plain[i] = pm_qdot(plain[i], v, pm_qweights(pm_qsplat(ones)));
    }
  }
  PM_UNROLL for (int i = 0; i < 4; i++) total[i] = pm_qtotal(sum[i]), data[i] = pm_qtotal(plain[i]);
}

/* Words of a block's channels in their own order. */
static void store_words(uint8_t *y, const pm_qv *v, int64_t n) {
  for (int64_t i = 0; i < PM_MIN(n, CHANNELS); i++) {
    const uint32_t word = v[i % PM_QPANEL / 4][i / PM_QPANEL * 4 + i % 4];
    memcpy(y + i * 4, &word, sizeof word);
  }
}

PM_INLINE void finish_block(const state *s, const uint8_t *rows, int64_t c, pm_qv *sum, const pm_qv *data,
                            uint8_t *y) {
  const pm_qfinish *f = &s->finish;
  const int64_t n = s->conv.x.c - c;
  const uint32_t offset = (uint32_t)s->taps * (uint32_t)s->zero;
  PM_UNROLL for (int i = 0; i < 4; i++) {
    const uint8_t *row = rows + i * CHANNELS;
    sum[i] += pm_qload(row + QD_SHIFT * 4 * CHANNELS);
    if (s->has_zeros) sum[i] -= pm_qload(row + QD_ZEROS * 4 * CHANNELS) * (data[i] - offset);
    if (f->dtype == PM_I32) continue;
    const pm_vf factor = (pm_vf)pm_qload(row + QD_FACTOR * 4 * CHANNELS);
    const pm_vf real = __builtin_convertvector((pm_vi)sum[i], pm_vf) * factor;
    if (f->dtype == PM_F32)
      sum[i] = (pm_qv)(real + (pm_vf)pm_qload(row + QD_MORE * 4 * CHANNELS));
    else
      sum[i] = (pm_qv)(pm_qround(pm_vmin(pm_vmax(real, pm_splat(f->low)), pm_splat(f->high))) + f->zero);
  }
  if (s->size == 4)
    store_words(y + c * 4, sum, n);
  else
    pm_qstore_mixed(y + c, sum, f->dtype == PM_I8, n);
}

/* All channels [first, last) of the pixel whose window was found. */
PM_INLINE void do_channels(const bool flips, const bool zeros, const state *s, int64_t first, int64_t last,
                           uint8_t *y) {
  pm_qv sum[4], data[4];
  for (int64_t c = first; c < last; c += CHANNELS) {
    const uint8_t *w = s->arranged + c / CHANNELS * s->block;
    if (c + CHANNELS <= s->conv.x.c)
      sum_block(flips, false, zeros, s, w, c, sum, data);
    else
      sum_block(flips, true, zeros, s, w, c, sum, data);
    finish_block(s, w + s->steps * 4 * CHANNELS, c, sum, data, y);
  }
}

static void do_pixel(const state *s, int64_t first, int64_t last, uint8_t *y) {
  if (s->has_zeros)
    do_channels(true, true, s, first, last, y);
  else if (s->flip)
    do_channels(true, false, s, first, last, y);
  else
    do_channels(false, false, s, first, last, y);
}

/* Where the window of an output pixel lies. */
static void find_window(const state *s, int64_t n, int64_t z, int64_t y, int64_t x) {
  const pm_conv *c = &s->conv;
  pixel *to = s->from;
  for (int64_t i = 0; i < c->kernel[0]; i++)
    for (int64_t j = 0; j < c->kernel[1]; j++) {
      const uint8_t *row = pm_qconv_row(c, s->data, n, z * c->stride[0] - c->pad[0] + i * c->dilation[0],
                                        y * c->stride[1] - c->pad[1] + j * c->dilation[1]);
      for (int64_t k = 0; k < c->kernel[2]; k++) {
        const int64_t at = x * c->stride[2] - c->pad[2] + k * c->dilation[2];
        *to++ = row && at >= 0 && at < c->x.w ? row + at * c->x.sw : s->outside;
      }
    }
}

/* Output pixels [begin, end) of a row whose windows do not reach over the left or right rim. */
static void find_inner(const pm_conv *c, int64_t *begin, int64_t *end) {
  const int64_t extent = (c->kernel[2] - 1) * c->dilation[2] + 1, room = c->x.w - extent + c->pad[2];
  *begin = c->pad[2] > 0 ? pm_qceil(c->pad[2], c->stride[2]) : 0;
  *end = room >= 0 ? PM_MIN(room / c->stride[2] + 1, c->y.w) : 0;
}

static void do_line(const state *s, int64_t line, int64_t first, int64_t last) {
  const pm_conv *c = &s->conv;
  const int64_t rows = c->row1 - c->row0, plane = line / rows, y = line % rows + c->row0;
  const int64_t n = plane / c->y.d, z = plane % c->y.d, step = c->stride[2] * c->x.sw;
  uint8_t *out = s->out + pm_image_row(&c->y, n, z, y) * s->size;
  int64_t begin, end;
  find_inner(c, &begin, &end);
  for (int64_t x = 0; x < c->y.w; x++, out += c->y.sw * s->size) {
    if (x > begin && x < end) {
      /* Rows outside of the image stay where they are. */
      for (int64_t i = 0; i < s->taps; i++)
        if (s->from[i] != s->outside) s->from[i] += step;
    } else {
      find_window(s, n, z, y, x);
    }
    do_pixel(s, first, last, out);
  }
}

PM_KERNEL(qdepthwise) {
  state s;
  prepare(call, &s);
  arrange(call, worker, &s);
  const pm_conv *c = &s.conv;
  const int64_t lines = c->y.n * c->y.d * (c->row1 - c->row0);
  const int64_t blocks = pm_qceil(c->x.c, CHANNELS);
  /* Few rows: cut the channels too. */
  int64_t chunks = 1;
  while (lines * chunks < 4 * worker->count && blocks / chunks >= 2) chunks *= 2;
  /* As many pieces for each worker: what it reads is where it wrote it. */
  const int64_t pieces = PM_MIN(lines, 4 * worker->count);
  int64_t i;
  while ((i = pm_take_near(worker, pieces * chunks)) >= 0) {
    const int64_t chunk = i % chunks, piece = i / chunks;
    const int64_t first = blocks * chunk / chunks * CHANNELS;
    const int64_t last = PM_MIN(blocks * (chunk + 1) / chunks * CHANNELS, c->x.c);
    for (int64_t line = lines * piece / pieces; line < lines * (piece + 1) / pieces; line++)
      do_line(&s, line, first, last);
  }
}
