/* Offsets of blocks in a space of a fixed size: a search for a placement without overlaps.

   In: blocks, each a size held over some sections of time, and a capacity. Out: an offset for each.
   The search tries one way after another until a number of nodes is reached: the caller starts it
   again with other ranks. Nothing here allocates, and there is no state between calls. */
#ifndef PM_PACK_H
#define PM_PACK_H

#include <stddef.h>
#include <stdint.h>

#define PM_PACK_MAX_BLOCKS 2048
#define PM_PACK_MAX_SECTIONS 8192
#define PM_PACK_MAX_CAPACITY (INT32_MAX / 2)

typedef enum {
  PM_PACK_NONE,  /* gave up every way; no proof that there is none */
  PM_PACK_FOUND,
  PM_PACK_LIMIT, /* looked at as many nodes as it may */
} pm_pack_result;

typedef struct {
  int32_t blocks, sections;
  const int32_t *lower, *upper; /* sections that a block is held in: lower <= s < upper */
  const int32_t *size;          /* positive; in each section they sum up to the capacity at most */
  const int32_t *rank;          /* a permutation: of blocks that fit equally low, the first is tried first */
  int32_t capacity;
} pm_pack_problem;

/* Bytes of memory that a search needs, aligned as malloc's is. */
size_t pm_pack_bytes(int32_t blocks, int32_t sections);

/* Search. offsets has a place for each block, failures for each section: how often it overflowed. */
pm_pack_result pm_pack(const pm_pack_problem *problem, int64_t nodes, void *memory,
                       int32_t *offsets, int32_t *failures);

#endif
