/* Products of matrices whose second one holds whole numbers of 4 bits. */
#ifndef PM_MATMUL_NBITS_H
#define PM_MATMUL_NBITS_H

#include "gemm.h"

enum { NBITS_A, NBITS_WEIGHTS, NBITS_SCALES, NBITS_ZEROS, NBITS_BIAS, NBITS_INPUTS };

enum { NBITS_BLOCK, NBITS_PARAMS };

/* Steps of the sum that one 32-bit word of a column holds. */
#define PM_WORD_STEPS 8

/* Rows of a that are multiplied while the weights are in registers. */
#define PM_NBITS_ROWS 8

#endif
