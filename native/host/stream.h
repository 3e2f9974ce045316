/* Weights through a window: blocks are read ahead, in the order in which the instructions use them.

   In: a program whose file was opened as a pm_source, and a budget of bytes. Which blocks stay, where
   the others lie and when each may be read is planned once (stream_plan.h).

     pm_source source;
     pm_program program;
     pm_place place;
     pm_source_open(&source, path, false);
     pm_source_program(&source, &program, &place);
     pm_stream *stream;
     status = pm_stream_new(&stream, &source, &program, budget);
     args.blocks = pm_stream_blocks(stream);          (of pm_run_args)
     pm_stream_attach(stream, &args);
     before each run:
       status = pm_stream_begin(stream);
       if (status == PM_OK) status = pm_pool_run(pool, &args);
     pm_stream_free(stream);
     pm_source_close(&source);

   After a run that failed, whatever the reason, the next one may be tried. */
#ifndef PM_STREAM_H
#define PM_STREAM_H

#include "source.h"

typedef struct pm_stream pm_stream;

/* What a budget gives. */
typedef struct {
  uint64_t least;    /* the smallest budget that works */
  uint64_t most;     /* the budget from which on all blocks stay */
  uint64_t memory;   /* bytes of pages that this budget takes for weights; at most the budget */
  uint64_t window;   /* of them: what the blocks that do not stay share */
  uint64_t resident; /* bytes of blocks that stay */
  uint64_t read;     /* bytes that each run after the first reads */
  uint64_t overhead; /* what is held beside: tables, and what reads take */
} pm_stream_need;

/* PM_E_BUDGET if the budget is below need->least, which is filled in then, as `most` is. */
pm_status pm_stream_need_of(const pm_program *program, uint64_t budget, pm_stream_need *need);

/* The source and the tables of its head must outlive the stream. Nothing is read yet, and no page is touched.
   PM_E_BUDGET as above, PM_E_MEMORY. */
pm_status pm_stream_new(pm_stream **stream, const pm_source *source, const pm_program *program,
                        uint64_t budget);

/* Between runs: serve this program from now on, whose blocks stay where they are. False, and nothing is changed,
   where a stream of its own would read another way: then the program is no other size of the same plan, or its
   blocks do not come in the same order. */
bool pm_stream_use(pm_stream *stream, const pm_source *source, const pm_program *program, uint64_t budget);

/* Waits for the reads that are under way. */
void pm_stream_free(pm_stream *stream);

/* For the arguments of a run: where blocks lie, and whom to ask for them. */
pm_blocks pm_stream_blocks(pm_stream *stream);

/* The arguments of the runs to come, in which a gather from a table that is read by rows finds its indices. */
void pm_stream_attach(pm_stream *stream, const pm_run_args *args);

/* Before the first run, where the caller has other memory to lie before this, in the same large pages:
   whole pages for the stream to take, of so many bytes, the first of which are filled and the others
   as far as rows of tables are. They must outlive the stream. A child of fork() does not use them. */
size_t pm_stream_reserved(const pm_stream *stream);
size_t pm_stream_filled(const pm_stream *stream);
void pm_stream_give(pm_stream *stream, uint8_t *pages);

/* Before each run. Where the run before came to its end, the first blocks may be there already. In a
   child of fork() the memory is taken anew. */
pm_status pm_stream_begin(pm_stream *stream);

#endif
