#include "stream_plan.h"

#include <stdlib.h>
#include <string.h>

#include "../vm/call.h"
#include "../vm/opcodes.h"

#define STACK_BYTES (32u << 10) /* of the readers', as far as they are touched */
#define LATENCY_BYTES (64u << 10) /* how much could be read while a read begins */
#define PARTS 16                  /* of a run, in which reading is to go evenly */
#define INSTR_COST 100000u        /* what an instruction takes whatever it does, in multiply-accumulates */

/* Instructions whose blocks are in the window at a time, if it can be: one that runs, two that are
   being read, and two that wait, since neither reading nor running goes evenly. */
#define AHEAD 5

/* A block is read for each instruction, or once and held from its first to its last use, or once and
   for all. */
typedef enum { STREAMED, HELD, STAYS, ROWS } mode;

typedef struct {
  uint64_t begin, end; /* in the file, whole pages */
  uint64_t level;      /* bytes in its part of the run, without those that should stay before it does */
  uint32_t first, last, uses;
  uint32_t load; /* the last one made of it */
  mode mode;
  uint64_t place;
  bool by_rows; /* whether all of its uses take rows of a large table */
} block_state;

typedef struct {
  const pm_program *p;
  size_t n_gathers;
  uint64_t rows; /* bytes of rows that one instruction takes, at most */
  uint64_t budget, wanted; /* wanted: of the window, for blocks that are read for each instruction */
  uint32_t *begin;         /* for each instruction and one more, the first of its uses */
  uint32_t *uses;          /* blocks, each once for an instruction, in the order of the file */
  size_t n_uses;
  block_state *blocks;
  uint64_t *held_at; /* for each instruction, bytes of the blocks that are held then */
  int64_t *busy;     /* for each page of the window, the last instruction that uses it */
  uint32_t *queue;
  uint64_t large, small, peak; /* bytes of blocks that stay, and the most of held_at */
} planning;

static uint64_t rounded(uint64_t n, uint64_t step) { return (n + step - 1) / step * step; }

static uint64_t place_in_file(const pm_program *p, uint32_t block) {
  return p->header->weights_offset + p->blocks[block].offset;
}

static bool is_small(const planning *g, uint32_t b) { return g->p->blocks[b].nbytes < PM_SMALL_BLOCK; }

static uint64_t pages_of(const block_state *b) { return b->end - b->begin; }

/* The block of an operand; PM_NONE where it is none of the weights, or has no elements. */
static uint32_t block_of(const pm_program *p, uint32_t number) {
  if (number == PM_NONE) return PM_NONE;
  const pm_tensor *t = &p->tensors[number];
  return t->space == PM_WEIGHTS && pm_span_bytes(t) ? t->index : PM_NONE;
}

/* The table that an instruction takes rows of: a gather along the first of its axes that is not 1. */
static const pm_tensor *table_of(const pm_program *p, uint32_t instr) {
  if (p->instrs[instr].opcode != PM_OP_gather) return NULL;
  pm_call call;
  pm_call_of(p, instr, &call);
  const pm_tensor *x = call.in[0].t, *y = call.out[0].t;
  if (x->space != PM_WEIGHTS || call.params[0] != 1 || x->rank != 3 || x->dims[0] != 1) return NULL;
  if (!pm_is_contiguous(x) || y->dims[2] != x->dims[2] || !pm_span_bytes(x)) return NULL;
  return call.in[1].t->dims[2] == 1 && p->blocks[x->index].nbytes >= PM_TABLE_BLOCK ? x : NULL;
}

/* Whole pages that so many rows may touch. */
static uint64_t bytes_of_rows(const pm_tensor *x, uint64_t count) {
  const uint64_t row = x->dims[2] * pm_dtype_size(x->dtype);
  return count * (rounded(row, PM_PAGE) + PM_PAGE);
}

