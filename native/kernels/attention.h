/* The instruction `attention`: softmax(queries x keys) x values, a few query rows at a time.

   in: queries (N, H, T, D), keys (N, K, S, D) and values (N, K, S, E), with any strides but 1 along
   the last axis of keys and values; each of the K heads serves H / K heads of queries. Mask (float32
   or bool), of size N, H, T or 1 along the first three axes and at most S along the last, may be
   left out: a float is added to a score, false hides a key, keys without a mask are hidden. Counts
   (int64, N) of keys that are no padding, may be left out.
   out: (N, H, T, E); scores (N, H, T, S), may be left out.
   params: see below.

   A query at place i is at position i + before, or i + count - T where there are counts. */
#ifndef PM_ATTENTION_H
#define PM_ATTENTION_H

#include "kernel.h"

enum { PM_ATTENTION_Q, PM_ATTENTION_K, PM_ATTENTION_V, PM_ATTENTION_MASK, PM_ATTENTION_COUNTS };

enum {
  PM_ATTENTION_SCALE,   /* of the products; a double */
  PM_ATTENTION_SOFTCAP, /* s becomes cap * tanh(s / cap) unless the cap is 0; a double */
  PM_ATTENTION_CAUSAL,  /* whether keys behind the query are hidden */
  PM_ATTENTION_BEFORE,
  PM_ATTENTION_LEFT,    /* keys that are farther before the query are hidden; -1 for none */
  PM_ATTENTION_RIGHT,   /* the same behind it */
  PM_ATTENTION_STAGE,   /* the scores wanted: products, capped, masked, shares */
  PM_ATTENTION_PARAMS
};

/* Keys of a block, and the most queries. */
enum { PM_ATTENTION_KEYS = 128, PM_ATTENTION_QUERIES = 32 };

typedef enum { PM_STAGE_PRODUCTS, PM_STAGE_CAPPED, PM_STAGE_MASKED, PM_STAGE_SHARES } pm_stage;

#endif
