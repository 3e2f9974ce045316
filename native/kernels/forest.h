/* forest: what the leaves of decision trees give together, for each row of features.

   Inputs
     x        (rows, features), float32 or float64; each row contiguous
     nodes    (nodes, words) int32, 4 words with float32 and 5 with float64: pm_forest_node_…
     roots    (trees) int32: where each tree begins
     weights  (leaves, k) of x's type: what a leaf gives
     targets  (leaves, k) int32: to which target each of them; left out where k is the number of
              targets and each is for its own. What is beyond the targets is for none.
     start    (rows, targets) of x's type: where to go on from; left out where nothing was before
   Output     (rows, targets) of x's type; may be `start`
   Parameters: pm_forest_combine; pm_forest_kinds, what its nodes may have.

   Numbers from 0 on are nodes, those behind them leaves. The next node lies `step + 1` behind the
   one that leads there, so that every walk ends, whatever bytes are read as nodes: they are not
   checked when a program is opened. Numbers of features and leaves are held in range. */
#ifndef PM_FOREST_H
#define PM_FOREST_H

#include "kernel.h"

/* Sums begin with 0; what no leaf has given a least or largest is NaN. */
typedef enum { PM_FOREST_SUM, PM_FOREST_MIN, PM_FOREST_MAX, PM_FOREST_COMBINES } pm_forest_combine;

/* Bits: nodes may ask for equality; nodes may send NaN where the answer is yes. */
enum { PM_FOREST_EQUAL = 1, PM_FOREST_NAN = 2, PM_FOREST_KINDS = 4 };

/* Whether a feature is at most the threshold. Above the feature's number lie bits, which are looked at
   where a kind is named that needs them; `step` is that of no and of yes. Tables of int32 lie anywhere. */
#define PM_FOREST_NODE(real) \
  typedef struct __attribute__((packed, aligned(4))) { \
    real threshold; \
    uint32_t feature, step[2]; \
  } pm_forest_node_##real
PM_FOREST_NODE(float);
PM_FOREST_NODE(double);

#define PM_NODE_EQUAL 0x80000000u
#define PM_NODE_NAN 0x40000000u
#define PM_NODE_FEATURE 0x3fffffffu

enum { FOREST_X, FOREST_NODES, FOREST_ROOTS, FOREST_WEIGHTS, FOREST_TARGETS, FOREST_START, FOREST_INPUTS };
enum { FOREST_COMBINE, FOREST_KINDS, FOREST_PARAMS };

#endif
