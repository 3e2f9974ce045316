#include <stdlib.h>

#include "stream_planning.h"

/* Loads. */

static void add_load(pm_stream_plan *plan, uint64_t offset, uint64_t end, uint32_t first, uint32_t last) {
  const pm_load *before = plan->n_loads ? &plan->loads[plan->n_loads - 1] : NULL;
  const uint32_t blocks = before ? before->blocks + before->count : 0;
  plan->loads[plan->n_loads++] =
      (pm_load){offset, end - offset, 0, first, last, blocks, 0, PM_ANY_TIME, false};
}

static void add_block(pm_stream_plan *plan, pm_planning *g, uint32_t block) {
  pm_load *load = &plan->loads[plan->n_loads - 1];
  plan->held[load->blocks + load->count++] = block;
  g->blocks[block].load = (uint32_t)(plan->n_loads - 1);
}

/* What an instruction is the first to use, and stays or is held from then on. */
static void add_lasting(pm_stream_plan *plan, pm_planning *g, uint32_t instr) {
  for (uint32_t k = g->begin[instr]; k < g->begin[instr + 1]; k++) {
    const uint32_t number = g->uses[k];
    const pm_block_state *b = &g->blocks[number];
    if (b->mode == PM_STREAMED || b->mode == PM_ROWS || b->first != instr || (b->mode == PM_STAYS && pm_is_small(g, number))) continue;
    add_load(plan, b->begin, b->end, b->first, b->last);
    add_block(plan, g, number);
    if (b->mode != PM_STAYS) continue;
    pm_load *load = &plan->loads[plan->n_loads - 1];
    load->stays = true;
    load->slot = plan->window + plan->resident;
    plan->resident += load->nbytes;
  }
}

static void add_unit(pm_stream_plan *plan, pm_planning *g, uint32_t instr) {
  bool open = false;
  for (uint32_t k = g->begin[instr]; k < g->begin[instr + 1]; k++) {
    const pm_block_state *b = &g->blocks[g->uses[k]];
    if (b->mode != PM_STREAMED) continue;
    pm_load *load = open ? &plan->loads[plan->n_loads - 1] : NULL;
    if (!load || b->begin > load->offset + load->nbytes)
      add_load(plan, b->begin, b->end, instr, instr);
    else if (b->end > load->offset + load->nbytes)
      load->nbytes = b->end - load->offset;
    add_block(plan, g, g->uses[k]);
    open = true;
  }
}

static void add_loads(pm_stream_plan *plan, pm_planning *g) {
  plan->n_loads = 0;
  plan->resident = 0;
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    add_lasting(plan, g, i);
    add_unit(plan, g, i);
    plan->needs[i] = 0;
    for (uint32_t k = g->begin[i]; k < g->begin[i + 1]; k++) {
      const pm_block_state *b = &g->blocks[g->uses[k]];
      const bool loaded = b->mode != PM_ROWS && (b->mode != PM_STAYS || !pm_is_small(g, g->uses[k]));
      if (loaded && b->load + 1 > plan->needs[i]) plan->needs[i] = b->load + 1;
    }
  }
}

/* Places in the window. */

/* Where `count` pages are free the earliest; from the top down where they are held for long, so that
   they leave the others together. *free_after is the last instruction that uses one of them now. */
