/* One use of the tool: a program, its arrays, the memory and the workers of its runs. */
#ifndef PM_RUN_JOB_H
#define PM_RUN_JOB_H

#include "../host/file.h"
#include "../host/pool.h"
#include "../host/source.h"
#include "../host/stream.h"
#include "ends.h"
#include "limit.h"
#include "options.h"

typedef struct {
  const run_options *options;
  pm_source source;
  pm_file file; /* the same file, mapped; not where there is a limit */
  pm_program program;
  run_bill bill;
  uint64_t limit;         /* PM_UNLIMITED where there is none */
  const char *limited_by; /* in words */
  const pm_kernel_table *kernels;
  int workers;
  run_end *inputs, *outputs;
  size_t ends_bytes; /* of the pages that hold both lists */
  uint8_t *tables;   /* of a plan at one of its sizes, or NULL */
  size_t tables_bytes;
  uint8_t *pages;    /* arena, scratch, its layout, inputs, outputs, streamed weights */
  size_t nbytes;
  pm_run_args args;
  pm_pool *pool;
  pm_stream *stream; /* NULL where the file is mapped */
  uint64_t *times;   /* where other processes see how far a run is, or NULL: see show.c */
  size_t times_bytes;
  uint64_t begin_ns, first_ns, least_ns, total_ns; /* when the tool began; of the runs */
} run_job;

/* All of it: open, check, read, run, write. The exit code. */
int run_do(const run_options *options);

/* The plan of that number, instead of the file's first; all inputs and outputs are the same but for their
   shapes. */
int run_take_plan(const run_job *job, size_t number, pm_program *plan);

/* What is said of the plans of a file. */
int run_info_plans(const run_job *job);

/* The steps, in their order. Each gives an exit code. */
int run_open(run_job *job);
int run_check(const run_job *job); /* whether the program can be run without Python */
int run_info(const run_job *job);
int run_verify(const run_job *job);
int run_choose(run_job *job); /* the plan for the inputs, of a file that has several */
void run_show(run_job *job); /* to other processes, where PELEMAY_TOP names a folder */
void run_hide(run_job *job);
int run_fit(run_job *job); /* within the limit: how many workers, and how much of the weights at a time */
int run_place(run_job *job);
int run_repeat(run_job *job);

#endif
