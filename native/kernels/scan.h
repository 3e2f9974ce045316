/* The instruction `scan`: running sums or products along one axis.

   in: x. out: y, of x's type and shape; may be x itself.
   params: axis, whether products are meant, whether the element itself is left out, whether from
   the end. */
#ifndef PM_SCAN_H
#define PM_SCAN_H

#include "reduce_path.h"

enum { PM_SCAN_PARAMS = 4 };

#endif
