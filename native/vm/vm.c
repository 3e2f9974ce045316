/* The run: every worker walks through the instructions, with a barrier between them.

   Instructions that are marked as serial are done by worker 0; between two of them the others are
   not waited for. */
#include "call.h"
#include "opcodes.h"

void pm_call_of(const pm_program *program, uint32_t number, pm_call *call) {
  const pm_instr *instr = &program->instrs[number];
  const uint32_t *operands = program->operands + instr->operands;
  call->instr = instr;
  call->params = program->params + instr->params;
  call->n_in = instr->n_in;
  call->n_out = instr->n_out;
  call->n_params = instr->n_params;
  call->number = number;
  call->scratch = call->own_scratch = NULL;
  for (int i = 0; i < instr->n_in + instr->n_out; i++) {
    pm_view *view = i < instr->n_in ? &call->in[i] : &call->out[i - instr->n_in];
    view->t = operands[i] == PM_NONE ? NULL : &program->tensors[operands[i]];
    view->data = NULL;
  }
}

uint8_t *pm_data_of(const pm_run_args *args, const pm_tensor *t) {
  switch (t->space) {
    case PM_ARENA: return args->arena + t->offset;
    case PM_WEIGHTS: return (uint8_t *)(uintptr_t)args->program->weights + t->offset;
    case PM_INPUT: return (uint8_t *)(uintptr_t)args->inputs[t->index] + t->offset;
    default: return args->outputs[t->index] + t->offset;
  }
}

static void find_data(const pm_run_args *args, pm_call *call) {
  const uint8_t *const *places = args->blocks.places;
  if (places) places += args->blocks.first[call->number];
  for (int i = 0; i < call->n_in; i++) {
    const pm_tensor *t = call->in[i].t;
    if (t && places && t->space == PM_WEIGHTS)
      call->in[i].data = (uint8_t *)(uintptr_t)*places++;
    else if (t)
      call->in[i].data = pm_data_of(args, t);
  }
  for (int i = 0; i < call->n_out; i++)
    if (call->out[i].t) call->out[i].data = pm_data_of(args, call->out[i].t);
}

static void run_kernel(const pm_run_args *args, uint32_t number, const pm_worker *worker) {
  const pm_scratch *part = &args->layout[number];
  pm_call call;
  pm_call_of(args->program, number, &call);
  find_data(args, &call);
  call.scratch = args->scratch;
  call.own_scratch = args->scratch + part->shared + (size_t)worker->id * part->own;
  args->kernels->kernels[call.instr->opcode](&call, worker);
}

/* What worker 0 does now and then while it waits for weights. */
typedef struct {
  const pm_run_args *args;
  const pm_worker *worker;
} waiting;

static pm_status poll_waiting(void *user) {
  const waiting *w = user;
  const pm_callbacks *calls = &w->args->callbacks;
  const pm_status status = calls->poll ? calls->poll(calls->user) : PM_OK;
  if (status != PM_OK) pm_fail(w->worker, status);
  return status;
}

/* Whether the weights that an instruction reads are there: for all of its workers, or for none. */
static bool has_weights(const pm_run_args *args, uint32_t number, const pm_worker *worker) {
  const pm_blocks *blocks = &args->blocks;
  if (!blocks->places || blocks->first[number] == blocks->first[number + 1]) return true;
  waiting w = {args, worker};
  const pm_callbacks polling = {.user = &w, .poll = poll_waiting};
  const pm_status status = blocks->need(blocks->user, number, worker->id ? NULL : &polling);
  if (status != PM_OK) pm_fail(worker, status);
  return status == PM_OK;
}

static void run_host(const pm_run_args *args, uint32_t number, const pm_worker *worker) {
  const pm_callbacks *calls = &args->callbacks;
  const pm_status status = calls->host ? calls->host(calls->user, number) : PM_E_HOST;
  if (status != PM_OK) pm_fail(worker, status);
}

static bool is_serial(const pm_program *program, size_t number) {
  const pm_instr *instr = &program->instrs[number];
  return (instr->flags & PM_SERIAL) || instr->opcode == PM_OP_host;
}

bool pm_needs_workers(const pm_program *program) {
  for (size_t i = 0; i < program->n_instrs; i++)
    if (!is_serial(program, i)) return true;
  return false;
}

static void run_alone(const pm_run_args *args, uint32_t number, const pm_worker *worker) {
  if (worker->id) return;
  const pm_worker alone = {worker->team, 0, 1};
  if (!has_weights(args, number, &alone)) return;
  if (args->program->instrs[number].opcode == PM_OP_host)
    run_host(args, number, &alone);
  else
    run_kernel(args, number, &alone);
  pm_barrier(&alone);
}

static void between(const pm_run_args *args, size_t number, const pm_worker *worker, bool serial) {
  if (serial && worker->id) return;
  if (args->times_ns && !worker->id) args->times_ns[number] = args->now_ns();
  const pm_worker alone = {worker->team, 0, 1};
  if (args->blocks.places) args->blocks.done(args->blocks.user, (uint32_t)number, serial ? &alone : worker);
  if (worker->id) return;
  if (!args->callbacks.poll) return;
  const pm_status status = args->callbacks.poll(args->callbacks.user);
  if (status != PM_OK) pm_fail(worker, status);
}

static bool is_over(const pm_worker *worker) {
  if (worker->count == 1) return atomic_load(&worker->team->failed) != PM_OK;
  return worker->team->stop != PM_OK;
}

pm_status pm_walk(const pm_run_args *args, const pm_worker *worker) {
  const pm_program *program = args->program;
  bool over = false;
  for (size_t i = 0; i < program->n_instrs && !over; i++) {
    const bool serial = is_serial(program, i);
    if (serial)
      run_alone(args, (uint32_t)i, worker);
    else if (has_weights(args, (uint32_t)i, worker))
      run_kernel(args, (uint32_t)i, worker);
    const bool meets = !serial || i + 1 == program->n_instrs || !is_serial(program, i + 1);
    if (meets) pm_barrier(worker);
    if (meets || worker->count == 1) over = is_over(worker);
    between(args, i, worker, serial);
  }
  return (pm_status)atomic_load(&worker->team->failed);
}
