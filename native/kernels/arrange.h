/* Parts of matrices and sequences turned round.

   trilu: parameters diagonal and upper. x and y are (outer, rows, columns); beyond the diagonal y is 0.
   reverse_sequence: inputs x (batch, time, inner) and lengths (batch); of each sample so many steps
     come in the reverse order. A length beyond the time ends the run with PM_E_INDEX. */
#ifndef PM_ARRANGE_H
#define PM_ARRANGE_H

#include "index.h"

#endif
