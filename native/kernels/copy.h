/* copy: elements as they are, to an output of any strides.

   The input has elements of the same size and is broadcast to the output's shape. One optional
   parameter: a set of bits, one for each axis of the output; along those axes the input is read
   from its end. */
#ifndef PM_COPY_H
#define PM_COPY_H

#include "nest.h"

static inline uint32_t pm_copy_turned(const pm_call *call) {
  return call->n_params ? (uint32_t)call->params[0] : 0;
}

#endif
