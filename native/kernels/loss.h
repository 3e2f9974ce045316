/* loss: how wrong a classifier is.

   Inputs x (batch, classes, places), logarithms of probabilities or, with `scores`, what they are the
   softmax of; the right classes (batch, places) as int32 or int64; weights of the classes, or none. The
   output is (batch, places), or one element for a sum or mean.
   Parameters: reduction, a class that does not count, whether there is one, whether x are scores.
   Classes out of range are held in it. */
#ifndef PM_LOSS_H
#define PM_LOSS_H

#include "nest.h"

typedef enum { PM_LOSS_NONE, PM_LOSS_SUM, PM_LOSS_MEAN, PM_LOSS_REDUCTIONS } pm_loss_reduction;

#endif
