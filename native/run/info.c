/* What a program is: what it takes and gives, whether it needs Python, whether its weights are whole. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../host/cpu.h"
#include "../vm/opcodes.h"
#include "job.h"
#include "json.h"
#include "signals.h"

static json metadata_of(const pm_program *p) {
  return (json){p->metadata, p->metadata + p->metadata_bytes};
}

/* Names of what needs Python, as many as there is room for. */
typedef struct {
  run_text names;
  size_t count;
} found;

static void note(found *f, const char *name, size_t length) {
  char piece[64];
  if (length >= sizeof piece) length = sizeof piece - 1;
  memcpy(piece, name, length);
  piece[length] = 0;
  f->count++;
  if (f->count > 5) return;
  run_add(&f->names, f->count > 1 ? ", '" : "'");
  run_add(&f->names, piece);
  run_add(&f->names, "'");
}

static void find_host(const pm_program *p, found *f) {
  for (size_t i = 0; i < p->n_instrs; i++) {
    const pm_instr *instr = &p->instrs[i];
    const char *name = instr->name == PM_NONE ? "?" : p->strings + instr->name;
    if (instr->opcode == PM_OP_host) note(f, name, strlen(name));
  }
}

/* Nodes behind the last instruction are named in the metadata only. */
static void find_tail(const pm_program *p, found *f) {
  json tail, list, item, node;
  const char *text;
  size_t length;
  if (!json_member(metadata_of(p), "tail", &tail) || json_is_null(tail)) return;
  bool more = json_member(tail, "nodes", &list) && json_first(list, &item);
  if (!more) note(f, "?", 1);
  for (; more; more = json_next(&item))
    if (json_member(item, "node", &node) && json_text(node, &text, &length)) note(f, text, length);
}

int run_check(const run_job *job) {
  found f = {.count = 0};
  find_host(&job->program, &f);
  find_tail(&job->program, &f);
  if (!f.count) return RUN_OK;
  return run_fail("%s: without Python there is nothing to run %s%s: %llu of its nodes have no instruction; "
                  "see 'pelemay inspect', and use 'pelemay run'",
                  job->options->model, f.names.bytes, f.count > 5 ? " and others" : "",
                  (unsigned long long)f.count);
}

static void show_ends(const run_end *ends, size_t count) {
  for (size_t i = 0; i < count; i++) {
    run_text type = {.count = 0};
    run_add_type(&type, ends[i].type.dtype, ends[i].type.rank, ends[i].type.dims);
    const char *name = ends[i].name ? ends[i].name : "?";
    dprintf(STDOUT_FILENO, "%-8s %s %s\n", i ? "" : ends[i].what, name, type.bytes);
  }
}

static void show_size(const char *what, uint64_t nbytes) {
  run_text size = {.count = 0};
  run_add_size(&size, nbytes);
  dprintf(STDOUT_FILENO, "%-8s %s\n", what, size.bytes);
}

/* The last that is shown: whether it could be written stands for all of it. */
static int show_least(const run_job *job) {
  run_bill bill;
  run_text parts = {.count = 0};
  run_bill_begin(&bill, &job->source, &job->program);
  run_bill_for(&bill, &job->program, 1);
  show_size("least", run_bill_total(&bill));
  run_add_bill(&parts, &bill);
  if (dprintf(STDOUT_FILENO, "         %s\n", parts.bytes) > 0) return RUN_OK;
  return run_fail("the output cannot be written: %s", strerror(errno));
}

int run_info(const run_job *job) {
  const pm_program *p = &job->program;
  json name;
  const char *text;
  size_t length;
  if (json_member(metadata_of(p), "graph", &name) && json_text(name, &text, &length))
    dprintf(STDOUT_FILENO, "graph    %.*s\n", (int)length, text);
  show_ends(job->inputs, p->n_inputs);
  show_ends(job->outputs, p->n_outputs);
  const int code = run_info_plans(job);
  if (code != RUN_OK) return code;
  show_size("weights", p->header->weights_bytes);
  show_size("arena", p->header->arena_bytes);
  show_size("scratch", pm_scratch_bytes(p, job->workers, NULL));
  dprintf(STDOUT_FILENO, "threads  %d\nkernels  %s\n", job->workers, pm_kernels_isa(job->kernels));
  return show_least(job);
}

#define CHUNK ((size_t)64 << 10)

static int check_block(const run_job *job, const pm_program *p, uint8_t *chunk, size_t number) {
  const pm_block *b = &p->blocks[number];
  uint32_t crc = 0;
  for (uint64_t done = 0; done < b->nbytes;) {
    const uint64_t offset = p->header->weights_offset + b->offset + done;
    const size_t nbytes = b->nbytes - done < CHUNK ? (size_t)(b->nbytes - done) : CHUNK;
    uint8_t *to = chunk + offset % PM_PAGE;
    const pm_status status = run_signal() ? PM_E_INTERRUPTED : pm_source_read(&job->source, offset, nbytes, to);
    if (status != PM_OK) return run_fail("%s: %s", job->options->model, pm_status_text(status));
    crc = pm_crc32(crc, to, nbytes);
    done += nbytes;
  }
  if (crc == b->crc) return RUN_OK;
  return run_fail("%s: the weights '%s' are damaged: their checksum does not match", job->options->model,
                  b->name == PM_NONE ? "?" : p->strings + b->name);
}

static int check_blocks(const run_job *job, const pm_program *p, uint8_t *chunk) {
  int code = RUN_OK;
  for (size_t i = 0; i < p->n_blocks && code == RUN_OK; i++) code = check_block(job, p, chunk, i);
  return code;
}

/* Read, not mapped, so that the weights do not count as the process's. */
int run_verify(const run_job *job) {
  const size_t nbytes = CHUNK + 2 * PM_PAGE;
  uint8_t *chunk = pm_pages_new(nbytes);
  int code = chunk ? check_blocks(job, &job->program, chunk) : run_fail("%s", pm_status_text(PM_E_MEMORY));
  for (size_t i = 1; i < job->program.n_plans && code == RUN_OK; i++) {
    pm_program plan;
    code = run_take_plan(job, i, &plan);
    if (code == RUN_OK) code = check_blocks(job, &plan, chunk);
  }
  pm_pages_free(chunk, nbytes);
  return code;
}
