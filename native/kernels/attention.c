/* Attention by query rows: queries lie in the lanes of vectors, keys and values are read where they are.

   A block of keys is scored, its maximum and sum join the running ones (Milakov and Gimelshein, Online
   normalizer calculation for softmax, arXiv 1805.02867), its values are mixed in; no more scores than
   those of one block are ever held. The error is below 1e-5 of the largest value in size, for scores of
   up to about 50 in size. */
#include "attention.h"

#include "vmath.h"

#if PM_VL == 16
#define ROWS 8
#else
#define ROWS 4
#endif
#define VECTORS 2
#define WIDTH (VECTORS * PM_VL)

_Static_assert(WIDTH <= PM_ATTENTION_QUERIES, "the scratch that is asked for");

/* What a lane of a block of queries belongs to. */
typedef struct {
  int64_t q, y, mask, scores; /* offsets in elements */
  int64_t first, last;        /* the keys that it may see */
} lane;

typedef struct {
  const pm_call *call;
  const float *k, *v;           /* of the batch and head at hand */
  int64_t k_step, v_step;       /* from key to key */
  int64_t size, v_size, keys;
  int64_t group;                /* heads of queries for each head of keys */
  int64_t lanes;                /* of this block that are in use */
  lane of[WIDTH];
  float *q, *scores, *mixed;    /* (size, lanes), (keys of a block, lanes), (v_size, lanes) */
  bool same_mask;               /* for all lanes */
  bool skips;                   /* blocks of which the mask leaves nothing */
} block;

/* Products of a few keys with all lanes' queries. */
PM_INLINE void score_keys(const block *b, const float *k, float *scores, int rows, int vectors) {
  const int width = vectors * PM_VL;
  pm_vf sums[ROWS][VECTORS] = {{{0}}};
  const float *q = b->q;
  for (int64_t i = 0; i < b->size; i++, q += width) {
    pm_vf here[VECTORS];
    PM_UNROLL for (int v = 0; v < vectors; v++) here[v] = pm_load(q + v * PM_VL);
    PM_UNROLL for (int row = 0; row < rows; row++) {
      const pm_vf key = pm_splat(k[row * b->k_step + i]);
      PM_UNROLL for (int v = 0; v < vectors; v++) sums[row][v] = pm_vfma(key, here[v], sums[row][v]);
    }
  }
  PM_UNROLL for (int row = 0; row < rows; row++)
    PM_UNROLL for (int v = 0; v < vectors; v++) pm_store(scores + row * width + v * PM_VL, sums[row][v]);
}

PM_INLINE void score_block(const block *b, int64_t first, int64_t count, int vectors) {
  const float *k = b->k + first * b->k_step;
  int64_t i = 0;
  for (; i + ROWS <= count; i += ROWS)
    score_keys(b, k + i * b->k_step, b->scores + i * vectors * PM_VL, ROWS, vectors);
  if (i + ROWS / 2 <= count) {
    score_keys(b, k + i * b->k_step, b->scores + i * vectors * PM_VL, ROWS / 2, vectors);
    i += ROWS / 2;
  }
  for (; i < count; i++) score_keys(b, k + i * b->k_step, b->scores + i * vectors * PM_VL, 1, vectors);
}

/* Adds shares of a few columns of the values to what is mixed already, times a factor. */
PM_INLINE void mix_columns(const block *b, const float *v, int64_t count, float *mixed,
                           const pm_vf *factors, int rows, int vectors) {
  const int width = vectors * PM_VL;
  pm_vf sums[ROWS][VECTORS];
  PM_UNROLL for (int row = 0; row < rows; row++)
    PM_UNROLL for (int i = 0; i < vectors; i++)
      sums[row][i] = pm_load(mixed + row * width + i * PM_VL) * factors[i];
  const float *shares = b->scores;
  for (int64_t key = 0; key < count; key++, v += b->v_step, shares += width) {
    pm_vf here[VECTORS];
    PM_UNROLL for (int i = 0; i < vectors; i++) here[i] = pm_load(shares + i * PM_VL);
    PM_UNROLL for (int row = 0; row < rows; row++) {
      const pm_vf value = pm_splat(v[row]);
      PM_UNROLL for (int i = 0; i < vectors; i++) sums[row][i] = pm_vfma(value, here[i], sums[row][i]);
    }
  }
  PM_UNROLL for (int row = 0; row < rows; row++)
    PM_UNROLL for (int i = 0; i < vectors; i++) pm_store(mixed + row * width + i * PM_VL, sums[row][i]);
}