/* Finds the blocks that are only read by rows. */
static void find_tables(planning *g) {
  const pm_program *p = g->p;
  for (uint32_t i = 0; i < p->n_instrs; i++)
    if (table_of(p, i)) g->blocks[table_of(p, i)->index].by_rows = true;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    const pm_tensor *x = table_of(p, i);
    for (int k = x ? 1 : 0; k < p->instrs[i].n_in; k++) {
      const uint32_t block = block_of(p, p->operands[p->instrs[i].operands + (uint32_t)k]);
      if (block != PM_NONE) g->blocks[block].by_rows = false;
    }
  }
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    const pm_tensor *x = table_of(p, i);
    if (!x || !g->blocks[x->index].by_rows) continue;
    const pm_tensor *y = &p->tensors[p->operands[p->instrs[i].operands + p->instrs[i].n_in]];
    const uint64_t bytes = bytes_of_rows(x, y->dims[1]);
    if (bytes > g->rows) g->rows = bytes;
    g->n_gathers++;
  }
}

/* Adds a block to the uses from `first` on, which are in the order of the file, if it is not there. */
static void add_use(planning *g, uint32_t first, uint32_t block) {
  size_t at = g->n_uses;
  const uint64_t place = place_in_file(g->p, block);
  for (size_t i = first; i < g->n_uses; i++)
    if (g->uses[i] == block) return;
  for (; at > first && place_in_file(g->p, g->uses[at - 1]) > place; at--) g->uses[at] = g->uses[at - 1];
  g->uses[at] = block;
  g->n_uses++;
}

static void note_use(planning *g, uint32_t block, uint32_t instr) {
  block_state *b = &g->blocks[block];
  if (!b->uses) {
    const uint64_t place = place_in_file(g->p, block);
    b->begin = place / PM_PAGE * PM_PAGE;
    b->end = rounded(place + g->p->blocks[block].nbytes, PM_PAGE);
    b->first = instr;
  }
  b->last = instr;
  b->uses++;
}

static void collect_uses(planning *g) {
  const pm_program *p = g->p;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    const pm_instr *instr = &p->instrs[i];
    const uint32_t first = g->begin[i] = (uint32_t)g->n_uses;
    for (int k = 0; k < instr->n_in; k++) {
      const uint32_t block = block_of(p, p->operands[instr->operands + (uint32_t)k]);
      if (block != PM_NONE) add_use(g, first, block);
    }
    for (size_t k = first; k < g->n_uses; k++) note_use(g, g->uses[k], i);
  }
  g->begin[p->n_instrs] = (uint32_t)g->n_uses;
}

/* Bytes that an instruction's blocks take in the window: ranges that touch are one. */
static uint64_t unit_bytes(const planning *g, uint32_t instr) {
  uint64_t total = 0, end = 0;
  for (uint32_t k = g->begin[instr]; k < g->begin[instr + 1]; k++) {
    const block_state *b = &g->blocks[g->uses[k]];
    if (b->mode != STREAMED) continue;
    const uint64_t begin = b->begin < end ? end : b->begin;
    if (b->end > begin) total += b->end - begin;
    if (b->end > end) end = b->end;
  }
  return total;
}

/* The least window: of one instruction; and what AHEAD that follow each other take. */
static uint64_t most_units(const planning *g, uint64_t *several) {
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

static uint64_t bytes_of_all(const planning *g) {
  uint64_t large = 0, small = 0;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    if (!g->blocks[i].uses) continue;
    if (is_small(g, i))
      small += rounded(g->p->blocks[i].nbytes, PM_ALIGNMENT);
    else
      large += pages_of(&g->blocks[i]);
  }
  return large + rounded(small, PM_PAGE);
}

static void set_tables(planning *g, mode how) {
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].by_rows) g->blocks[i].mode = how;
}

/* Reading goes evenly while instructions run, if what is left to be read does: where the run takes as
   long, as much should be read. So the parts of the run, which are of one cost, are lowered to one
   level, and a block's level is that of its part when its turn comes. */
static void find_levels(planning *g) {
  const pm_program *p = g->p;
  uint64_t total = 1, cost = 0, left[PARTS] = {0};
  uint32_t part = 0, *parts = g->queue;
  for (uint32_t i = 0; i < p->n_instrs; i++) total += p->instrs[i].cost + INSTR_COST;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    part = (uint32_t)((double)cost / (double)total * PARTS);
    cost += p->instrs[i].cost + INSTR_COST;
    for (uint32_t k = g->begin[i]; k < g->begin[i + 1]; k++)
      if (g->blocks[g->uses[k]].first == i) {
        parts[g->uses[k]] = part;
        left[part] += p->blocks[g->uses[k]].nbytes;
      }
  }
  for (uint32_t i = 0; i < p->n_blocks; i++) {
    if (!g->blocks[i].uses) continue;
    g->blocks[i].level = left[parts[i]];
    left[parts[i]] -= p->blocks[i].nbytes;
  }
}

