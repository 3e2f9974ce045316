/* Products of matrices of 8-bit integers and of stacks of them.

   Operands: a and b (uint8 or int8), the zero point of a and the multipliers where only the run knows
   them, and for a b that is not packed its zero point, and a bias in int32 and one in float32 for each
   column. All but the first two may be left out. Out: y of 8 bits, int32 or float32.
   The outer dimensions of a and b may be 1 where those of the output are not. b may have been packed when
   the program was made (qgemm.h), the same for the whole stack; else each part of it is packed here. */
#ifndef PM_QMATMUL_H
#define PM_QMATMUL_H

#include "matmul.h"
#include "qgemm.h"

enum {
  QMATMUL_TRANS_B, /* whether the last two axes of b are swapped */
  QMATMUL_PACKED,
  QMATMUL_TAIL, /* pm_qrow of the rows behind a panel */
  QMATMUL_ZERO, /* of a, where it is no operand */
  QMATMUL_Y_ZERO,
  QMATMUL_LOW, /* bounds of y */
  QMATMUL_HIGH,
  QMATMUL_B_ZERO, /* of a b that is not packed, where it is no operand */
  QMATMUL_COLUMNS, /* columns and rows of a part */
  QMATMUL_ROWS,
  QMATMUL_PARAMS,
};

static inline pm_matmul pm_qmatmul_of(const pm_call *call) {
  const int64_t *v = call->params;
  return pm_matmul_form(call->in[0].t, call->in[1].t, NULL, call->out[0].t, false,
                        v[QMATMUL_TRANS_B] != 0, v[QMATMUL_PACKED] != 0);
}

/* Columns of a part, at most, of a product with so many. */
static inline int64_t pm_qmatmul_columns(const pm_matmul *p, const int64_t *params) {
  return PM_MIN(params[QMATMUL_COLUMNS], PM_MAX(1, pm_qpanels(p->n)) * PM_QPANEL);
}

#endif