PM_INLINE void mix_block(const block *b, int64_t first, int64_t count, const pm_vf *factors, int vectors) {
  const float *v = b->v + first * b->v_step;
  int64_t i = 0;
  for (; i + ROWS <= b->v_size; i += ROWS)
    mix_columns(b, v + i, count, b->mixed + i * vectors * PM_VL, factors, ROWS, vectors);
  if (i + ROWS / 2 <= b->v_size) {
    mix_columns(b, v + i, count, b->mixed + i * vectors * PM_VL, factors, ROWS / 2, vectors);
    i += ROWS / 2;
  }
  for (; i < b->v_size; i++)
    mix_columns(b, v + i, count, b->mixed + i * vectors * PM_VL, factors, 1, vectors);
}

/* What the mask adds to the scores of one key, for a vector of lanes. */
static pm_vf bias_of(const block *b, int64_t key, int vector) {
  const pm_tensor *t = b->call->in[PM_ATTENTION_MASK].t;
  const uint8_t *mask = b->call->in[PM_ATTENTION_MASK].data;
  const bool is_bool = t->dtype == PM_BOOL;
  const int64_t column = key * t->strides[3];
  float lanes[PM_VL];
  for (int i = 0; i < PM_VL; i++) {
    const int64_t at = b->of[vector * PM_VL + i].mask + column;
    lanes[i] = is_bool ? (mask[at] ? 0.0f : -INFINITY) : ((const float *)mask)[at];
    if (b->same_mask) return pm_splat(lanes[0]);
  }
  return pm_load(lanes);
}

/* Beside a score that a mask leaves seen, the share of one that it hides is zero in float32. */
#define SEEN (-1e20f)
#define HIDDEN (-1e30f)

/* What the mask adds to the score of a key for one lane. */
static float mask_of(const block *b, int l, int64_t key) {
  const pm_tensor *t = b->call->in[PM_ATTENTION_MASK].t;
  const uint8_t *mask = b->call->in[PM_ATTENTION_MASK].data;
  const int64_t at = b->of[l].mask + key * t->strides[3];
  return t->dtype == PM_BOOL ? (mask[at] ? 0.0f : -INFINITY) : ((const float *)mask)[at];
}

/* Whether each lane sees a key: only then may those that are hidden be passed over. */
static bool all_see(const block *b) {
  for (int l = 0; l < b->lanes; l++) {
    int64_t key = b->of[l].first;
    while (key < b->of[l].last && mask_of(b, l, key) <= SEEN) key++;
    if (key >= b->of[l].last) return false;
  }
  return true;
}

static bool is_hidden(const block *b, int64_t first, int64_t count) {
  const int64_t lanes = b->same_mask ? 1 : b->lanes;
  for (int l = 0; l < lanes; l++)
    for (int64_t key = first; key < first + count; key++)
      if (mask_of(b, l, key) > HIDDEN) return false;
  return true;
}

static void cap_scores(const block *b, int64_t count, float cap, int vectors) {
  for (int64_t i = 0; i < count * vectors; i++) {
    float *s = b->scores + i * PM_VL;
    pm_store(s, pm_vtanh(pm_load(s) / cap) * cap);
  }
}

static void add_mask(const block *b, int64_t first, int64_t count, int vectors) {
  for (int64_t i = 0; i < count; i++)
    for (int v = 0; v < vectors; v++) {
      float *s = b->scores + (i * vectors + v) * PM_VL;
      pm_store(s, pm_load(s) + bias_of(b, first + i, v));
    }
}