/* What may be done with a block, and how much reading it saves for each byte that it takes: those
   that stay for 1 save 1 for each run, those that are held for a while more. */
typedef struct {
  double gain;
  uint64_t level;
  uint32_t block;
  mode mode;
} candidate;

static int by_gain(const void *left, const void *right) {
  const candidate *a = left, *b = right;
  if (a->gain != b->gain) return a->gain > b->gain ? -1 : 1;
  if (a->level != b->level) return a->level > b->level ? -1 : 1;
  if (a->block != b->block) return a->block < b->block ? -1 : 1;
  return (int)a->mode - (int)b->mode;
}

static size_t list_candidates(const planning *g, candidate *list) {
  size_t count = 0;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    const block_state *b = &g->blocks[i];
    if (!b->uses || b->mode == ROWS) continue;
    const double nbytes = (double)g->p->blocks[i].nbytes;
    const double reads = is_small(g, i) ? 1 + LATENCY_BYTES / nbytes : 1;
    const double share = (double)(b->last - b->first) / (double)g->p->n_instrs;
    if (b->uses > 1) list[count++] = (candidate){reads * (b->uses - 1) / share, b->level, i, HELD};
    list[count++] = (candidate){reads / (1 - share), b->level, i, STAYS};
  }
  qsort(list, count, sizeof *list, by_gain);
  return count;
}

/* The most that is held at a time, if `block`, which is held now, were not. */
static uint64_t peak_without(const planning *g, const block_state *block) {
  uint64_t most = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    const uint64_t own = i >= block->first && i <= block->last ? pages_of(block) : 0;
    if (g->held_at[i] - own > most) most = g->held_at[i] - own;
  }
  return most;
}

static void hold(planning *g, block_state *b, bool held) {
  for (uint32_t i = b->first; i <= b->last; i++) g->held_at[i] += held ? pages_of(b) : -pages_of(b);
  g->peak = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++)
    if (g->held_at[i] > g->peak) g->peak = g->held_at[i];
  b->mode = held ? HELD : STREAMED;
}

static bool fits(const planning *g, uint64_t large, uint64_t small, uint64_t peak) {
  return large + rounded(small, PM_PAGE) + peak + g->wanted <= g->budget;
}

static void try_to_hold(planning *g, block_state *b) {
  uint64_t most = 0;
  for (uint32_t i = b->first; i <= b->last; i++)
    if (g->held_at[i] > most) most = g->held_at[i];
  most += pages_of(b);
  if (b->mode == STREAMED && fits(g, g->large, g->small, most > g->peak ? most : g->peak)) hold(g, b, true);
}

static void try_to_keep(planning *g, uint32_t number) {
  block_state *b = &g->blocks[number];
  uint64_t large = g->large, small = g->small;
  if (is_small(g, number))
    small += rounded(g->p->blocks[number].nbytes, PM_ALIGNMENT);
  else
    large += pages_of(b);
  if (!fits(g, large, small, b->mode == HELD ? peak_without(g, b) : g->peak)) return;
  if (b->mode == HELD) hold(g, b, false);
  b->mode = STAYS;
  g->large = large;
  g->small = small;
}

static void choose_for(planning *g, const candidate *list, size_t count, uint64_t wanted) {
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].mode != ROWS) g->blocks[i].mode = STREAMED;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) g->held_at[i] = 0;
  g->large = g->small = g->peak = 0;
  g->wanted = wanted;
  for (size_t i = 0; i < count; i++) {
    if (list[i].mode == STAYS)
      try_to_keep(g, list[i].block);
    else
      try_to_hold(g, &g->blocks[list[i].block]);
  }
}

