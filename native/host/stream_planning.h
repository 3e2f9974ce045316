/* What the parts of the planner of a stream share: which blocks are used when, and what is done with
   each.

   stream_uses.c finds who uses what, stream_choose.c says what stays, stream_place.c gives all a place,
   and stream_plan.c calls them. */
#ifndef PM_STREAM_PLANNING_H
#define PM_STREAM_PLANNING_H

#include "stream_plan.h"

/* A block is read for each instruction, or once and held from its first to its last use, or once and
   for all. */
typedef enum { PM_STREAMED, PM_HELD, PM_STAYS, PM_ROWS } pm_mode;

typedef struct {
  uint64_t begin, end; /* in the file, whole pages */
  uint64_t level;      /* bytes in its part of the run, without those that should stay before it does */
  uint32_t first, last, uses;
  uint32_t load; /* the last one made of it */
  pm_mode mode;
  uint64_t place;
  bool by_rows; /* whether all of its uses take rows of a large table */
} pm_block_state;

typedef struct {
  const pm_program *p;
  size_t n_gathers;
  uint64_t rows; /* bytes of rows that one instruction takes, at most */
  uint64_t budget, wanted; /* wanted: of the window, for blocks that are read for each instruction */
  uint32_t *begin;         /* for each instruction and one more, the first of its uses */
  uint32_t *uses;          /* blocks, each once for an instruction, in the order of the file */
  size_t n_uses;
  pm_block_state *blocks;
  uint64_t *held_at; /* for each instruction, bytes of the blocks that are held then */
  int64_t *busy;     /* for each page of the window, the last instruction that uses it */
  uint32_t *queue;
  uint64_t large, small, peak; /* bytes of blocks that stay, and the most of held_at */
} pm_planning;

static inline uint64_t pm_rounded(uint64_t n, uint64_t step) { return (n + step - 1) / step * step; }

static inline uint64_t pm_place_in_file(const pm_program *p, uint32_t block) {
  return p->header->weights_offset + p->blocks[block].offset;
}

static inline bool pm_is_small(const pm_planning *g, uint32_t b) { return g->p->blocks[b].nbytes < PM_SMALL_BLOCK; }

static inline uint64_t pm_pages_of(const pm_block_state *b) { return b->end - b->begin; }

/* Of stream_uses.c. */

/* The block of an operand; PM_NONE where it is none of the weights, or has no elements. */
uint32_t pm_block_of(const pm_program *p, uint32_t number);

/* The table that an instruction takes rows of: a gather along the first of its axes that is not 1. */
const pm_tensor *pm_table_of(const pm_program *p, uint32_t instr);

/* Finds the blocks that are only read by rows. */
void pm_find_gathered(pm_planning *g);

void pm_collect_uses(pm_planning *g);

/* The least window: of one instruction; and what a few that follow each other take. */
uint64_t pm_most_units(const pm_planning *g, uint64_t *several);

uint64_t pm_bytes_of_all(const pm_planning *g);

/* Bytes that each run reads. */
uint64_t pm_bytes_read(const pm_planning *g);

/* Of stream_choose.c. */

void pm_set_tables(pm_planning *g, pm_mode how);

/* What stays or is held, where the window is of at least `least` bytes, better of `several`. */
pm_status pm_choose(pm_planning *g, uint64_t least, uint64_t several);

void pm_keep_all(pm_planning *g);

/* The largest block that is held at that instruction is read for each instruction from now on. */
bool pm_let_go(pm_planning *g, uint32_t instr);

/* Of stream_place.c: loads, slots in the window, and places of operands, after the choice. */
pm_status pm_place_all(pm_stream_plan *plan, pm_planning *g);

#endif