/* Hides the keys that a lane may not see. */
static void hide_keys(const block *b, int64_t first, int64_t count, int vectors) {
  const int width = vectors * PM_VL;
  for (int l = 0; l < width; l++) {
    const int64_t begin = PM_MIN(count, PM_MAX(0, b->of[l].first - first));
    const int64_t end = PM_MAX(begin, PM_MIN(count, b->of[l].last - first));
    for (int64_t i = 0; i < begin; i++) b->scores[i * width + l] = -INFINITY;
    for (int64_t i = end; i < count; i++) b->scores[i * width + l] = -INFINITY;
  }
}

/* The block's scores as part of the output of that name. */
static void keep_scores(const block *b, int64_t first, int64_t count, int vectors) {
  const int64_t step = b->call->out[1].t->strides[3];
  for (int64_t l = 0; l < b->lanes; l++) {
    float *to = (float *)b->call->out[1].data + b->of[l].scores + first * step;
    for (int64_t i = 0; i < count; i++) to[i * step] = b->scores[i * vectors * PM_VL + l];
  }
}

/* The running maximum and sum of each lane. */
typedef struct {
  pm_vf most[VECTORS], total[VECTORS], factors[VECTORS];
} running;

/* Scores become shares, not yet divided by their sum; `factors` is for what came before. */
PM_INLINE void share_block(const block *b, int64_t count, running *r, int vectors) {
  const pm_vf least = pm_splat(-INFINITY), zero = {0};
  PM_UNROLL for (int v = 0; v < vectors; v++) {
    float *scores = b->scores + v * PM_VL;
    pm_vf most = r->most[v], sum = zero;
    for (int64_t i = 0; i < count; i++) most = pm_vmax(pm_load(scores + i * vectors * PM_VL), most);
    /* A lane that has seen no key yet. */
    const pm_vf point = pm_if_equal(most, least, zero, most);
    r->factors[v] = pm_vexp(r->most[v] - point);
    for (int64_t i = 0; i < count; i++) {
      const pm_vf share = pm_vexp(pm_load(scores + i * vectors * PM_VL) - point);
      pm_store(scores + i * vectors * PM_VL, share);
      sum += share;
    }
    r->total[v] = r->total[v] * r->factors[v] + sum;
    r->most[v] = most;
  }
}

static bool all_visible(const block *b, int64_t first, int64_t count) {
  for (int64_t l = 0; l < b->lanes; l++)
    if (b->of[l].first > first || b->of[l].last < first + count) return false;
  return true;
}

/* From products to masked scores. */
static void finish_scores(const block *b, int64_t first, int64_t count, int vectors) {
  const int64_t *params = b->call->params;
  const pm_tensor *mask = b->call->in[PM_ATTENTION_MASK].t;
  const int64_t stage = b->call->out[1].t ? params[PM_ATTENTION_STAGE] : -1;
  const float cap = (float)pm_param_f64(params[PM_ATTENTION_SOFTCAP]);
  if (stage == PM_STAGE_PRODUCTS) keep_scores(b, first, count, vectors);
  if (cap != 0) cap_scores(b, count, cap, vectors);
  if (stage == PM_STAGE_CAPPED) keep_scores(b, first, count, vectors);
  if (mask) add_mask(b, first, PM_MIN(count, mask->dims[3] - first), vectors);
  if (!all_visible(b, first, count)) hide_keys(b, first, count, vectors);
  if (stage >= PM_STAGE_MASKED) keep_scores(b, first, count, vectors);
}