/* Bytes that each run reads. */
static uint64_t bytes_read(const planning *g) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) total += unit_bytes(g, i);
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].mode == HELD) total += pages_of(&g->blocks[i]);
  return total;
}

/* A window of one instruction's blocks lets nothing be read while that runs, and takes about twice
   the time; but what it leaves to others may save more. */
static pm_status choose(planning *g, uint64_t least, uint64_t several) {
  static const uint64_t slowness[] = {8, 5, 4};
  candidate *list = malloc((2 * g->p->n_blocks + 1) * sizeof *list);
  g->queue = calloc(g->p->n_blocks + 1, sizeof *g->queue);
  if (!list || !g->queue) {
    free(list);
    return PM_E_MEMORY;
  }
  find_levels(g);
  const size_t count = list_candidates(g, list);
  uint64_t best = UINT64_MAX, chosen = least;
  for (unsigned i = 0; i < 3; i++) {
    const uint64_t wanted = least + (several - least) / 2 * i;
    choose_for(g, list, count, wanted);
    const uint64_t time = bytes_read(g) * slowness[i];
    if (time > best) continue;
    best = time;
    chosen = wanted;
  }
  choose_for(g, list, count, chosen);
  free(list);
  return PM_OK;
}

static void keep_all(planning *g) {
  g->wanted = 0;
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].uses) try_to_keep(g, i);
}

/* Loads. */

static void add_load(pm_stream_plan *plan, uint64_t offset, uint64_t end, uint32_t first, uint32_t last) {
  const pm_load *before = plan->n_loads ? &plan->loads[plan->n_loads - 1] : NULL;
  const uint32_t blocks = before ? before->blocks + before->count : 0;
  plan->loads[plan->n_loads++] =
      (pm_load){offset, end - offset, 0, first, last, blocks, 0, PM_ANY_TIME, false};
}

static void add_block(pm_stream_plan *plan, planning *g, uint32_t block) {
  pm_load *load = &plan->loads[plan->n_loads - 1];
  plan->held[load->blocks + load->count++] = block;
  g->blocks[block].load = (uint32_t)(plan->n_loads - 1);
}

/* What an instruction is the first to use, and stays or is held from then on. */
static void add_lasting(pm_stream_plan *plan, planning *g, uint32_t instr) {
  for (uint32_t k = g->begin[instr]; k < g->begin[instr + 1]; k++) {
    const uint32_t number = g->uses[k];
    const block_state *b = &g->blocks[number];
    if (b->mode == STREAMED || b->mode == ROWS || b->first != instr || (b->mode == STAYS && is_small(g, number))) continue;
    add_load(plan, b->begin, b->end, b->first, b->last);
    add_block(plan, g, number);
    if (b->mode != STAYS) continue;
    pm_load *load = &plan->loads[plan->n_loads - 1];
    load->stays = true;
    load->slot = plan->window + plan->resident;
    plan->resident += load->nbytes;
  }
}

static void add_unit(pm_stream_plan *plan, planning *g, uint32_t instr) {
  bool open = false;
  for (uint32_t k = g->begin[instr]; k < g->begin[instr + 1]; k++) {
    const block_state *b = &g->blocks[g->uses[k]];
    if (b->mode != STREAMED) continue;
    pm_load *load = open ? &plan->loads[plan->n_loads - 1] : NULL;
    if (!load || b->begin > load->offset + load->nbytes)
      add_load(plan, b->begin, b->end, instr, instr);
    else if (b->end > load->offset + load->nbytes)
      load->nbytes = b->end - load->offset;
    add_block(plan, g, g->uses[k]);
    open = true;
  }
}

static void add_loads(pm_stream_plan *plan, planning *g) {
  plan->n_loads = 0;
  plan->resident = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    add_lasting(plan, g, i);
    add_unit(plan, g, i);
    plan->needs[i] = 0;
    for (uint32_t k = g->begin[i]; k < g->begin[i + 1]; k++) {
      const block_state *b = &g->blocks[g->uses[k]];
      const bool loaded = b->mode != ROWS && (b->mode != STAYS || !is_small(g, g->uses[k]));
      if (loaded && b->load + 1 > plan->needs[i]) plan->needs[i] = b->load + 1;
    }
  }
}

/* Places in the window. */

