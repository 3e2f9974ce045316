/* Opening a program: everything in the file is checked here, once, and trusted afterwards.

   After PM_OK: every table lies in the file; every operand is a tensor whose whole span lies in its
   space; outputs of instructions lie in the arena or in an output, without two elements in one
   place; every instruction's own check has agreed. */
#include <string.h>

#include "call.h"
#include "opcodes.h"
#include "tables.h"

static const uint8_t magic[8] = {'P', 'L', 'M', 0, '\r', '\n', 0x1a, '\n'};

#define MAX_SPAN ((uint64_t)1 << 46)

/* Where the last element would lie, in elements from the first, were sizes of 0 left out;
   UINT64_MAX if that is beyond MAX_SPAN. */
static uint64_t last_element(const pm_tensor *t) {
  uint64_t last = 0;
  for (int i = 0; i < t->rank; i++) {
    uint64_t size = t->dims[i];
    if (t->ring && i == t->rank - 3 && t->ring < size) size = t->ring;
    if (!size) continue;
    const uint64_t stride = (uint64_t)t->strides[i];
    if (stride > MAX_SPAN || size - 1 > MAX_SPAN / (stride + 1)) return UINT64_MAX;
    last += (size - 1) * stride;
    if (last > MAX_SPAN) return UINT64_MAX;
  }
  return last;
}

uint64_t pm_span_bytes(const pm_tensor *t) {
  for (int i = 0; i < t->rank; i++)
    if (!t->dims[i]) return 0;
  const uint64_t last = last_element(t);
  return last > MAX_SPAN ? UINT64_MAX : (last + 1) * pm_dtype_size(t->dtype);
}

bool pm_find_table(const pm_section *section, size_t size, const uint8_t *bytes, size_t limit,
                   const void **table, size_t *count) {
  if (section->offset > limit || section->count > (limit - section->offset) / size) return false;
  if (section->offset % 8) return false;
  *table = bytes + section->offset;
  *count = (size_t)section->count;
  return true;
}

bool pm_find_tables(pm_program *p, const pm_header *h, const uint8_t *bytes) {
  const size_t limit = (size_t)h->weights_offset; /* at most the bytes of the head */
  return pm_find_table(&h->tensors, sizeof(pm_tensor), bytes, limit, (const void **)&p->tensors, &p->n_tensors) &&
         pm_find_table(&h->instrs, sizeof(pm_instr), bytes, limit, (const void **)&p->instrs, &p->n_instrs) &&
         pm_find_table(&h->operands, 4, bytes, limit, (const void **)&p->operands, &p->n_operands) &&
         pm_find_table(&h->params, 8, bytes, limit, (const void **)&p->params, &p->n_params) &&
         pm_find_table(&h->inputs, 4, bytes, limit, (const void **)&p->inputs, &p->n_inputs) &&
         pm_find_table(&h->outputs, 4, bytes, limit, (const void **)&p->outputs, &p->n_outputs) &&
         pm_find_table(&h->blocks, sizeof(pm_block), bytes, limit, (const void **)&p->blocks, &p->n_blocks) &&
         pm_find_table(&h->strings, 1, bytes, limit, (const void **)&p->strings, &p->strings_bytes) &&
         pm_find_table(&h->metadata, 1, bytes, limit, (const void **)&p->metadata, &p->metadata_bytes);
}

static bool find_plans(pm_program *p) {
  const size_t limit = (size_t)p->header->weights_offset;
  return pm_find_table(&p->header->more, sizeof(pm_header), p->head, limit, (const void **)&p->plans, &p->n_plans);
}

static uint32_t head_crc(const pm_header *header, const uint8_t *bytes) {
  pm_header blank = *header;
  memset(blank.sha256, 0, sizeof blank.sha256);
  blank.head_crc = 0;
  const uint32_t crc = pm_crc32(0, (const uint8_t *)&blank, sizeof blank);
  return pm_crc32(crc, bytes + sizeof blank, (size_t)header->weights_offset - sizeof blank);
}

static pm_status check_header(const uint8_t *bytes, size_t nbytes, uint64_t file_bytes) {
  const pm_header *h = (const pm_header *)bytes;
  if (nbytes < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0) return PM_E_MAGIC;
  if (nbytes < sizeof *h) return PM_E_TRUNCATED;
  if (h->major != PM_FORMAT_MAJOR) return PM_E_VERSION;
  if (h->header_bytes < sizeof *h || h->file_bytes != file_bytes) return PM_E_TRUNCATED;
  if (h->weights_offset < sizeof *h || h->weights_offset > nbytes) return PM_E_SECTION;
  if (h->weights_bytes > file_bytes - h->weights_offset) return PM_E_SECTION;
  return head_crc(h, bytes) == h->head_crc ? PM_OK : PM_E_CRC;
}

