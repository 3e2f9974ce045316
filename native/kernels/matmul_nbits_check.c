#include "matmul_nbits.h"

static bool is_of_blocks(const pm_tensor *t, const pm_tensor *weights, int64_t last) {
  return t->rank == 3 && t->dims[0] == weights->dims[0] && t->dims[1] == weights->dims[1] &&
         t->dims[2] == last && pm_is_contiguous(t);
}

static bool are_rows(const pm_tensor *t) {
  return t->rank == 2 && t->dtype == PM_F32 && (t->strides[1] == 1 || t->dims[1] <= 1);
}

/* Whether blocks have a whole number of words, and as many bytes as numbers of 2, 4 or 8 bits need. */
static bool is_of_bits(const pm_tensor *weights, int64_t block) {
  for (int bits = 2; bits <= 8; bits *= 2)
    if (weights->dims[2] == block * bits / 8 * PM_PANEL) return block * bits % PM_WORD_BITS == 0;
  return false;
}

/* Parameters: steps of the sum in a block.
   Inputs: a (m, k); weights (panels, blocks, bytes) uint8, whose bytes say whether a number has 2, 4 or 8
   bits: for each 16, 8 or 4 steps of a block 16 words, one for each column of the panel, whose lowest bits
   are the first step's whole number, of 4 bits from -8 to 7; float32
   scales and int8 or float32 zero points (panels, blocks, 16), the latter left out where all are 0;
   bias (n), or left out. Output: (m, n). */
PM_CHECK(matmul_nbits) {
  if (call->n_in != NBITS_INPUTS || call->n_out != 1 || call->n_params != NBITS_PARAMS) return PM_E_PARAMS;
  const pm_tensor *a = call->in[NBITS_A].t, *w = call->in[NBITS_WEIGHTS].t, *y = call->out[0].t;
  const pm_tensor *scales = call->in[NBITS_SCALES].t, *zeros = call->in[NBITS_ZEROS].t;
  const pm_tensor *bias = call->in[NBITS_BIAS].t;
  if (!a || !w || !scales || !y || !pm_are_whole(call)) return PM_E_PARAMS;
  if (!are_rows(a) || !are_rows(y) || a->dims[0] != y->dims[0]) return PM_E_TENSOR;
  const int64_t block = call->params[NBITS_BLOCK];
  if (block < 4 || block > (1 << 16) || block % 4) return PM_E_PARAMS;
  if (w->rank != 3 || w->dtype != PM_U8 || !pm_is_contiguous(w)) return PM_E_TENSOR;
  if (w->dims[0] != pm_panels(y->dims[1]) || w->dims[1] != pm_ceil_div(a->dims[1], block)) return PM_E_TENSOR;
  if (!is_of_bits(w, block)) return PM_E_TENSOR;
  if (scales->dtype != PM_F32 || !is_of_blocks(scales, w, PM_PANEL)) return PM_E_TENSOR;
  if (zeros && (zeros->dtype != PM_I8 && zeros->dtype != PM_F32)) return PM_E_TENSOR;
  if (zeros && !is_of_blocks(zeros, w, PM_PANEL)) return PM_E_TENSOR;
  if (bias && (bias->dtype != PM_F32 || bias->rank != 1 || bias->dims[0] != y->dims[1])) return PM_E_TENSOR;
  if (bias && bias->strides[0] != 1 && bias->dims[0] > 1) return PM_E_TENSOR;
  /* Sums of the rows of a over each block, where zero points need them. */
  need->own = zeros ? (size_t)w->dims[1] * PM_NBITS_ROWS * sizeof(float) : 0;
  return PM_OK;
}