/* Where `count` pages are free the earliest; from the top down where they are held for long, so that
   they leave the others together. *free_after is the last instruction that uses one of them now. */
static size_t earliest(const planning *g, size_t pages, size_t count, bool from_top, int64_t *free_after) {
  size_t head = 0, tail = 0, best = 0;
  bool found = false;
  for (size_t i = 0; i < pages; i++) {
    const int64_t busy = g->busy[from_top ? pages - 1 - i : i];
    while (tail > head && g->busy[from_top ? pages - 1 - g->queue[tail - 1] : g->queue[tail - 1]] <= busy) tail--;
    g->queue[tail++] = (uint32_t)i;
    if (i + 1 < count) continue;
    if (g->queue[head] + count <= i) head++;
    const int64_t most = g->busy[from_top ? pages - 1 - g->queue[head] : g->queue[head]];
    if (found && most >= *free_after) continue;
    found = true;
    *free_after = most;
    best = from_top ? pages - 1 - i : i + 1 - count;
    if (most == PM_ANY_TIME) break;
  }
  return best;
}

/* How many loads from this one on lie together, since one instruction uses them all. */
static size_t group_of(const pm_stream_plan *plan, const planning *g, size_t number) {
  const pm_load *load = &plan->loads[number];
  if (g->blocks[plan->held[load->blocks]].mode != STREAMED) return 1;
  size_t count = 1;
  while (number + count < plan->n_loads && load[count].first == load->first) count++;
  return count;
}

static void occupy(planning *g, pm_load *load, int64_t run, int64_t n_instrs) {
  int64_t after = PM_ANY_TIME;
  int64_t *busy = g->busy + load->slot / PM_PAGE;
  for (size_t i = 0; i < load->nbytes / PM_PAGE; i++) {
    if (busy[i] > after) after = busy[i];
    busy[i] = run * n_instrs + load->last;
  }
  load->after = after == PM_ANY_TIME ? after : after - run * n_instrs;
}

/* Gives each load a slot; the instruction at which there was no room, PM_NONE if all went well. */
static uint32_t find_slots(pm_stream_plan *plan, planning *g) {
  const size_t pages = plan->window / PM_PAGE;
  for (size_t i = 0; i < pages; i++) g->busy[i] = PM_ANY_TIME;
  for (size_t i = 0, count; i < plan->n_loads; i += count) {
    pm_load *load = &plan->loads[i];
    count = load->stays ? 1 : group_of(plan, g, i);
    if (load->stays) continue;
    const bool streamed = g->blocks[plan->held[load->blocks]].mode == STREAMED;
    uint64_t total = 0;
    for (size_t k = 0; k < count; k++) total += load[k].nbytes;
    int64_t free_after = PM_ANY_TIME;
    if (total > plan->window) return load->first;
    uint64_t slot = PM_PAGE * earliest(g, pages, total / PM_PAGE, !streamed, &free_after);
    if (free_after != PM_ANY_TIME && free_after >= load->first) return load->first;
    for (size_t k = 0; k < count; slot += load[k++].nbytes) {
      load[k].slot = slot;
      occupy(g, &load[k], 0, (int64_t)g->p->n_instrs);
    }
  }
  return PM_NONE;
}

/* Of runs after the first, in which the window is full of the one before. */
static void find_times(pm_stream_plan *plan, planning *g) {
  for (size_t i = 0; i < plan->n_loads; i++) {
    pm_load *load = &plan->loads[i];
    if (!load->stays) occupy(g, load, 1, (int64_t)g->p->n_instrs);
    if (!load->stays) plan->read += load->nbytes;
  }
}

/* The largest block that is held at that instruction is read for each instruction from now on. */
static bool let_go(planning *g, uint32_t instr) {
  block_state *most = NULL;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    block_state *b = &g->blocks[i];
    if (b->mode == HELD && b->first <= instr && b->last >= instr && (!most || pages_of(b) > pages_of(most)))
      most = b;
  }
  if (most) hold(g, most, false);
  return most != NULL;
}

static uint64_t window_of(const planning *g) {
  const uint64_t streamed = bytes_read(g);
  const uint64_t left = g->budget - g->large - rounded(g->small, PM_PAGE);
  return streamed < left ? streamed : left;
}