static size_t earliest(const pm_planning *g, size_t pages, size_t count, bool from_top, int64_t *free_after) {
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
static size_t group_of(const pm_stream_plan *plan, const pm_planning *g, size_t number) {
  const pm_load *load = &plan->loads[number];
  if (g->blocks[plan->held[load->blocks]].mode != PM_STREAMED) return 1;
  size_t count = 1;
  while (number + count < plan->n_loads && load[count].first == load->first) count++;
  return count;
}

static void occupy(pm_planning *g, pm_load *load, int64_t run, int64_t n_instrs) {
  int64_t after = PM_ANY_TIME;
  int64_t *busy = g->busy + load->slot / PM_PAGE;
  for (size_t i = 0; i < load->nbytes / PM_PAGE; i++) {
    if (busy[i] > after) after = busy[i];
    busy[i] = run * n_instrs + load->last;
  }
  load->after = after == PM_ANY_TIME ? after : after - run * n_instrs;
}

/* Gives each load a slot; the instruction at which there was no room, PM_NONE if all went well. */
static uint32_t find_slots(pm_stream_plan *plan, pm_planning *g) {
  const size_t pages = plan->window / PM_PAGE;
  for (size_t i = 0; i < pages; i++) g->busy[i] = PM_ANY_TIME;
  for (size_t i = 0, count; i < plan->n_loads; i += count) {
    pm_load *load = &plan->loads[i];
    count = load->stays ? 1 : group_of(plan, g, i);
    if (load->stays) continue;
    const bool streamed = g->blocks[plan->held[load->blocks]].mode == PM_STREAMED;
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
static void find_times(pm_stream_plan *plan, pm_planning *g) {
  for (size_t i = 0; i < plan->n_loads; i++) {
    pm_load *load = &plan->loads[i];
    if (!load->stays) occupy(g, load, 1, (int64_t)g->p->n_instrs);
    if (!load->stays) plan->read += load->nbytes;
  }
}

static uint64_t window_of(const pm_planning *g) {
  const uint64_t streamed = pm_bytes_read(g);
  const uint64_t left = g->budget - g->large - pm_rounded(g->small, PM_PAGE);
  return streamed < left ? streamed : left;
}

static int by_place(const void *left, const void *right) {
  const pm_small *a = left, *b = right;
  return a->place < b->place ? -1 : a->place > b->place;
}

/* The small blocks that stay, in the order of the file. */
static void place_small(pm_stream_plan *plan, pm_planning *g) {
  for (uint32_t i = 0; i < g->p->n_blocks; i++)
    if (g->blocks[i].mode == PM_STAYS && pm_is_small(g, i))
      plan->small[plan->n_small++] = (pm_small){i, pm_place_in_file(g->p, i)};
  qsort(plan->small, plan->n_small, sizeof *plan->small, by_place);
  uint64_t place = plan->window + plan->resident;
  for (size_t i = 0; i < plan->n_small; i++) {
    plan->small[i].place = g->blocks[plan->small[i].block].place = place;
    place += pm_rounded(g->p->blocks[plan->small[i].block].nbytes, PM_ALIGNMENT);
  }
  plan->memory = pm_rounded(place, PM_PAGE);
  plan->resident = plan->memory - plan->window;
}

/* Tables lie beyond the memory, each whole; only pages with rows that are wanted are ever touched. */
static void place_tables(pm_stream_plan *plan, pm_planning *g) {
  plan->reserved = plan->memory;
  for (uint32_t i = 0; i < g->p->n_blocks; i++) {
    pm_block_state *b = &g->blocks[i];
    if (b->mode != PM_ROWS) continue;
    b->place = plan->reserved + pm_place_in_file(g->p, i) - b->begin;
    plan->reserved += pm_pages_of(b);
  }
  for (uint32_t i = 0; i < g->p->n_instrs; i++) {
    const pm_tensor *x = pm_table_of(g->p, i);
    const pm_block_state *b = x ? &g->blocks[x->index] : NULL;
    if (!b || b->mode != PM_ROWS) continue;
    const uint64_t place = b->place - (pm_place_in_file(g->p, x->index) - b->begin);
    plan->tables[plan->n_tables++] = (pm_table){i, x->index, b->begin, pm_pages_of(b), place};
  }
  if (plan->n_tables) plan->memory += g->rows;
}

/* The place of a block while an instruction runs: of the last load for it that was made by then. */
static void place_operands(pm_stream_plan *plan, pm_planning *g) {
  const pm_program *p = g->p;
  uint32_t count = 0;
  size_t load = 0;
  for (uint32_t i = 0; i < p->n_instrs; i++) {
    for (; load < plan->n_loads && plan->loads[load].first <= i; load++) {
      const pm_load *l = &plan->loads[load];
      for (uint32_t k = l->blocks; k < l->blocks + l->count; k++)
        g->blocks[plan->held[k]].place = l->slot + pm_place_in_file(p, plan->held[k]) - l->offset;
    }
    plan->first[i] = count;
    for (int k = 0; k < p->instrs[i].n_in; k++) {
      const uint32_t number = p->operands[p->instrs[i].operands + (uint32_t)k];
      if (number == PM_NONE || p->tensors[number].space != PM_WEIGHTS) continue;
      const uint32_t block = pm_block_of(p, number);
      const uint64_t within = block == PM_NONE ? 0 : p->tensors[number].offset - p->blocks[block].offset;
      plan->places[count++] = block == PM_NONE ? 0 : g->blocks[block].place + within;
    }
  }
  plan->first[p->n_instrs] = count;
}

pm_status pm_place_all(pm_stream_plan *plan, pm_planning *g) {
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
  } while (stuck != PM_NONE && pm_let_go(g, stuck));
  if (stuck != PM_NONE) return PM_E_BUDGET;
  find_times(plan, g);
  place_small(plan, g);
  place_tables(plan, g);
  place_operands(plan, g);
  return PM_OK;
}
