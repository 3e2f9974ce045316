/* The instruction `unpool`: numbers back to the places that a maximum was taken from, zeros elsewhere.

   in: x and places (int64), of one shape (N, C, up to 3 more). out: y, of x's type and rank.
   params: the sizes, beside N and C, of the image whose flattened places are meant; as many as are
   lacking of 3 are 1 and come first. Places outside of it, or outside of y, are left out; of several
   numbers for one place the first counts. */
#ifndef PM_POOL_UNPOOL_H
#define PM_POOL_UNPOOL_H

#include "reduce_path.h"

enum { PM_UNPOOL_PARAMS = 3 };

#endif