static int by_place(const void *left, const void *right) {
  const pm_small *a = left, *b = right;
  return a->place < b->place ? -1 : a->place > b->place;
}

/* The small blocks that stay, in the order of the file. */
static void place_small(pm_stream_plan *plan, planning *g) {
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].mode == STAYS && is_small(g, i))
      plan->small[plan->n_small++] = (pm_small){i, place_in_file(g->p, i)};
  qsort(plan->small, plan->n_small, sizeof *plan->small, by_place);
  uint64_t place = plan->window + plan->resident;
  for (size_t i = 0; i < plan->n_small; i++) {
    plan->small[i].place = g->blocks[plan->small[i].block].place = place;
    place += rounded(g->p->blocks[plan->small[i].block].nbytes, PM_ALIGNMENT);
  }
  plan->memory = rounded(place, PM_PAGE);
  plan->resident = plan->memory - plan->window;
}

/* Tables lie beyond the memory, each whole; only pages with rows that are wanted are ever touched. */
static void place_tables(pm_stream_plan *plan, planning *g) {
  plan->reserved = plan->memory;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    block_state *b = &g->blocks[i];
    if (b->mode != ROWS) continue;
    b->place = plan->reserved + place_in_file(g->p, i) - b->begin;
    plan->reserved += pages_of(b);
  }
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    const pm_tensor *x = table_of(g->p, i);
    const block_state *b = x ? &g->blocks[x->index] : NULL;
    if (!b || b->mode != ROWS) continue;
    const uint64_t place = b->place - (place_in_file(g->p, x->index) - b->begin);
    plan->tables[plan->n_tables++] = (pm_table){i, x->index, b->begin, pages_of(b), place};
  }
  if (plan->n_tables) plan->memory += g->rows;
}

/* The place of a block while an instruction runs: of the last load for it that was made by then. */
static void place_operands(pm_stream_plan *plan, planning *g) {
  const pm_program *p = g->p;
  uint32_t count = 0;
  size_t load = 0;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    for (; load < plan->n_loads && plan->loads[load].first <= i; load++) {
      const pm_load *l = &plan->loads[load];
      for (uint32_t k = l->blocks; k < l->blocks + l->count; k++)
        g->blocks[plan->held[k]].place = l->slot + place_in_file(p, plan->held[k]) - l->offset;
    }
    plan->first[i] = count;
    for (int k = 0; k < p->instrs[i].n_in; k++) {
      const uint32_t number = p->operands[p->instrs[i].operands + (uint32_t)k];
      if (number == PM_NONE || p->tensors[number].space != PM_WEIGHTS) continue;
      const uint32_t block = block_of(p, number);
      const uint64_t within = block == PM_NONE ? 0 : p->tensors[number].offset - p->blocks[block].offset;
      plan->places[count++] = block == PM_NONE ? 0 : g->blocks[block].place + within;
    }
  }
  plan->first[p->n_instrs] = count;
}

static pm_status make_tables(pm_stream_plan *plan, planning *g) {
  uint32_t stuck;
  do {
    plan->window = window_of(g);
    add_loads(plan, g);
    free(g->busy);
    free(g->queue);
    g->busy = malloc((plan->window / PM_PAGE + 1) * sizeof *g->busy);
    g->queue = malloc((plan->window / PM_PAGE + 1) * sizeof *g->queue);
    if (!g->busy || !g->queue) return PM_E_MEMORY;
    stuck = find_slots(plan, g);
  } while (stuck != PM_NONE && let_go(g, stuck));
  if (stuck != PM_NONE) return PM_E_BUDGET;
  find_times(plan, g);
  place_small(plan, g);
  place_tables(plan, g);
  place_operands(plan, g);
  return PM_OK;
}

/* At most one place for each operand among the weights. */
static size_t count_operands(const pm_program *p) {
  size_t count = 0;
  for (size_t i = 0; i < p->n_instrs; i++) count += p->instrs[i].n_in;
  return count;
}