static pm_status check_name(const pm_program *p, uint32_t name) {
  return name == PM_NONE || name < p->strings_bytes ? PM_OK : PM_E_SECTION;
}

/* Where a tensor has no elements, its other sizes and strides must still be possible ones: checks and
   kernels multiply them in any order. */
static bool is_possible(const pm_tensor *t) {
  if (t->dtype >= PM_DTYPE_COUNT || t->rank > PM_MAX_RANK || t->space >= PM_SPACE_COUNT) return false;
  if (t->offset % pm_dtype_size(t->dtype)) return false;
  if (t->ring && t->rank < 3) return false;
  uint64_t elements = 1;
  for (int i = 0; i < t->rank; i++) {
    if (t->strides[i] < 0 || (uint64_t)t->strides[i] > MAX_SPAN) return false;
    if (!t->dims[i]) continue;
    if (elements > MAX_SPAN / t->dims[i]) return false;
    elements *= t->dims[i];
  }
  return last_element(t) <= MAX_SPAN;
}

static bool lies_in_block(const pm_program *p, const pm_tensor *t) {
  if (t->index >= p->n_blocks) return false;
  const pm_block *b = &p->blocks[t->index];
  if (t->offset < b->offset || t->offset - b->offset > b->nbytes) return false;
  return pm_span_bytes(t) <= b->nbytes - (t->offset - b->offset);
}

/* Bytes of the space that the tensor says it lies in. */
static uint64_t space_bytes(const pm_program *p, const pm_tensor *t) {
  switch (t->space) {
    case PM_ARENA: return p->header->arena_bytes;
    case PM_WEIGHTS: return p->header->weights_bytes;
    case PM_INPUT: return t->index < p->n_inputs ? pm_span_bytes(&p->tensors[p->inputs[t->index]]) : 0;
    default: return t->index < p->n_outputs ? pm_span_bytes(&p->tensors[p->outputs[t->index]]) : 0;
  }
}

static pm_status check_tensor(const pm_program *p, const pm_tensor *t) {
  if (!is_possible(t)) return PM_E_TENSOR;
  if (t->space == PM_WEIGHTS && !lies_in_block(p, t)) return PM_E_BOUNDS;
  const bool listed = t->space != PM_INPUT || t->index < p->n_inputs;
  if (!listed || (t->space == PM_OUTPUT && t->index >= p->n_outputs)) return PM_E_TENSOR;
  const uint64_t span = pm_span_bytes(t), space = space_bytes(p, t);
  return t->offset <= space && span <= space - t->offset ? check_name(p, t->name) : PM_E_BOUNDS;
}

/* The tensors that the caller's arrays are: whole, in C order, each the one of its number. */
static pm_status check_ends(const pm_program *p, const uint32_t *list, size_t count, pm_space space) {
  for (size_t i = 0; i < count; i++) {
    if (list[i] >= p->n_tensors) return PM_E_OPERAND;
    const pm_tensor *t = &p->tensors[list[i]];
    if (!is_possible(t) || t->space != space || t->index != i || t->offset || t->ring) return PM_E_TENSOR;
    if (!pm_is_contiguous(t)) return PM_E_TENSOR;
  }
  return PM_OK;
}

/* Whether no two elements lie in one place: each stride steps over all that the smaller ones span. */
static bool is_writable(const pm_tensor *t) {
  if (t->space != PM_ARENA && t->space != PM_OUTPUT) return false;
  if (pm_span_bytes(t) == 0) return true;
  bool done[PM_MAX_RANK] = {false};
  uint64_t reached = 1;
  for (int round = 0; round < t->rank; round++) {
    int least = -1;
    for (int i = 0; i < t->rank; i++)
      if (!done[i] && t->dims[i] > 1 && (least < 0 || t->strides[i] < t->strides[least])) least = i;
    if (least < 0) return true;
    if ((uint64_t)t->strides[least] < reached) return false;
    uint64_t size = t->dims[least];
    if (t->ring && least == t->rank - 3 && t->ring < size) size = t->ring;
    reached += (size - 1) * (uint64_t)t->strides[least];
    done[least] = true;
  }
  return true;
}

