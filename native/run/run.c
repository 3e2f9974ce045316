/* The runs of a job, and the memory that they take. */
#include <string.h>

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

int run_place(run_job *job) {
  const pm_program *p = &job->program;
  const size_t arena = aligned((size_t)p->header->arena_bytes);
  const size_t scratch = aligned(pm_scratch_bytes(p, job->workers, NULL));
  const size_t layout = aligned(p->n_instrs * sizeof(pm_scratch));
  const size_t lists = aligned((p->n_inputs + p->n_outputs) * sizeof(uint8_t *));
  const size_t ends = sum_of(job->inputs, p->n_inputs) + sum_of(job->outputs, p->n_outputs);
  job->nbytes = arena + scratch + layout + lists + ends;
  job->pages = p->header->arena_bytes < SIZE_MAX / 4 ? pm_pages_new(job->nbytes) : NULL;
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
                            .callbacks = {.poll = on_poll}};
  return RUN_OK;
}

int run_repeat(run_job *job) {
  for (uint64_t i = 0; i < job->options->repeat; i++) {
    const uint64_t begin = pm_now_ns();
    const pm_status status = pm_pool_run(job->pool, &job->args);
    if (status != PM_OK) return run_fail("%s: %s", job->options->model, pm_status_text(status));
    const uint64_t ns = pm_now_ns() - begin;
    if (!i) job->first_ns = job->least_ns = ns;
    if (ns < job->least_ns) job->least_ns = ns;
    job->total_ns += ns;
  }
  return RUN_OK;
}
