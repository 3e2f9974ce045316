/* What a run holds at its worst, and whether a limit on the whole process is enough for it. */
#ifndef PM_RUN_LIMIT_H
#define PM_RUN_LIMIT_H

#include "../host/stream.h"
#include "say.h"

/* Bytes. */
typedef struct {
  uint64_t tool;    /* held once the program is open, and what runs will touch of the tool's code */
  uint64_t threads; /* stacks, as far as they are touched, and what the kernel keeps */
  uint64_t arena, scratch;
  uint64_t arrays;  /* inputs, outputs, lists */
  uint64_t weights; /* a window for the weights, or all of them */
  uint64_t tables;  /* of the window, and the pages' of all this */
} run_bill;

uint64_t run_bill_total(const run_bill *bill);

/* How large each part is. */
void run_add_bill(run_text *text, const run_bill *bill);

/* What is known when the program is open, before any of its memory is taken. */
void run_bill_begin(run_bill *bill, const pm_source *source, const pm_program *program);

/* Give back the pages of the metadata, which no run needs: they are not on the bill. */
void run_drop_metadata(pm_program *program);

/* The same for a number of workers, with the least window for the weights. */
void run_bill_for(run_bill *bill, const pm_program *program, int workers);

/* The largest budget for weights that a limit leaves; run_bill_for() is no more than the limit. */
uint64_t run_budget(run_bill *bill, const pm_program *program, uint64_t limit);

#endif
