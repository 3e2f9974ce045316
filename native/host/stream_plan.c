#include "stream_plan.h"

#include <stdlib.h>
#include <string.h>

#include "reads.h"
#include "stream_planning.h"

/* At most one place for each operand among the weights. */
static size_t count_operands(const pm_program *p) {
  size_t count = 0;
  for (size_t i = 0; i < p->n_instrs; i++) count += p->instrs[i].n_in;
  return count;
}

static bool take_memory(pm_stream_plan *plan, pm_planning *g, size_t operands) {
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

static void give_back(pm_planning *g) {
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
  plan->overhead = PM_READS_BYTES + plan->n_loads * (sizeof *plan->loads + 1) + held * sizeof *plan->held +
                   plan->n_small * sizeof *plan->small + places * (sizeof *plan->places + sizeof(void *)) +
                   p->n_instrs * (sizeof *plan->needs + sizeof *plan->first);
}

static pm_status make(pm_stream_plan *plan, pm_planning *g) {
  uint64_t several;
  pm_collect_uses(g);
  pm_set_tables(g, PM_ROWS);
  const uint64_t least = pm_most_units(g, &several);
  plan->most = pm_bytes_of_all(g);
  plan->least = least + g->rows < plan->most ? least + g->rows : plan->most;
  if (g->budget < plan->least) return PM_E_BUDGET;
  if (g->budget >= plan->most) { /* Tables are read by rows only where not all can stay. */
    pm_set_tables(g, PM_STREAMED);
    pm_keep_all(g);
    return pm_place_all(plan, g);
  }
  g->budget -= g->rows;
  if (several > g->budget / 8 * 7) several = g->budget / 8 * 7;
  const pm_status status = pm_choose(g, least, several > least ? several : least);
  return status == PM_OK ? pm_place_all(plan, g) : status;
}

pm_status pm_stream_plan_new(pm_stream_plan *plan, const pm_program *program, uint64_t budget) {
  pm_planning g = {.p = program, .budget = budget / PM_PAGE * PM_PAGE};
  memset(plan, 0, sizeof *plan);
  g.blocks = calloc(program->n_blocks + 1, sizeof *g.blocks);
  if (g.blocks) pm_find_gathered(&g);
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

static bool is_same_load(const pm_load *a, const pm_load *b) {
  return a->offset == b->offset && a->nbytes == b->nbytes && a->slot == b->slot && a->first == b->first &&
         a->last == b->last && a->blocks == b->blocks && a->count == b->count && a->after == b->after &&
         a->stays == b->stays;
}

static bool is_same_table(const pm_table *a, const pm_table *b) {
  return a->instr == b->instr && a->block == b->block && a->begin == b->begin && a->nbytes == b->nbytes &&
         a->place == b->place;
}

bool pm_stream_plan_is_alike(const pm_stream_plan *a, const pm_stream_plan *b, size_t n_instrs) {
  bool is = a->n_loads == b->n_loads && a->n_small == b->n_small && a->n_tables == b->n_tables &&
            a->reserved == b->reserved && !memcmp(a->needs, b->needs, n_instrs * sizeof *a->needs) &&
            !memcmp(a->first, b->first, (n_instrs + 1) * sizeof *a->first);
  for (size_t i = 0; i < a->n_loads && is; i++) {
    is = is_same_load(&a->loads[i], &b->loads[i]);
    for (uint32_t k = a->loads[i].blocks; k < a->loads[i].blocks + a->loads[i].count && is; k++)
      is = a->held[k] == b->held[k];
  }
  for (size_t i = 0; i < a->n_small && is; i++)
    is = a->small[i].block == b->small[i].block && a->small[i].place == b->small[i].place;
  for (size_t i = 0; i < a->n_tables && is; i++) is = is_same_table(&a->tables[i], &b->tables[i]);
  return is;
}