static pm_status check_operands(const pm_program *p, const pm_instr *instr, pm_place *place) {
  const size_t count = (size_t)instr->n_in + instr->n_out;
  if (instr->n_in > PM_MAX_OPERANDS || instr->n_out > PM_MAX_OPERANDS) return PM_E_OPERAND;
  if (instr->operands > p->n_operands || count > p->n_operands - instr->operands) return PM_E_OPERAND;
  if (instr->params > p->n_params || instr->n_params > p->n_params - instr->params) return PM_E_PARAMS;
  for (size_t i = 0; i < count; i++) {
    const uint32_t number = p->operands[instr->operands + i];
    place->operand = (uint32_t)i;
    if (number == PM_NONE) continue;
    if (number >= p->n_tensors) return PM_E_OPERAND;
    if (i >= instr->n_in && !is_writable(&p->tensors[number])) return PM_E_TENSOR;
  }
  place->operand = PM_NONE;
  return PM_OK;
}

static pm_status check_instr(const pm_program *p, uint32_t number, pm_place *place) {
  const pm_instr *instr = &p->instrs[number];
  if (instr->opcode >= PM_OPCODE_COUNT) return PM_E_OPCODE;
  const pm_status status = check_operands(p, instr, place);
  if (status != PM_OK) return status;
  if (instr->opcode == PM_OP_host) return check_name(p, instr->name);
  pm_call call;
  pm_call_of(p, number, &call);
  pm_need need = {1, 0, 0};
  const pm_status own = pm_checks[instr->opcode](&call, &need);
  return own == PM_OK ? check_name(p, instr->name) : own;
}

static pm_status check_blocks(const pm_program *p) {
  for (size_t i = 0; i < p->n_blocks; i++) {
    const pm_block *b = &p->blocks[i];
    if (b->offset > p->header->weights_bytes || b->nbytes > p->header->weights_bytes - b->offset)
      return PM_E_SECTION;
    if (check_name(p, b->name) != PM_OK) return PM_E_SECTION;
  }
  const bool ended = !p->strings_bytes || !p->strings[p->strings_bytes - 1];
  return ended ? PM_OK : PM_E_SECTION;
}

pm_status pm_check_tables(const pm_program *p, pm_place *place) {
  pm_status status = check_ends(p, p->inputs, p->n_inputs, PM_INPUT);
  if (status == PM_OK) status = check_ends(p, p->outputs, p->n_outputs, PM_OUTPUT);
  if (status == PM_OK) status = check_blocks(p);
  for (size_t i = 0; i < p->n_tensors && status == PM_OK; i++) {
    place->operand = (uint32_t)i;
    status = check_tensor(p, &p->tensors[i]);
  }
  for (size_t i = 0; i < p->n_instrs && status == PM_OK; i++) {
    place->instr = (uint32_t)i;
    status = check_instr(p, (uint32_t)i, place);
  }
  return status;
}

pm_status pm_program_open_head(pm_program *program, const uint8_t *head, size_t head_bytes,
                               uint64_t file_bytes, pm_place *place) {
  place->instr = place->operand = PM_NONE;
  const pm_status status = check_header(head, head_bytes, file_bytes);
  if (status != PM_OK) return status;
  program->header = (const pm_header *)head;
  program->weights = NULL;
  program->head = head;
  program->forms = NULL;
  program->n_forms = 0;
  if (!pm_find_tables(program, program->header, head)) return PM_E_SECTION;
  if (!find_plans(program)) return PM_E_SECTION;
  return pm_check_tables(program, place);
}

pm_status pm_program_open(pm_program *program, const uint8_t *bytes, size_t nbytes, pm_place *place) {
  const pm_status status = pm_program_open_head(program, bytes, nbytes, nbytes, place);
  if (status == PM_OK) program->weights = bytes + program->header->weights_offset;
  return status;
}

/* The check agreed when the program was opened. */
static pm_scratch scratch_of(const pm_program *program, uint32_t number, int workers) {
  const unsigned opcode = program->instrs[number].opcode;
  if (opcode == PM_OP_host) return (pm_scratch){0, 0};
  pm_call call;
  pm_call_of(program, number, &call);
  pm_need need = {workers, 0, 0};
  pm_checks[opcode](&call, &need);
  return (pm_scratch){pm_aligned(need.shared), pm_aligned(need.own)};
}

size_t pm_scratch_bytes(const pm_program *program, int workers, pm_scratch *layout) {
  size_t most = 0;
  for (size_t i = 0; i < program->n_instrs; i++) {
    const int sharing = program->instrs[i].flags & PM_SERIAL ? 1 : workers;
    const pm_scratch part = scratch_of(program, (uint32_t)i, sharing);
    most = PM_MAX(most, part.shared + (size_t)sharing * part.own);
    if (layout) layout[i] = part;
  }
  return most;
}
