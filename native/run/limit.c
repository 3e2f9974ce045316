#define _GNU_SOURCE
#include "limit.h"

#include <sys/mman.h>

#include "../host/memory.h"
#include "code.h"

/* Measured, with some room: tests/native/test_run_limit.py asks the kernel whether it is enough. What the
   tool holds beside the head of the file while it runs: code that is touched, page tables, its stack, the
   heap. What runs add to that. What a thread touches of its stack. What the kernel keeps of its own for the
   process, and for a thread. */
#if defined(PELEMAY_STATIC)
#define TOOL_BYTES ((uint64_t)640 << 10)
#else
#define TOOL_BYTES ((uint64_t)2560 << 10) /* the libraries, too */
#endif
#define GROWTH_BYTES ((uint64_t)384 << 10)
#define STACK_BYTES ((uint64_t)12 << 10)
#define KERNEL_BYTES ((uint64_t)144 << 10)
#define KERNEL_THREAD_BYTES ((uint64_t)24 << 10)

static uint64_t whole_pages(uint64_t nbytes) { return (nbytes + PM_PAGE - 1) / PM_PAGE * PM_PAGE; }

uint64_t run_bill_total(const run_bill *b) {
  return b->tool + b->threads + b->arena + b->scratch + b->arrays + b->weights + b->tables;
}

void run_add_bill(run_text *text, const run_bill *bill) {
  const struct {
    const char *what;
    uint64_t bytes;
  } parts[] = {{"the tool and the file's head ", bill->tool}, {"threads ", bill->threads},
               {"arena ", bill->arena},                       {"scratch ", bill->scratch},
               {"inputs and outputs ", bill->arrays},         {"weights ", bill->weights},
               {"tables ", bill->tables}};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    run_add(text, i ? ", " : "");
    run_add(text, parts[i].what);
    run_add_size(text, parts[i].bytes);
  }
}

/* Whole pages of it. */
static size_t metadata_pages(const pm_program *p, uintptr_t *begin) {
  const uintptr_t first = (uintptr_t)p->metadata, last = first + p->metadata_bytes;
  *begin = whole_pages(first);
  const uintptr_t end = last / PM_PAGE * PM_PAGE;
  return end > *begin ? end - *begin : 0;
}

void run_drop_metadata(pm_program *program) {
  uintptr_t begin;
  const size_t nbytes = metadata_pages(program, &begin);
#if defined(MADV_DONTNEED)
  if (nbytes) madvise((void *)begin, nbytes, MADV_DONTNEED);
#endif
  program->metadata_bytes = 0;
}

/* Code that only start-up needed does not count: it is given back. */
void run_bill_begin(run_bill *bill, const pm_source *source, const pm_program *program) {
  pm_held held;
  uintptr_t begin;
  run_drop_code();
  pm_memory_held(&held);
  const uint64_t head = whole_pages(source->head_bytes), total = pm_held_total(&held) + GROWTH_BYTES;
  const uint64_t tool = total > head + TOOL_BYTES ? total - head : TOOL_BYTES;
  *bill = (run_bill){.tool = head - metadata_pages(program, &begin) + tool + KERNEL_BYTES};
}

static uint64_t bytes_of(const pm_program *p, const uint32_t *list, size_t count) {
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) {
    const uint64_t span = pm_span_bytes(&p->tensors[list[i]]);
    total += (span + PM_ALIGNMENT - 1) / PM_ALIGNMENT * PM_ALIGNMENT;
  }
  return total;
}

/* A page of page tables for each two mebibytes, and some more at the edges. */
static void set_tables(run_bill *b, uint64_t overhead) {
  const uint64_t pages = b->arena + b->scratch + b->arrays + b->weights;
  b->tables = overhead + ((pages >> 21) + 4) * PM_PAGE;
}

void run_bill_for(run_bill *bill, const pm_program *p, int workers) {
  pm_stream_need need = {0};
  pm_stream_need_of(p, 0, &need);
  /* The first of them is the process's own; one more for those that read where the kernel does not. */
  bill->threads = (uint64_t)workers * (STACK_BYTES + KERNEL_THREAD_BYTES);
  bill->arena = whole_pages(p->header->arena_bytes);
  bill->scratch = whole_pages(pm_scratch_bytes(p, workers, NULL));
  bill->arrays = whole_pages(bytes_of(p, p->inputs, p->n_inputs) + bytes_of(p, p->outputs, p->n_outputs) +
                             p->n_instrs * sizeof(pm_scratch));
  bill->weights = need.least;
  if (pm_stream_need_of(p, need.least, &need) != PM_OK) need.overhead = 0;
  set_tables(bill, need.overhead);
}

uint64_t run_budget(run_bill *bill, const pm_program *p, uint64_t limit) {
  pm_stream_need need = {0};
  const uint64_t least = bill->weights, fixed = run_bill_total(bill) - bill->weights - bill->tables;
  uint64_t budget = limit - fixed;
  /* The tables grow with the budget: twice is enough to come close from below. */
  for (int i = 0; i < 3; i++) {
    if (pm_stream_need_of(p, budget, &need) != PM_OK) break;
    bill->weights = need.memory;
    set_tables(bill, need.overhead);
    if (run_bill_total(bill) <= limit) return budget;
    const uint64_t over = run_bill_total(bill) - limit;
    budget = bill->weights > least + over ? bill->weights - over : least;
  }
  return least;
}
