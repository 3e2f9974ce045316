#include "../vm/call.h"
#include "../vm/opcodes.h"
#include "stream_planning.h"

/* Instructions whose blocks are in the window at a time, if it can be: one that runs, two that are
   being read, and two that wait, since neither reading nor running goes evenly. */
#define AHEAD 5

uint32_t pm_block_of(const pm_program *p, uint32_t number) {
  if (number == PM_NONE) return PM_NONE;
  const pm_tensor *t = &p->tensors[number];
  return t->space == PM_WEIGHTS && pm_span_bytes(t) ? t->index : PM_NONE;
}

const pm_tensor *pm_table_of(const pm_program *p, uint32_t instr) {
  if (p->instrs[instr].opcode != PM_OP_gather) return NULL;
  pm_call call;
  pm_call_of(p, instr, &call);
  const pm_tensor *x = call.in[0].t, *y = call.out[0].t;
  if (x->space != PM_WEIGHTS || call.params[0] != 1 || x->rank != 3 || x->dims[0] != 1) return NULL;
  if (!pm_is_contiguous(x) || y->dims[2] != x->dims[2] || !pm_span_bytes(x)) return NULL;
  return call.in[1].t->dims[2] == 1 && p->blocks[x->index].nbytes >= PM_TABLE_BLOCK ? x : NULL;
}

/* Whole pages that so many rows may touch: each begins at a multiple of the largest power of two that divides
   its size and where the first of them lies, so that it is as far as that from the end of a page at least. */
static uint64_t bytes_of_rows(const pm_program *p, const pm_tensor *x, uint64_t count) {
  const uint64_t row = x->dims[2] * pm_dtype_size(x->dtype);
  const uint64_t places = row | (p->header->weights_offset + x->offset) | PM_PAGE, step = places & (~places + 1);
  return count * pm_rounded(PM_PAGE - step + row, PM_PAGE);
}

void pm_find_gathered(pm_planning *g) {
  const pm_program *p = g->p;
  for (uint32_t i = 0; i < p->n_instrs; i++)
    if (pm_table_of(p, i)) g->blocks[pm_table_of(p, i)->index].by_rows = true;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    const pm_tensor *x = pm_table_of(p, i);
    for (int k = x ? 1 : 0; k < p->instrs[i].n_in; k++) {
      const uint32_t block = pm_block_of(p, p->operands[p->instrs[i].operands + (uint32_t)k]);
      if (block != PM_NONE) g->blocks[block].by_rows = false;
    }
  }
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    const pm_tensor *x = pm_table_of(p, i);
    if (!x || !g->blocks[x->index].by_rows) continue;
    const pm_tensor *y = &p->tensors[p->operands[p->instrs[i].operands + p->instrs[i].n_in]];
    const uint64_t bytes = bytes_of_rows(p, x, y->dims[1]);
    if (bytes > g->rows) g->rows = bytes;
    g->n_gathers++;
  }
}

/* Adds a block to the uses from `first` on, which are in the order of the file, if it is not there. */
static void add_use(pm_planning *g, uint32_t first, uint32_t block) {
  size_t at = g->n_uses;
  const uint64_t place = pm_place_in_file(g->p, block);
  for (size_t i = first; i < g->n_uses; i++)
    if (g->uses[i] == block) return;
  for (; at > first && pm_place_in_file(g->p, g->uses[at - 1]) > place; at--) g->uses[at] = g->uses[at - 1];
  g->uses[at] = block;
  g->n_uses++;
}

static void note_use(pm_planning *g, uint32_t block, uint32_t instr) {
  pm_block_state *b = &g->blocks[block];
  if (!b->uses) {
    const uint64_t place = pm_place_in_file(g->p, block);
    b->begin = place / PM_PAGE * PM_PAGE;
    b->end = pm_rounded(place + g->p->blocks[block].nbytes, PM_PAGE);
    b->first = instr;
  }
  b->last = instr;
  b->uses++;
}

void pm_collect_uses(pm_planning *g) {
  const pm_program *p = g->p;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    const pm_instr *instr = &p->instrs[i];
    const uint32_t first = g->begin[i] = (uint32_t)g->n_uses;
    for (int k = 0; k < instr->n_in; k++) {
      const uint32_t block = pm_block_of(p, p->operands[instr->operands + (uint32_t)k]);
      if (block != PM_NONE) add_use(g, first, block);
    }
    for (size_t k = first; k < g->n_uses; k++) note_use(g, g->uses[k], i);
  }
  g->begin[p->n_instrs] = (uint32_t)g->n_uses;
}

/* Bytes that an instruction's blocks take in the window: ranges that touch are one. */
static uint64_t unit_bytes(const pm_planning *g, uint32_t instr) {
  uint64_t total = 0, end = 0;
  for (uint32_t k = g->begin[instr]; k < g->begin[instr + 1]; k++) {
    const pm_block_state *b = &g->blocks[g->uses[k]];
    if (b->mode != PM_STREAMED) continue;
    const uint64_t begin = b->begin < end ? end : b->begin;
    if (b->end > begin) total += b->end - begin;
    if (b->end > end) end = b->end;
  }
  return total;
}

uint64_t pm_most_units(const pm_planning *g, uint64_t *several) {
  uint64_t one = 0, sum = 0, last[AHEAD] = {0};
  size_t count = 0;
  *several = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    const uint64_t bytes = unit_bytes(g, i);
    if (!bytes) continue;
    if (bytes > one) one = bytes;
    sum += bytes - last[count % AHEAD];
    last[count++ % AHEAD] = bytes;
    if (sum > *several) *several = sum;
  }
  return one;
}

uint64_t pm_bytes_of_all(const pm_planning *g) {
  uint64_t large = 0, small = 0;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    if (!g->blocks[i].uses) continue;
    if (pm_is_small(g, i))
      small += pm_rounded(g->p->blocks[i].nbytes, PM_ALIGNMENT);
    else
      large += pm_pages_of(&g->blocks[i]);
  }
  return large + pm_rounded(small, PM_PAGE);
}

uint64_t pm_bytes_read(const pm_planning *g) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) total += unit_bytes(g, i);
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].mode == PM_HELD) total += pm_pages_of(&g->blocks[i]);
  return total;
}
