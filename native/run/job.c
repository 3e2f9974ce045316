#define _GNU_SOURCE
#include "job.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "../host/cpu.h"
#include "../host/memory.h"
#include "code.h"
#include "signals.h"

static int processors(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : (int)(count < PM_MAX_WORKERS ? count : PM_MAX_WORKERS);
}

static int choose_kernels(run_job *job) {
  const char *isa = job->options->isa;
  job->kernels = pm_kernels_for(isa);
  if (job->kernels) return RUN_OK;
  run_text known = {.count = 0};
  for (const char *const *name = pm_isas(); *name; name++) {
    run_add(&known, name == pm_isas() ? "" : ", ");
    run_add(&known, *name);
  }
  return run_fail("this machine has no instruction set '%s'; it has %s", isa, known.bytes);
}

static int fail_open(const run_job *job, pm_status status, pm_place place) {
  const char *model = job->options->model, *text = pm_status_text(status);
  if (status == PM_E_IO) return run_fail("%s: it cannot be read: %s", model, strerror(errno));
  if (place.instr != PM_NONE) return run_fail("%s, instruction %u: %s", model, place.instr, text);
  return run_fail("%s: %s", model, text);
}

static int make_ends(run_job *job) {
  const pm_program *p = &job->program;
  const size_t count = p->n_inputs + p->n_outputs;
  job->ends_bytes = count * sizeof(run_end);
  job->inputs = (run_end *)(void *)pm_pages_new(job->ends_bytes);
  if (!job->inputs) return run_fail("%s", pm_status_text(PM_E_MEMORY));
  job->outputs = job->inputs + p->n_inputs;
  run_ends_of(p, p->inputs, p->n_inputs, "input", job->inputs);
  run_ends_of(p, p->outputs, p->n_outputs, "output", job->outputs);
  return RUN_OK;
}

int run_open(run_job *job) {
  const int wanted = job->options->threads ? job->options->threads : processors();
  job->workers = wanted < PM_MAX_WORKERS ? wanted : PM_MAX_WORKERS;
  const int code = choose_kernels(job);
  if (code) return code;
  const bool limited = job->options->limit || job->options->automatic;
  if (limited || job->options->info) run_split_code(job->kernels);
  pm_place place = {PM_NONE, PM_NONE};
  pm_status status = pm_source_open(&job->source, job->options->model, !limited);
  if (status == PM_OK) status = pm_source_program(&job->source, &job->program, &place);
  return status == PM_OK ? make_ends(job) : fail_open(job, status, place);
}

static int match(run_job *job) {
  const run_options *o = job->options;
  const pm_program *p = &job->program;
  int code = run_ends_match(job->inputs, p->n_inputs, o->inputs, o->n_inputs);
  if (code == RUN_OK) code = run_ends_match(job->outputs, p->n_outputs, o->outputs, o->n_outputs);
  for (size_t i = 0; i < p->n_inputs && code == RUN_OK; i++) {
    if (job->inputs[i].file) continue;
    run_text missing = {.count = 0};
    run_add_end(&missing, &job->inputs[i]);
    code = run_fail("nothing was given for %s: --input %s=FILE.npy", missing.bytes,
                    job->inputs[i].name ? job->inputs[i].name : "NAME");
  }
  return code;
}

static int begin_outputs(run_job *job) {
  int code = RUN_OK;
  for (size_t i = 0; i < job->program.n_outputs && code == RUN_OK; i++)
    if (job->outputs[i].file) code = run_create(&job->outputs[i]);
  return code;
}

static int read_inputs(const run_job *job) {
  int code = RUN_OK;
  for (size_t i = 0; i < job->program.n_inputs && code == RUN_OK; i++) code = run_read(&job->inputs[i], job->stream);
  return code;
}

/* All are written before the first gets its name. */
static int finish_outputs(run_job *job) {
  const size_t count = job->program.n_outputs;
  int code = RUN_OK;
  for (size_t i = 0; i < count && code == RUN_OK; i++)
    if (job->outputs[i].file) code = run_write(&job->outputs[i], job->stream);
  if (code == RUN_OK && run_signal()) code = RUN_FAILED;
  for (size_t i = 0; i < count && code == RUN_OK; i++)
    if (job->outputs[i].file) code = run_keep(&job->outputs[i]);
  return code;
}

static void say_milliseconds(const char *what, uint64_t ns, const char *end) {
  const uint64_t hundredths = (ns + 5000) / 10000;
  run_text text = {.count = 0};
  run_add(&text, what);
  run_add_number(&text, hundredths / 100);
  run_add(&text, hundredths % 100 < 10 ? ".0" : ".");
  run_add_number(&text, hundredths % 100);
  run_add(&text, " ms");
  run_add(&text, end);
  if (write(STDERR_FILENO, text.bytes, text.count) < 0) return;
}

/* As the kernel counted it. */
static void say_held(void) {
  pm_held held;
  run_text text = {.count = 0};
  pm_memory_held(&held);
  run_add(&text, "pelemay-run: held at most ");
  run_add_size(&text, held.peak + held.page_tables);
  run_add(&text, "\n");
  if (write(STDERR_FILENO, text.bytes, text.count) < 0) return;
}

static void say_times(const run_job *job, uint64_t prepared_ns) {
  const uint64_t repeat = job->options->repeat;
  say_milliseconds("pelemay-run: prepared in ", prepared_ns - job->begin_ns, ", ");
  say_milliseconds("ran in ", job->first_ns, repeat > 1 ? " first, " : "\n");
  if (repeat > 1) say_milliseconds("at least ", job->least_ns, ", ");
  if (repeat > 1) say_milliseconds("on average ", job->total_ns / repeat, "\n");
  say_held();
}

static int run_once_or_more(run_job *job) {
  int code = match(job);
  if (code == RUN_OK) code = run_choose(job);
  if (code == RUN_OK) run_show(job);
  if (code == RUN_OK) code = run_fit(job);
  if (code == RUN_OK) code = run_place(job);
  if (code == RUN_OK) code = begin_outputs(job);
  if (code == RUN_OK) code = read_inputs(job);
  const uint64_t prepared = pm_now_ns();
  if (code == RUN_OK) code = run_repeat(job);
  if (code == RUN_OK) code = finish_outputs(job);
  if (code == RUN_OK && job->options->time) say_times(job, prepared);
  return code;
}

static int follow(run_job *job) {
  const run_options *o = job->options;
  const bool runs = o->n_inputs || o->n_outputs || o->time;
  int code = run_open(job);
  if (code == RUN_OK && o->info) code = run_info(job);
  if (code == RUN_OK && runs) code = run_check(job);
  if (code == RUN_OK && o->verify) code = run_verify(job);
  return code == RUN_OK && runs ? run_once_or_more(job) : code;
}

static void leave(run_job *job) {
  run_hide(job);
  for (size_t i = 0; job->inputs && i < job->program.n_outputs; i++) run_discard(&job->outputs[i]);
  pm_pool_free(job->pool);
  pm_stream_free(job->stream);
  pm_pages_free(job->pages, job->nbytes);
  pm_pages_free((uint8_t *)(void *)job->inputs, job->ends_bytes);
  pm_pages_free(job->tables, job->tables_bytes);
  pm_file_unmap(&job->file);
  pm_source_close(&job->source);
}

int run_do(const run_options *options) {
  run_job job = {.options = options, .begin_ns = pm_now_ns(), .source = {.fd = -1}};
  run_catch_signals();
  int code = follow(&job);
  leave(&job);
  return code == RUN_OK || !run_signal() ? code : run_interrupted();
}
