/* Products of matrices whose second one holds whole numbers of 2, 4 or 8 bits. */
#ifndef PM_MATMUL_NBITS_H
#define PM_MATMUL_NBITS_H

#include "gemm.h"

enum { NBITS_A, NBITS_WEIGHTS, NBITS_SCALES, NBITS_ZEROS, NBITS_BIAS, NBITS_INPUTS };

enum { NBITS_BLOCK, NBITS_PARAMS };

/* Of a word of a column, which holds as many steps of the sum as fit. */
#define PM_WORD_BITS 32

/* Rows of a that are multiplied while the weights are in registers. */
#define PM_NBITS_ROWS 8

#endif