static void keep_mixed(const block *b, const running *r, int vectors) {
  const int width = vectors * PM_VL;
  const int64_t step = b->call->out[0].t->strides[3];
  pm_vf parts[VECTORS];
  for (int v = 0; v < vectors; v++)
    parts[v] = 1.0f / pm_if_equal(r->total[v], (pm_vf){0}, pm_splat(1), r->total[v]);
  for (int64_t i = 0; i < b->v_size * vectors; i++) {
    float *mixed = b->mixed + i * PM_VL;
    pm_store(mixed, pm_load(mixed) * parts[i % vectors]);
  }
  for (int64_t l = 0; l < b->lanes; l++) {
    float *y = (float *)b->call->out[0].data + b->of[l].y;
    for (int64_t i = 0; i < b->v_size; i++) y[i * step] = b->mixed[i * width + l];
  }
}

/* Masked scores that were kept become shares. */
static void keep_shares(const block *b, const running *r) {
  const int64_t step = b->call->out[1].t->strides[3];
  for (int64_t l = 0; l < b->lanes; l++) {
    float *scores = (float *)b->call->out[1].data + b->of[l].scores;
    const float most = r->most[l / PM_VL][l % PM_VL], total = r->total[l / PM_VL][l % PM_VL];
    const float point = most == -INFINITY ? 0 : most, part = total == 0 ? 1 : 1 / total;
    for (int64_t i = 0; i < b->keys; i++) {
      const pm_vf share = pm_vexp(pm_splat(scores[i * step] - point));
      scores[i * step] = share[0] * part;
    }
  }
}

PM_INLINE void attend(const block *b, int64_t begin, int64_t end, int vectors) {
  running r;
  for (int v = 0; v < vectors; v++) {
    r.most[v] = pm_splat(-INFINITY);
    r.total[v] = (pm_vf){0};
  }
  memset(b->mixed, 0, (size_t)(b->v_size * vectors * PM_VL) * sizeof(float));
  for (int64_t first = begin; first < end; first += PM_ATTENTION_KEYS) {
    const int64_t count = PM_MIN(PM_ATTENTION_KEYS, end - first);
    if (b->skips && is_hidden(b, first, count)) continue;
    score_block(b, first, count, vectors);
    finish_scores(b, first, count, vectors);
    share_block(b, count, &r, vectors);
    mix_block(b, first, count, r.factors, vectors);
  }
  keep_mixed(b, &r, vectors);
  const bool keeps = b->call->out[1].t && b->call->params[PM_ATTENTION_STAGE] == PM_STAGE_SHARES;
  if (keeps) keep_shares(b, &r);
}

static int64_t offset_of(const pm_tensor *t, int64_t n, int64_t head, int64_t row) {
  const int64_t at[3] = {n, head, row};
  int64_t offset = 0;
  for (int i = 0; t && i < 3; i++)
    if (t->dims[i] != 1) offset += at[i] * t->strides[i];
  return offset;
}

/* Which keys a lane may see. */
static void limit(const block *b, lane *l, int64_t n, int64_t row) {
  const pm_call *call = b->call;
  const pm_tensor *counts = call->in[PM_ATTENTION_COUNTS].t, *mask = call->in[PM_ATTENTION_MASK].t;
  const int64_t *params = call->params, most = (int64_t)1 << 40;
  int64_t position = row + params[PM_ATTENTION_BEFORE];
  l->first = 0;
  l->last = mask ? mask->dims[3] : b->keys;
  if (counts) {
    const int64_t given = ((const int64_t *)call->in[PM_ATTENTION_COUNTS].data)[n * counts->strides[0]];
    const int64_t count = PM_MAX(-most, PM_MIN(most, given));
    position = row + count - call->in[PM_ATTENTION_Q].t->dims[2];
    l->last = PM_MIN(l->last, count);
  }
  if (params[PM_ATTENTION_CAUSAL]) l->last = PM_MIN(l->last, position + 1);
  if (params[PM_ATTENTION_RIGHT] >= 0) l->last = PM_MIN(l->last, position + params[PM_ATTENTION_RIGHT] + 1);
  if (params[PM_ATTENTION_LEFT] >= 0) l->first = PM_MAX(0, position - params[PM_ATTENTION_LEFT]);
}

