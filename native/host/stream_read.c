#define _GNU_SOURCE
#include "stream_read.h"

#include "file.h"

#define BOUNCE_BYTES (128u << 10)

static pm_status check_block(const pm_stream_files *s, uint32_t number, const uint8_t *at) {
  const pm_block *block = &s->program->blocks[number];
  if (pm_crc32(0, at, (size_t)block->nbytes) == block->crc) return PM_OK;
  return pm_source_unchanged(s->source) == PM_E_CHANGED ? PM_E_CHANGED : PM_E_CRC;
}

pm_status pm_stream_check_load(const pm_stream_files *s, const pm_load *load) {
  const uint64_t weights = s->program->header->weights_offset;
  pm_status status = PM_OK;
  for (uint32_t i = load->blocks; i < load->blocks + load->count && status == PM_OK; i++) {
    const uint32_t block = s->plan->held[i];
    const uint64_t within = weights + s->program->blocks[block].offset - load->offset;
    status = check_block(s, block, s->memory + load->slot + within);
  }
  return status;
}

/* How many of the small blocks from `first` on are read at once, and where the last of them ends. */
static size_t small_group(const pm_stream_files *s, size_t first, uint64_t begin, uint64_t *end) {
  const uint64_t weights = s->program->header->weights_offset;
  size_t i = first;
  for (*end = begin; i < s->plan->n_small; i++) {
    const pm_block *block = &s->program->blocks[s->plan->small[i].block];
    const uint64_t last = weights + block->offset + block->nbytes;
    if (last > begin + BOUNCE_BYTES || (i > first && weights + block->offset > *end + PM_SMALL_BLOCK)) break;
    if (last > *end) *end = last;
  }
  return i;
}

static pm_status read_small(const pm_stream_files *s, uint8_t *bounce) {
  const uint64_t weights = s->program->header->weights_offset;
  pm_status status = PM_OK;
  for (size_t i = 0, next; i < s->plan->n_small && status == PM_OK; i = next) {
    uint64_t end;
    const uint64_t begin = (weights + s->program->blocks[s->plan->small[i].block].offset) / PM_PAGE * PM_PAGE;
    next = small_group(s, i, begin, &end);
    status = pm_source_read(s->source, begin, (size_t)(end - begin), bounce);
    for (; i < next && status == PM_OK; i++) {
      const pm_small *small = &s->plan->small[i];
      const pm_block *block = &s->program->blocks[small->block];
      const uint8_t *from = bounce + (weights + block->offset - begin);
      uint8_t *to = s->memory + small->place;
      for (uint64_t k = 0; k < block->nbytes; k++) to[k] = from[k];
      status = check_block(s, small->block, to);
    }
  }
  return status;
}

/* Who waits for a table may have been told not to. */
static pm_status ask(const _Atomic int *failed, const pm_callbacks *polling) {
  const pm_status status = (pm_status)atomic_load(failed);
  return status == PM_OK && polling && polling->poll ? polling->poll(polling->user) : status;
}

/* The checksum of a table, which is never there as a whole. */
static pm_status check_table(const pm_stream_files *s, const pm_block *block, uint8_t *bounce,
                             const _Atomic int *failed, const pm_callbacks *polling) {
  const uint64_t begin = s->program->header->weights_offset + block->offset, end = begin + block->nbytes;
  uint32_t crc = 0;
  for (uint64_t at = begin; at < end;) {
    const uint64_t next = (at + BOUNCE_BYTES) / PM_PAGE * PM_PAGE, stop = next < end ? next : end;
    uint8_t *data = bounce + at % PM_PAGE;
    pm_status status = pm_source_read(s->source, at, (size_t)(stop - at), data);
    if (status == PM_OK) status = ask(failed, polling);
    if (status != PM_OK) return status;
    crc = pm_crc32(crc, data, (size_t)(stop - at));
    at = stop;
  }
  if (crc == block->crc) return PM_OK;
  return pm_source_unchanged(s->source) == PM_E_CHANGED ? PM_E_CHANGED : PM_E_CRC;
}

pm_status pm_stream_read_small(const pm_stream_files *s, const _Atomic int *failed, const pm_callbacks *polling) {
  if (!s->plan->n_small && !s->plan->n_tables) return PM_OK;
  uint8_t *bounce = pm_pages_new(BOUNCE_BYTES + PM_PAGE);
  if (!bounce) return PM_E_MEMORY;
  pm_status status = read_small(s, bounce);
  for (size_t i = 0; i < s->plan->n_tables && status == PM_OK; i++)
    status = check_table(s, &s->program->blocks[s->plan->tables[i].block], bounce, failed, polling);
  pm_pages_free(bounce, BOUNCE_BYTES + PM_PAGE);
  return status;
}

static int64_t index_at(const pm_tensor *t, const uint8_t *data, int64_t number) {
  const int64_t place = number * t->strides[1];
  return t->dtype == PM_I64 ? ((const int64_t *)(const void *)data)[place]
                            : ((const int32_t *)(const void *)data)[place];
}

pm_status pm_stream_read_rows(const pm_stream_files *s, const pm_table *table, const pm_run_args *args,
                              const uint8_t *streamed) {
  const pm_program *p = args->program;
  const pm_instr *i = &p->instrs[table->instr];
  const pm_tensor *x = &p->tensors[p->operands[i->operands]];
  const pm_tensor *indices = &p->tensors[p->operands[i->operands + 1]];
  const pm_tensor *y = &p->tensors[p->operands[i->operands + i->n_in]];
  const uint8_t *data = indices->space == PM_WEIGHTS ? streamed : pm_data_of(args, indices);
  const uint64_t row = x->dims[2] * pm_dtype_size(x->dtype), first = p->header->weights_offset + x->offset;
  const int64_t rows = x->dims[1], steps = indices->dims[1] == 1 ? 1 : y->dims[1];
  pm_status status = PM_OK;
  for (int64_t k = 0; k < steps && status == PM_OK; k++) {
    int64_t index = index_at(indices, data, k);
    if (index < 0) index += rows;
    if (index < 0 || index >= rows) continue;
    const uint64_t offset = first + (uint64_t)index * row;
    status = pm_source_read(s->source, offset, (size_t)row, s->memory + table->place + (offset - table->begin));
  }
  return status == PM_OK ? pm_source_unchanged(s->source) : status;
}

