/* Which blocks of weights stay in memory, where the others lie, and when each may be read.

   The order of uses is known from the instructions, so all of it is decided before the first run,
   and is the same in each. Memory is the window, then the blocks that stay, then the small ones of
   them, close together. A load is a range of the file that lies in one slot from the first to the
   last instruction that uses it; the loads are made one after the other, each as soon as what
   lay in its slot before is done with. Nothing here reads or waits. */
#ifndef PM_STREAM_PLAN_H
#define PM_STREAM_PLAN_H

#include "source.h"

#define PM_SMALL_BLOCK (64u << 10) /* smaller blocks that stay lie close together, read at once */

typedef struct {
  uint64_t offset, nbytes; /* of the file, whole pages; the last may reach beyond its end */
  uint64_t slot;           /* from the start of the memory, a multiple of PM_PAGE */
  uint32_t first, last;    /* instructions that use it */
  uint32_t blocks, count;  /* in pm_stream_plan.held */
  int64_t after;           /* instruction that must be done before it may be read; one below zero is
                              n_instrs + after of the run before, PM_ANY_TIME any time */
  bool stays;              /* it is read in the first run only */
} pm_load;

#define PM_ANY_TIME INT64_MIN

#define PM_TABLE_BLOCK (1u << 20) /* from so many bytes on, a table of rows is read by rows */

/* A block that is read by rows: the one that a gather takes some rows of. */
typedef struct {
  uint32_t instr, block;
  uint64_t begin, nbytes; /* of the file, whole pages */
  uint64_t place;         /* where `begin` would lie, from the start of the memory; beyond its end */
} pm_table;

typedef struct {
  uint32_t block;
  uint64_t place; /* from the start of the memory */
} pm_small;

typedef struct {
  pm_load *loads; /* in the order in which they are read */
  size_t n_loads;
  uint32_t *held; /* blocks of all loads */
  pm_small *small; /* blocks that are read before all loads, in the order of the file */
  size_t n_small;
  pm_table *tables; /* one for each such instruction, in their order */
  size_t n_tables;
  uint64_t reserved; /* addresses: memory, and places for whole tables, of which rows are filled */
  uint32_t *needs;   /* for each instruction, how many loads must have been made; one more than the number of
                        the last, 0 where it uses none */
  uint64_t *places;  /* for each operand among the weights, instruction after instruction, where its block begins,
                        from the start of the memory */
  uint32_t *first;   /* for each instruction and one more, the first of its places */
  uint64_t window, resident, memory, read, least, most, overhead;
} pm_stream_plan;

/* PM_E_BUDGET if the budget is too small; plan->least and plan->most are right then, and there are no
   tables. */
pm_status pm_stream_plan_new(pm_stream_plan *plan, const pm_program *program, uint64_t budget);
void pm_stream_plan_free(pm_stream_plan *plan);

/* Whether the same is read for two plans of as many instructions, over the same blocks, wherever in its block
   an operand begins. */
bool pm_stream_plan_is_alike(const pm_stream_plan *a, const pm_stream_plan *b, size_t n_instrs);

#endif