static void take_lane(block *b, int l, int width, int64_t n, int64_t head, int64_t row) {
  const pm_call *call = b->call;
  const pm_tensor *q = call->in[PM_ATTENTION_Q].t;
  const float scale = (float)pm_param_f64(call->params[PM_ATTENTION_SCALE]);
  lane *own = &b->of[l];
  own->q = offset_of(q, n, head, row);
  own->y = offset_of(call->out[0].t, n, head, row);
  own->scores = offset_of(call->out[1].t, n, head, row);
  own->mask = offset_of(call->in[PM_ATTENTION_MASK].t, n, head, row);
  limit(b, own, n, row);
  const float *from = (const float *)call->in[PM_ATTENTION_Q].data + own->q;
  for (int64_t i = 0; i < b->size; i++) b->q[i * width + l] = from[i * q->strides[3]] * scale;
}

/* The rows of queries [first, first + lanes) that share a head of keys: row r is row r % T of its
   head r / T. Lanes that are not used repeat the last one. */
static void attend_rows(block *b, int64_t n, int64_t head, int64_t first, int64_t lanes) {
  const int64_t rows = b->call->in[PM_ATTENTION_Q].t->dims[2];
  const int width = lanes > PM_VL ? WIDTH : PM_VL;
  int64_t begin = b->keys, end = 0;
  b->lanes = lanes;
  for (int l = 0; l < width; l++) {
    const int64_t row = first + PM_MIN(l, lanes - 1);
    take_lane(b, l, width, n, head * b->group + row / rows, row % rows);
    begin = PM_MIN(begin, b->of[l].first);
    end = PM_MAX(end, b->of[l].last);
  }
  if (b->call->out[1].t) begin = 0, end = b->keys;
  end = PM_MIN(end, b->keys);
  b->skips = b->call->in[PM_ATTENTION_MASK].t && !b->call->out[1].t && all_see(b);
  if (width == PM_VL)
    attend(b, begin, end, 1);
  else
    attend(b, begin, end, VECTORS);
}

static block block_of(const pm_call *call) {
  const pm_tensor *q = call->in[PM_ATTENTION_Q].t, *k = call->in[PM_ATTENTION_K].t;
  const pm_tensor *v = call->in[PM_ATTENTION_V].t, *mask = call->in[PM_ATTENTION_MASK].t;
  block b = {.call = call, .size = q->dims[3], .v_size = v->dims[3], .keys = k->dims[2]};
  b.k_step = k->strides[2];
  b.v_step = v->strides[2];
  b.group = q->dims[1] / k->dims[1];
  b.same_mask = mask && mask->dims[2] == 1 && (mask->dims[1] == 1 || b.group == 1);
  b.q = (float *)call->own_scratch;
  b.scores = b.q + b.size * WIDTH;
  b.mixed = b.scores + PM_ATTENTION_KEYS * WIDTH;
  return b;
}

PM_KERNEL(attention) {
  const pm_tensor *q = call->in[PM_ATTENTION_Q].t, *k = call->in[PM_ATTENTION_K].t;
  const pm_tensor *v = call->in[PM_ATTENTION_V].t;
  if (!q->dims[0] || !q->dims[1] || !q->dims[2]) return;
  block b = block_of(call);
  const int64_t rows = b.group * q->dims[2], blocks = (rows + WIDTH - 1) / WIDTH;
  const int64_t units = k->dims[0] * k->dims[1] * blocks;
  for (int64_t unit = pm_take(worker, 1); unit < units; unit = pm_take(worker, 1)) {
    const int64_t first = unit % blocks * WIDTH, head = unit / blocks % k->dims[1];
    const int64_t n = unit / blocks / k->dims[1];
    b.k = (const float *)call->in[PM_ATTENTION_K].data + n * k->strides[0] + head * k->strides[1];
    b.v = (const float *)call->in[PM_ATTENTION_V].data + n * v->strides[0] + head * v->strides[1];
    attend_rows(&b, n, head, first, PM_MIN(WIDTH, rows - first));
  }
}
