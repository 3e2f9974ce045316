/* Products with weights of 2, 4 or 8 bits: they become float32 in registers, a few at a time.

   For each block of steps the sum over a * q is made first, q a whole number (of 4 bits: from -8 to 7); its
   scale, and what its zero point takes away, come once for each block. All rows of a tile share what was unpacked.
   Each element is summed in one order, whatever the tile is that its row falls in. */
#include "matmul_nbits.h"

#include "vmath.h"

#define VECTORS (PM_PANEL / PM_VL)
#define WORDS_BYTES (PM_PANEL * 4)

/* Rows of a tile, and sums that each keeps beside each other, so that none waits for the one before. */
#if PM_VL == 16
#define ROWS PM_NBITS_ROWS
#define CHAINS 2
#else
#define ROWS 4
#define CHAINS 1
#endif

typedef struct {
  const pm_call *call;
  const float *a;
  int64_t a_row, k, n, block, blocks, block_bytes;
  int bits;
  const uint8_t *weights;
  const float *scales;
  const uint8_t *zeros;
  pm_dtype zeros_type;
  float *sums; /* (blocks, rows of a tile) */
} state;

/* The whole numbers of one step: those bits of the words. */
PM_INLINE pm_vf step_of(pm_vi words, int step, int bits) {
#if defined(__AVX512F__)
  /* The permutation looks at the lowest 4 bits of each index and at no others. */
  const __m512 table = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
  if (bits == 4)
    return (pm_vf)_mm512_permutexvar_ps(_mm512_srli_epi32((__m512i)words, (unsigned)(4 * step)), table);
#endif
  typedef uint32_t whole __attribute__((vector_size(PM_VL * 4)));
  const pm_vi high = (pm_vi)((whole)words << (32 - bits - bits * step));
  return __builtin_convertvector(high >> (32 - bits), pm_vf);
}

PM_INLINE pm_vi load_words(const uint8_t *from) {
  pm_vi words;
  memcpy(&words, from, sizeof words);
  return words;
}

/* Adds the steps of a word of a * q to the sums of each row. */
PM_INLINE void add_word(const float *a, int64_t a_row, const uint8_t *words, int rows, int bits,
                        pm_vf sums[ROWS][CHAINS][VECTORS]) {
  PM_UNROLL for (int v = 0; v < VECTORS; v++) {
    const pm_vi word = load_words(words + v * PM_VL * 4);
    PM_UNROLL for (int step = 0; step < PM_WORD_BITS / bits; step++) {
      const pm_vf q = step_of(word, step, bits);
      PM_UNROLL for (int row = 0; row < rows; row++) {
        pm_vf *sum = &sums[row][step % CHAINS][v];
        *sum = pm_vfma(pm_splat(a[row * a_row + step]), q, *sum);
      }
    }
  }
}

PM_INLINE pm_vf zero_of(const state *s, int64_t at, int v) {
  if (s->zeros_type == PM_F32) return pm_load((const float *)s->zeros + at * PM_PANEL + v * PM_VL);
  const int8_t *from = (const int8_t *)s->zeros + at * PM_PANEL + v * PM_VL;
  typedef int8_t some __attribute__((vector_size(PM_VL)));
  some whole;
  memcpy(&whole, from, sizeof whole);
  return __builtin_convertvector(whole, pm_vf);
}

/* One panel of columns for a few rows, whose totals are given back; `place` of the first in its tile. */
PM_INLINE void do_panel(const state *s, const float *a, int64_t panel, int place, int rows, int bits,
                        pm_vf totals[ROWS][VECTORS]) {
  const int steps = PM_WORD_BITS / bits;
  const uint8_t *words = s->weights + panel * s->blocks * s->block_bytes;
  for (int64_t b = 0; b < s->blocks; b++) {
    pm_vf sums[ROWS][CHAINS][VECTORS] = {{{{0}}}};
    const int64_t first = b * s->block, count = PM_MIN(s->block, s->k - first);
    const float *from = a + first;
    int64_t i = 0;
    for (; i + steps <= count; i += steps)
      add_word(from + i, s->a_row, words + i / steps * WORDS_BYTES, rows, bits, sums);
    if (i < count)
      for (int row = 0; row < rows; row++) {
        float rest[PM_WORD_BITS / 2] = {0};
        memcpy(rest, from + row * s->a_row + i, (size_t)(count - i) * sizeof(float));
        add_word(rest, 0, words + i / steps * WORDS_BYTES, 1, bits, sums + row);
      }
    words += s->block_bytes;
    const int64_t at = panel * s->blocks + b;
    PM_UNROLL for (int v = 0; v < VECTORS; v++) {
      const pm_vf scale = pm_load(s->scales + at * PM_PANEL + v * PM_VL);
      const pm_vf zero = s->zeros ? zero_of(s, at, v) : (pm_vf){0};
      PM_UNROLL for (int row = 0; row < rows; row++) {
        pm_vf sum = sums[row][0][v];
        if (CHAINS > 1) sum += sums[row][CHAINS - 1][v];
        if (s->zeros) sum = sum - zero * s->sums[b * PM_NBITS_ROWS + place + row];
        totals[row][v] = pm_vfma(scale, sum, totals[row][v]);
      }
    }
  }
}

