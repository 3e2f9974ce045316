#include <stdlib.h>

#include "stream_planning.h"

#define LATENCY_BYTES (64u << 10) /* how much could be read while a read begins */
#define PARTS 16                  /* of a run, in which reading is to go evenly */
#define INSTR_COST 100000u        /* what an instruction takes whatever it does, in multiply-accumulates */

void pm_set_tables(pm_planning *g, pm_mode how) {
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].by_rows) g->blocks[i].mode = how;
}

/* Reading goes evenly while instructions run, if what is left to be read does: where the run takes as
   long, as much should be read. So the parts of the run, which are of one cost, are lowered to one
   level, and a block's level is that of its part when its turn comes. */
static void find_levels(pm_planning *g) {
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
  pm_mode mode;
} candidate;

static int by_gain(const void *left, const void *right) {
  const candidate *a = left, *b = right;
  if (a->gain != b->gain) return a->gain > b->gain ? -1 : 1;
  if (a->level != b->level) return a->level > b->level ? -1 : 1;
  if (a->block != b->block) return a->block < b->block ? -1 : 1;
  return (int)a->mode - (int)b->mode;
}

static size_t list_candidates(const pm_planning *g, candidate *list) {
  size_t count = 0;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    const pm_block_state *b = &g->blocks[i];
    if (!b->uses || b->mode == PM_ROWS) continue;
    const double nbytes = (double)g->p->blocks[i].nbytes;
    const double reads = pm_is_small(g, i) ? 1 + LATENCY_BYTES / nbytes : 1;
    const double share = (double)(b->last - b->first) / (double)g->p->n_instrs;
    if (b->uses > 1) list[count++] = (candidate){reads * (b->uses - 1) / share, b->level, i, PM_HELD};
    list[count++] = (candidate){reads / (1 - share), b->level, i, PM_STAYS};
  }
  qsort(list, count, sizeof *list, by_gain);
  return count;
}

/* The most that is held at a time, if `block`, which is held now, were not. */
static uint64_t peak_without(const pm_planning *g, const pm_block_state *block) {
  uint64_t most = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    const uint64_t own = i >= block->first && i <= block->last ? pm_pages_of(block) : 0;
    if (g->held_at[i] - own > most) most = g->held_at[i] - own;
  }
  return most;
}

static void hold(pm_planning *g, pm_block_state *b, bool held) {
  for (uint32_t i = b->first; i <= b->last; i++) g->held_at[i] += held ? pm_pages_of(b) : -pm_pages_of(b);
  g->peak = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++)
    if (g->held_at[i] > g->peak) g->peak = g->held_at[i];
  b->mode = held ? PM_HELD : PM_STREAMED;
}

static bool fits(const pm_planning *g, uint64_t large, uint64_t small, uint64_t peak) {
  return large + pm_rounded(small, PM_PAGE) + peak + g->wanted <= g->budget;
}

static void try_to_hold(pm_planning *g, pm_block_state *b) {
  uint64_t most = 0;
  for (uint32_t i = b->first; i <= b->last; i++)
    if (g->held_at[i] > most) most = g->held_at[i];
  most += pm_pages_of(b);
  if (b->mode == PM_STREAMED && fits(g, g->large, g->small, most > g->peak ? most : g->peak)) hold(g, b, true);
}

static void try_to_keep(pm_planning *g, uint32_t number) {
  pm_block_state *b = &g->blocks[number];
  uint64_t large = g->large, small = g->small;
  if (pm_is_small(g, number))
    small += pm_rounded(g->p->blocks[number].nbytes, PM_ALIGNMENT);
  else
    large += pm_pages_of(b);
  if (!fits(g, large, small, b->mode == PM_HELD ? peak_without(g, b) : g->peak)) return;
  if (b->mode == PM_HELD) hold(g, b, false);
  b->mode = PM_STAYS;
  g->large = large;
  g->small = small;
}

static void choose_for(pm_planning *g, const candidate *list, size_t count, uint64_t wanted) {
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].mode != PM_ROWS) g->blocks[i].mode = PM_STREAMED;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) g->held_at[i] = 0;
  g->large = g->small = g->peak = 0;
  g->wanted = wanted;
  for (size_t i = 0; i < count; i++) {
    if (list[i].mode == PM_STAYS)
      try_to_keep(g, list[i].block);
    else
      try_to_hold(g, &g->blocks[list[i].block]);
  }
}

/* A window of one instruction's blocks lets nothing be read while that runs, and takes about twice
   the time; but what it leaves to others may save more. */
pm_status pm_choose(pm_planning *g, uint64_t least, uint64_t several) {
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
    const uint64_t time = pm_bytes_read(g) * slowness[i];
    if (time > best) continue;
    best = time;
    chosen = wanted;
  }
  choose_for(g, list, count, chosen);
  free(list);
  return PM_OK;
}

void pm_keep_all(pm_planning *g) {
  g->wanted = 0;
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].uses) try_to_keep(g, i);
}

bool pm_let_go(pm_planning *g, uint32_t instr) {
  pm_block_state *most = NULL;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    pm_block_state *b = &g->blocks[i];
    if (b->mode == PM_HELD && b->first <= instr && b->last >= instr && (!most || pm_pages_of(b) > pm_pages_of(most)))
      most = b;
  }
  if (most) hold(g, most, false);
  return most != NULL;
}
