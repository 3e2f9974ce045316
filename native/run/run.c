/* The runs of a job, and the memory that they take. */
#define _GNU_SOURCE
#include <errno.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <string.h>

#include "../host/guard.h"
#include "../host/memory.h"
#include "code.h"
#include "job.h"
#include "signals.h"

static size_t aligned(size_t nbytes) { return (nbytes + PM_ALIGNMENT - 1) / PM_ALIGNMENT * PM_ALIGNMENT; }

static size_t sum_of(const run_end *ends, size_t count) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) total += aligned(ends[i].nbytes);
  return total;
}

/* The places of one kind of end, one after the other; gives what comes behind them. */
static uint8_t *place_ends(run_end *ends, size_t count, uint8_t *at, uint8_t **places) {
  for (size_t i = 0; i < count; i++) {
    places[i] = ends[i].data = at;
    at += aligned(ends[i].nbytes);
  }
  return at;
}

static pm_status on_poll(void *user) {
  (void)user;
  return run_signal() ? PM_E_INTERRUPTED : PM_OK;
}

/* What the options or the system say. */
static void find_limit(run_job *job) {
  const run_options *o = job->options;
  pm_held held;
  pm_limits limits;
  job->limit = o->limit ? o->limit : PM_UNLIMITED;
  job->limited_by = "--memory-limit";
  if (!o->automatic) return;
  pm_memory_held(&held);
  pm_memory_limits(&limits, &held);
  job->limit = pm_memory_auto(&limits, &job->limited_by);
}

static int fail_limit(const run_job *job) {
  run_text limit = {.count = 0}, least = {.count = 0}, parts = {.count = 0};
  run_add_size(&limit, job->limit);
  run_add_size(&least, run_bill_total(&job->bill));
  run_add_bill(&parts, &job->bill);
  return run_fail("%s: %s leaves %s, and the least that works is %s with %d thread%s: %s", job->options->model,
                  job->limited_by, limit.bytes, least.bytes, job->workers, job->workers > 1 ? "s" : "", parts.bytes);
}

static int map_weights(run_job *job) {
  const pm_status status = pm_source_map(&job->source, &job->file, &job->program);
  if (status == PM_OK) return RUN_OK;
  if (status != PM_E_IO) return run_fail("%s: %s", job->options->model, pm_status_text(status));
  return run_fail("%s: it cannot be mapped: %s", job->options->model, strerror(errno));
}

/* The heap would keep what is freed. */
static void be_frugal(void) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 16 << 10);
  mallopt(M_TRIM_THRESHOLD, 16 << 10);
  mallopt(M_TOP_PAD, 4 << 10);
#endif
}

int run_fit(run_job *job) {
  find_limit(job);
  if (job->limit == PM_UNLIMITED) return map_weights(job);

  be_frugal();
  run_bill_begin(&job->bill, &job->source, &job->program);
  for (;; job->workers--) {
    run_bill_for(&job->bill, &job->program, job->workers);
    job->bill.arrays += job->times_bytes;
    if (run_bill_total(&job->bill) <= job->limit) break;
    if (job->workers == 1 || job->options->threads) return fail_limit(job);
  }
  const uint64_t others = run_bill_total(&job->bill) - job->bill.weights;
  if (job->source.file_bytes <= job->limit - others) return map_weights(job);

  run_drop_metadata(&job->program);
  const uint64_t budget = run_budget(&job->bill, &job->program, job->limit);
  const pm_status status = pm_stream_new(&job->stream, &job->source, &job->program, budget);
  return status == PM_OK ? RUN_OK : run_fail("%s: %s", job->options->model, pm_status_text(status));
}

/* The weights that are streamed lie behind the other bytes, in whole pages. */
static uint8_t *take_pages(run_job *job, size_t nbytes) {
  const size_t own = (nbytes + PM_PAGE - 1) / PM_PAGE * PM_PAGE;
  job->nbytes = job->stream ? own + pm_stream_reserved(job->stream) : own;
  if (!job->stream) return pm_pages_new(job->nbytes);
  uint8_t *pages = pm_pages_new_large(job->nbytes, own + pm_stream_filled(job->stream));
  if (pages) pm_stream_give(job->stream, pages + own);
  return pages;
}

int run_place(run_job *job) {
  const pm_program *p = &job->program;
  const size_t arena = aligned((size_t)p->header->arena_bytes);
  const size_t scratch = aligned(pm_scratch_bytes(p, job->workers, NULL));
  const size_t layout = aligned(p->n_instrs * sizeof(pm_scratch));
  const size_t lists = aligned((p->n_inputs + p->n_outputs) * sizeof(uint8_t *));
  const size_t ends = sum_of(job->inputs, p->n_inputs) + sum_of(job->outputs, p->n_outputs);
  const size_t nbytes = arena + scratch + layout + lists + ends;
  job->pages = p->header->arena_bytes < SIZE_MAX / 4 ? take_pages(job, nbytes) : NULL;
  job->pool = pm_pool_new(job->workers);
  if (!job->pages || !job->pool) return run_fail("%s", pm_status_text(PM_E_MEMORY));
  uint8_t *at = job->pages + arena + scratch;
  pm_scratch *rows = (pm_scratch *)(void *)at;
  pm_scratch_bytes(p, job->workers, rows);
  uint8_t **places = (uint8_t **)(void *)(at + layout);
  at = place_ends(job->inputs, p->n_inputs, at + layout + lists, places);
  place_ends(job->outputs, p->n_outputs, at, places + p->n_inputs);
  job->args = (pm_run_args){.program = p,
                            .kernels = job->kernels,
                            .arena = job->pages,
                            .scratch = job->pages + arena,
                            .layout = rows,
                            .inputs = (const uint8_t *const *)places,
                            .outputs = places + p->n_inputs,
                            .callbacks = {.poll = on_poll},
                            .now_ns = pm_now_ns,
                            .times_ns = job->times};
  if (job->stream) {
    job->args.blocks = pm_stream_blocks(job->stream);
    pm_stream_attach(job->stream, &job->args);
  }
  return RUN_OK;
}

int run_repeat(run_job *job) {
  if (job->stream) run_drop_code();
  for (uint64_t i = 0; i < job->options->repeat; i++) {
    const uint64_t begin = pm_now_ns();
    if (job->times) job->times[job->program.n_instrs] = begin;
    pm_guard guard;
    pm_status status = pm_guard_begin(&guard, &job->file);
    if (status == PM_OK && job->stream) status = pm_stream_begin(job->stream);
    if (status == PM_OK) status = pm_pool_run(job->pool, &job->args);
    status = pm_guard_end(&guard, status);
    if (status != PM_OK) return run_fail("%s: %s", job->options->model, pm_status_text(status));
    const uint64_t ns = pm_now_ns() - begin;
    if (!i) job->first_ns = job->least_ns = ns;
    if (ns < job->least_ns) job->least_ns = ns;
    job->total_ns += ns;
  }
  return RUN_OK;
}