static void sum_rows(const state *s, const float *a, int rows) {
  for (int64_t b = 0; b < s->blocks; b++)
    for (int row = 0; row < rows; row++) {
      const float *from = a + row * s->a_row + b * s->block;
      const int64_t count = PM_MIN(s->block, s->k - b * s->block);
      float sum = 0;
      for (int64_t i = 0; i < count; i++) sum += from[i];
      s->sums[b * PM_NBITS_ROWS + row] = sum;
    }
}

static void keep(const state *s, int64_t row, int64_t panel, const pm_vf totals[VECTORS]) {
  const pm_view *bias = &s->call->in[NBITS_BIAS], *y = &s->call->out[0];
  for (int v = 0; v < VECTORS; v++) {
    const int64_t column = panel * PM_PANEL + v * PM_VL, left = PM_MIN(PM_VL, s->n - column);
    if (left <= 0) return;
    float *to = (float *)y->data + row * y->t->strides[0] + column;
    const float *add = bias->t ? (const float *)bias->data + column : NULL;
    pm_vf total = totals[v];
    if (add) total += left == PM_VL ? pm_load(add) : pm_load_some(add, left);
    if (left == PM_VL)
      pm_store(to, total);
    else
      pm_store_some(to, total, left);
  }
}

PM_INLINE void do_rows(const state *s, int64_t row, int64_t panel, int place, int rows) {
  pm_vf totals[ROWS][VECTORS] = {{{0}}};
  const float *a = s->a + row * s->a_row;
  if (s->bits == 4)
    do_panel(s, a, panel, place, rows, 4, totals);
  else if (s->bits == 8)
    do_panel(s, a, panel, place, rows, 8, totals);
  else
    do_panel(s, a, panel, place, rows, 2, totals);
  for (int i = 0; i < rows; i++) keep(s, row + i, panel, totals[i]);
}

static state state_of(const pm_call *call) {
  const pm_tensor *a = call->in[NBITS_A].t, *w = call->in[NBITS_WEIGHTS].t;
  const pm_view *zeros = &call->in[NBITS_ZEROS];
  return (state){
      .call = call,
      .a = (const float *)call->in[NBITS_A].data,
      .a_row = a->strides[0],
      .k = a->dims[1],
      .n = call->out[0].t->dims[1],
      .block = call->params[NBITS_BLOCK],
      .blocks = w->dims[1],
      .block_bytes = w->dims[2],
      .bits = (int)(w->dims[2] * 8 / PM_PANEL / call->params[NBITS_BLOCK]),
      .weights = call->in[NBITS_WEIGHTS].data,
      .scales = (const float *)call->in[NBITS_SCALES].data,
      .zeros = zeros->t ? zeros->data : NULL,
      .zeros_type = zeros->t ? (pm_dtype)zeros->t->dtype : PM_I8,
      .sums = (float *)call->own_scratch,
  };
}

/* Parts are a panel and a tile of rows; those of one panel follow each other. */
PM_KERNEL(matmul_nbits) {
  const state s = state_of(call);
  const int64_t rows = call->in[NBITS_A].t->dims[0], tiles = pm_ceil_div(rows, ROWS);
  int64_t begin, end, summed = -1;
  pm_share(worker, tiles * call->in[NBITS_WEIGHTS].t->dims[0], &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const int64_t row = part % tiles * ROWS, panel = part / tiles;
    const int count = (int)PM_MIN(ROWS, rows - row);
    if (s.zeros && summed != row) sum_rows(&s, s.a + row * s.a_row, count), summed = row;
    if (count == ROWS)
      do_rows(&s, row, panel, 0, ROWS);
    else
      for (int i = 0; i < count; i++) do_rows(&s, row + i, panel, i, 1);
  }
}