static bool take_memory(pm_stream_plan *plan, planning *g, size_t operands) {
  const size_t instrs = g->p->n_instrs + 1, blocks = g->p->n_blocks + 1;
  g->begin = calloc(instrs, sizeof *g->begin);
  g->uses = calloc(operands + 1, sizeof *g->uses);
  g->held_at = calloc(instrs, sizeof *g->held_at);
  plan->loads = calloc(operands + 1, sizeof *plan->loads);
  plan->held = calloc(operands + 1, sizeof *plan->held);
  plan->small = calloc(blocks, sizeof *plan->small);
  plan->tables = calloc(g->n_gathers + 1, sizeof *plan->tables);
  plan->needs = calloc(instrs, sizeof *plan->needs);
  plan->places = calloc(operands + 1, sizeof *plan->places);
  plan->first = calloc(instrs, sizeof *plan->first);
  return g->begin && g->uses && g->held_at && plan->loads && plan->held && plan->small &&
         plan->tables && plan->needs && plan->places && plan->first;
}

static void give_back(planning *g) {
  free(g->begin);
  free(g->uses);
  free(g->blocks);
  free(g->held_at);
  free(g->busy);
  free(g->queue);
}

/* What was taken for the worst case is made as small as it turned out. */
static void shrink(pm_stream_plan *plan, const pm_program *p) {
  const size_t places = plan->first[p->n_instrs];
  const size_t held = plan->n_loads ? plan->loads[plan->n_loads - 1].blocks + plan->loads[plan->n_loads - 1].count : 0;
  void *loads = realloc(plan->loads, (plan->n_loads + 1) * sizeof *plan->loads);
  void *blocks = realloc(plan->held, (held + 1) * sizeof *plan->held);
  void *small = realloc(plan->small, (plan->n_small + 1) * sizeof *plan->small);
  void *operands = realloc(plan->places, (places + 1) * sizeof *plan->places);
  if (loads) plan->loads = loads;
  if (blocks) plan->held = blocks;
  if (small) plan->small = small;
  if (operands) plan->places = operands;
  plan->overhead = STACK_BYTES + plan->n_loads * (sizeof *plan->loads + 1) + held * sizeof *plan->held +
                   plan->n_small * sizeof *plan->small + places * (sizeof *plan->places + sizeof(void *)) +
                   p->n_instrs * (sizeof *plan->needs + sizeof *plan->first);
}

static pm_status make(pm_stream_plan *plan, planning *g) {
  uint64_t several;
  collect_uses(g);
  set_tables(g, ROWS);
  const uint64_t least = most_units(g, &several);
  plan->most = bytes_of_all(g);
  plan->least = least + g->rows < plan->most ? least + g->rows : plan->most;
  if (g->budget < plan->least) return PM_E_BUDGET;
  if (g->budget >= plan->most) { /* Tables are read by rows only where not all can stay. */
    set_tables(g, STREAMED);
    keep_all(g);
    return make_tables(plan, g);
  }
  g->budget -= g->rows;
  if (several > g->budget / 8 * 7) several = g->budget / 8 * 7;
  const pm_status status = choose(g, least, several > least ? several : least);
  return status == PM_OK ? make_tables(plan, g) : status;
}

pm_status pm_stream_plan_new(pm_stream_plan *plan, const pm_program *program, uint64_t budget) {
  planning g = {.p = program, .budget = budget / PM_PAGE * PM_PAGE};
  memset(plan, 0, sizeof *plan);
  g.blocks = calloc(program->n_blocks + 1, sizeof *g.blocks);
  if (g.blocks) find_tables(&g);
  const bool taken = g.blocks && take_memory(plan, &g, count_operands(program));
  const pm_status status = taken ? make(plan, &g) : PM_E_MEMORY;
  give_back(&g);
  if (status == PM_OK)
    shrink(plan, program);
  else
    pm_stream_plan_free(plan);
  return status;
}

void pm_stream_plan_free(pm_stream_plan *plan) {
  free(plan->loads);
  free(plan->held);
  free(plan->small);
  free(plan->tables);
  free(plan->needs);
  free(plan->places);
  free(plan->first);
  plan->loads = NULL, plan->held = NULL, plan->small = NULL, plan->tables = NULL;
  plan->needs = NULL, plan->places = NULL, plan->first = NULL;
}
