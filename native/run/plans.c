/* A file of several plans: the one for the inputs that are given. */
#include <string.h>
#include <unistd.h>

#include "job.h"

static bool is_same_name(const pm_program *a, uint32_t x, const pm_program *b, uint32_t y) {
  const uint32_t first = a->tensors[x].name, second = b->tensors[y].name;
  if (first == PM_NONE || second == PM_NONE) return first == second;
  return !strcmp(a->strings + first, b->strings + second);
}

/* Whether inputs and outputs are called the same, in the same order. */
static bool is_alike(const pm_program *plan, const pm_program *file) {
  if (plan->n_inputs != file->n_inputs || plan->n_outputs != file->n_outputs) return false;
  for (size_t i = 0; i < plan->n_inputs; i++)
    if (!is_same_name(plan, plan->inputs[i], file, file->inputs[i])) return false;
  for (size_t i = 0; i < plan->n_outputs; i++)
    if (!is_same_name(plan, plan->outputs[i], file, file->outputs[i])) return false;
  return true;
}

int run_take_plan(const run_job *job, size_t number, pm_program *plan) {
  pm_place place;
  const pm_status status = pm_program_plan(plan, &job->program, number, &place);
  if (status != PM_OK) return run_fail("%s, plan %zu: %s", job->options->model, number, pm_status_text(status));
  if (is_alike(plan, &job->program)) return RUN_OK;
  return run_fail("%s, plan %zu: its inputs and outputs are not those of the file", job->options->model, number);
}

/* The plan at that size, in tables of its own. */
static int take_size(run_job *job, const pm_program *plan, uint64_t size) {
  const size_t tensors = plan->n_tensors * sizeof(pm_tensor), params = plan->n_params * sizeof(int64_t);
  job->tables_bytes = tensors + params;
  job->tables = pm_pages_new(job->tables_bytes);
  if (!job->tables) return run_fail("%s", pm_status_text(PM_E_MEMORY));
  pm_tensor *rows = (pm_tensor *)(void *)job->tables;
  pm_place place;
  const pm_status status =
      pm_program_at(&job->program, plan, size, rows, (int64_t *)(void *)(job->tables + tensors), &place);
  return status == PM_OK ? RUN_OK : run_fail("%s: %s", job->options->model, pm_status_text(status));
}

static void set_types(run_end *ends, const pm_program *p, const uint32_t *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const pm_tensor *t = &p->tensors[list[i]];
    ends[i].type = (npy_array){.dtype = t->dtype, .rank = t->rank};
    ends[i].nbytes = (size_t)pm_span_bytes(t);
    for (int d = 0; d < t->rank; d++) ends[i].type.dims[d] = t->dims[d];
  }
}

static int use(run_job *job, const pm_program *plan, uint64_t size) {
  int code = RUN_OK;
  if (pm_program_sizes(plan) > 1)
    code = take_size(job, plan, size);
  else
    job->program = *plan;
  if (code != RUN_OK) return code;
  set_types(job->inputs, &job->program, job->program.inputs, job->program.n_inputs);
  set_types(job->outputs, &job->program, job->program.outputs, job->program.n_outputs);
  return run_check(job);
}

static int read_shapes(const run_job *job, pm_shape *shapes) {
  int code = RUN_OK;
  for (size_t i = 0; i < job->program.n_inputs && code == RUN_OK; i++) {
    npy_array found;
    code = run_read_type(&job->inputs[i], &found);
    shapes[i].rank = found.rank;
    memcpy(shapes[i].dims, found.dims, sizeof found.dims);
  }
  return code;
}

static void add_shapes(run_text *text, const pm_program *plan) {
  const char *between = "";
  for (size_t i = 0; i < plan->n_inputs; i++, between = ", ") {
    const pm_tensor *t = &plan->tensors[plan->inputs[i]];
    uint64_t dims[PM_MAX_RANK];
    for (int d = 0; d < t->rank; d++) dims[d] = t->dims[d];
    run_add(text, between);
    run_add(text, t->name == PM_NONE ? "?" : plan->strings + t->name);
    run_add(text, " ");
    run_add_type(text, t->dtype, t->rank, dims);
  }
  if (pm_program_sizes(plan) == 1) return;
  run_add(text, ", the largest of ");
  run_add_number(text, pm_program_sizes(plan));
  run_add(text, " sizes");
}

static int fail_none(const run_job *job) {
  run_text known = {.count = 0};
  for (size_t i = 0; i < job->program.n_plans; i++) {
    pm_program plan;
    const int code = run_take_plan(job, i, &plan);
    if (code != RUN_OK) return code;
    run_add(&known, i ? "; " : "");
    add_shapes(&known, &plan);
  }
  return run_fail("%s: no plan of the file is for inputs of these shapes; it has %s", job->options->model,
                  known.bytes);
}

static int choose(run_job *job, const pm_shape *shapes) {
  for (size_t i = 0; i < job->program.n_plans; i++) {
    pm_program plan;
    uint64_t size;
    const int code = run_take_plan(job, i, &plan);
    if (code != RUN_OK) return code;
    if (pm_program_fits(&plan, shapes, &size)) return use(job, &plan, size);
  }
  return fail_none(job);
}

int run_choose(run_job *job) {
  if (!job->program.n_plans) return RUN_OK;
  const size_t nbytes = job->program.n_inputs * sizeof(pm_shape);
  pm_shape *shapes = (pm_shape *)(void *)pm_pages_new(nbytes);
  if (!shapes) return run_fail("%s", pm_status_text(PM_E_MEMORY));
  int code = read_shapes(job, shapes);
  if (code == RUN_OK) code = choose(job, shapes);
  pm_pages_free((uint8_t *)(void *)shapes, nbytes);
  return code;
}

int run_info_plans(const run_job *job) {
  for (size_t i = 0; i < job->program.n_plans; i++) {
    pm_program plan;
    const int code = run_take_plan(job, i, &plan);
    if (code != RUN_OK) return code;
    run_text text = {.count = 0};
    add_shapes(&text, &plan);
    run_add(&text, ", arena ");
    run_add_size(&text, plan.header->arena_bytes);
    run_add(&text, "\n");
    if (write(STDOUT_FILENO, i ? "         " : "plans    ", 9) < 0) return run_fail("the output cannot be written");
    if (write(STDOUT_FILENO, text.bytes, text.count) < 0) return run_fail("the output cannot be written");
  }
  return RUN_OK;
}
