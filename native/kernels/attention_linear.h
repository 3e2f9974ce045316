/* The instruction `linear_attention`: attention as a recurrence, a state for each head of keys.

   in: queries (N, H, T, D), keys (N, K, T, D), values (N, K, T, E); and, each of which may be left
   out, the state before (N, K, D, E), logarithms of decays (N, K, T, D or 1), rates (N, K or 1, T, 1).
   out: (N, H, T, E) and the state behind (N, K, D, E). All are float32 with any strides.
   params: scale (a double).

   For each token: state *= exp(decay); new = value - rate: what the state gives for the key is taken
   off the value, and the rest times the rate is what is new (without rates the value is new);
   state += key x new; the result is query * scale x state. */
#ifndef PM_ATTENTION_LINEAR_H
#define PM_ATTENTION_LINEAR_H

#include "kernel.h"

enum {
  PM_LINEAR_Q,
  PM_LINEAR_K,
  PM_LINEAR_V,
  PM_LINEAR_STATE,
  PM_LINEAR_DECAY,
  PM_LINEAR_RATE,
  PM_LINEAR_INPUTS,
};

enum { PM_LINEAR_PARAMS = 1 };

#endif
