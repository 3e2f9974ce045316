/* couple: probabilities of classes from those of pairs of them (Wu, Lin and Weng 2004, the second
   method, as libsvm computes it).

   Input (rows, pairs) float32: how likely the first of each pair is, the pairs in the order (0, 1), (0, 2),
   ..., (1, 2), ...; output (rows, classes) float32. Rounds end when they agree, after the larger of 100 and
   the number of classes at the latest. */
#ifndef PM_COUPLE_H
#define PM_COUPLE_H

#include "kernel.h"

enum { PM_COUPLE_ROUNDS = 100, PM_COUPLE_MOST_CLASSES = 4096 };

/* A matrix of the classes, and two numbers for each. */
static inline size_t pm_couple_scratch_bytes(size_t classes) { return classes * (classes + 2) * sizeof(double); }

#endif
