/* 8-bit integers element by element.

   qbinary: a, b, of 8 bits, broadcast to y; parameters below. A sum is a * ra + (b * rb + shift), in which
   the zero points are in the shift; a product (a - za) * (b - zb) * ra. Then rounded, plus the zero point.
   qtable: x of 8 bits, a table of 256 elements of y's type; y has x's shape. Negative numbers are behind
   the others. */
#ifndef PM_QELEMENT_H
#define PM_QELEMENT_H

#include "nest.h"
#include "qgemm.h"

typedef enum { PM_QADD, PM_QMUL, PM_QOPERATIONS } pm_qoperation; /* in the order of lower/quantized.py */

enum {
  QBINARY_OPERATION,
  QBINARY_RA, /* doubles */
  QBINARY_RB,
  QBINARY_SHIFT,
  QBINARY_A_ZERO,
  QBINARY_B_ZERO,
  QBINARY_Y_ZERO,
  QBINARY_LOW,
  QBINARY_HIGH,
  QBINARY_PARAMS,
};

#endif
