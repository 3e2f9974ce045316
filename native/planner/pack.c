/* The search for offsets.

   Blocks are placed one by one on the floor that those placed before make: the lowest that a block
   can lie, for a placement where nothing can sink (the canonical ones of Moffitt, "MiniMalloc",
   ASPLOS 2023). At each node the block with the lowest floor is placed there or, if that fails,
   postponed until one that shares its time has been placed (Le Pape et al., "Time-versus-capacity
   compromises in project scheduling", 1994: "schedule or postpone").

   What makes it quick is to see early that a node is lost. In each section, the blocks that are left
   follow one another; the one that comes first must leave room for all of them, so those that cannot
   be first lie above the earliest end of one that can. Repeated, this pushes floors up until in some
   section the blocks no longer fit under the capacity. */
#include "pack.h"

#include <stdbool.h>
#include <string.h>

#define NEVER INT32_MAX
#define MAX_ROUNDS 8

/* What a level of the search keeps: its blocks, where they can lie, which are postponed. */
typedef struct {
  int32_t *blocks; /* by their bound, as far as the level above has sorted them */
  int32_t *floor;  /* where what is placed lets each lie */
  int32_t *bound;  /* no lower in any placement that is left */
  uint8_t *postponed;
  int32_t count;
  int32_t first, end; /* sections */
} level_t;

/* A span of sections. */
typedef struct {
  int32_t first, end;
} span_t;

typedef struct {
  const pm_pack_problem *problem;
  int32_t *load;     /* of the blocks that are not placed, in each section */
  int32_t *crossing; /* how many of them are held on both sides of the start of a section */
  int32_t *ready, *low, *second, *top;
  int32_t *offsets, *failures;
  level_t *levels;
  span_t conflict; /* what the last failure depended on */
  int64_t left;
} search_t;

static pm_pack_result solve(search_t *s, int32_t depth);

static size_t padded(size_t bytes) { return (bytes + 7) / 8 * 8; }

size_t pm_pack_bytes(int32_t blocks, int32_t sections) {
  const size_t n = (size_t)blocks, levels = n + 1;
  const size_t row = padded(((size_t)sections + 1) * sizeof(int32_t));
  const size_t level = 3 * padded(n * sizeof(int32_t)) + padded(n);
  return padded(sizeof(search_t)) + 6 * row + padded(levels * sizeof(level_t)) + levels * level;
}

/* Cuts a piece off the caller's memory. */
static void *cut(uint8_t **memory, size_t bytes) {
  void *piece = *memory;
  *memory += padded(bytes);
  return piece;
}

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static bool meet(const pm_pack_problem *p, int32_t a, int32_t b) {
  return p->lower[a] < p->upper[b] && p->lower[b] < p->upper[a];
}

static void hold(search_t *s, int32_t block, int32_t sign) {
  const pm_pack_problem *p = s->problem;
  for (int32_t t = p->lower[block]; t < p->upper[block]; t++) s->load[t] += sign * p->size[block];
  for (int32_t t = p->lower[block] + 1; t < p->upper[block]; t++) s->crossing[t] += sign;
}

/* A failure in one section depends on what is placed beside the blocks that are left there. */
static void blame(search_t *s, const level_t *level, int32_t section) {
  const pm_pack_problem *p = s->problem;
  s->failures[section]++;
  s->conflict = (span_t){section, section + 1};
  for (int32_t k = 0; k < level->count; k++) {
    const int32_t b = level->blocks[k];
    if (section < p->lower[b] || p->upper[b] <= section) continue;
    s->conflict.first = smaller(s->conflict.first, p->lower[b]);
    s->conflict.end = larger(s->conflict.end, p->upper[b]);
  }
}

/* For each section: the earliest end of a block that can be the first there, and the lowest two
   ends of all. */
static void survey(search_t *s, const level_t *level) {
  const pm_pack_problem *p = s->problem;
  for (int32_t t = level->first; t < level->end; t++) s->ready[t] = s->low[t] = s->second[t] = NEVER;
  for (int32_t k = 0; k < level->count; k++) {
    const int32_t b = level->blocks[k], bound = level->bound[b], end = bound + p->size[b];
    const int32_t *load = s->load;
    int32_t *ready = s->ready, *low = s->low, *second = s->second;
    for (int32_t t = p->lower[b]; t < p->upper[b]; t++) {
      const int32_t fits = bound + load[t] <= p->capacity ? end : NEVER;
      second[t] = smaller(second[t], larger(low[t], end));
      low[t] = smaller(low[t], end);
      ready[t] = smaller(ready[t], fits);
    }
  }
}

/* The bound of a block, raised over those that must lie below it; NEVER where none is left. */
static int32_t raised(const search_t *s, const level_t *level, int32_t b) {
  const pm_pack_problem *p = s->problem;
  const int32_t bound = level->bound[b], end = bound + p->size[b];
  int32_t found = bound;
  for (int32_t t = p->lower[b]; t < p->upper[b]; t++)
    found = larger(found, bound + s->load[t] > p->capacity ? s->ready[t] : 0);
  if (!level->postponed[b]) return found;
  int32_t least = NEVER;
  for (int32_t t = p->lower[b]; t < p->upper[b]; t++)
    least = smaller(least, s->low[t] == end ? s->second[t] : s->low[t]);
  return larger(found, least);
}

/* Push the bounds up until nothing moves. False if a section cannot hold its blocks. */
static bool push(search_t *s, level_t *level) {
  const pm_pack_problem *p = s->problem;
  bool moved = true;
  for (int round = 0; moved && round < MAX_ROUNDS; round++) {
    moved = false;
    survey(s, level);
    for (int32_t k = 0; k < level->count; k++) {
      const int32_t b = level->blocks[k], bound = raised(s, level, b);
      if (bound == level->bound[b]) continue;
      if (bound > p->capacity - p->size[b]) {
        int32_t t = p->lower[b];
        while (t < p->upper[b] - 1 && s->ready[t] != NEVER) t++;
        blame(s, level, t);
        return false;
      }
      level->bound[b] = bound;
      moved = true;
    }
  }
  return true;
}

static void sort(level_t *level) {
  for (int32_t k = 1; k < level->count; k++) {
    const int32_t b = level->blocks[k], bound = level->bound[b];
    int32_t to = k;
    for (; to > 0 && level->bound[level->blocks[to - 1]] > bound; to--)
      level->blocks[to] = level->blocks[to - 1];
    level->blocks[to] = b;
  }
}

/* Whether in each section the blocks, taken by their bounds, end below the capacity. */
static bool fits(search_t *s, level_t *level) {
  const pm_pack_problem *p = s->problem;
  sort(level);
  for (int32_t t = level->first; t < level->end; t++) s->top[t] = 0;
  for (int32_t k = 0; k < level->count; k++) {
    const int32_t b = level->blocks[k], bound = level->bound[b], size = p->size[b];
    int32_t *top = s->top;
    for (int32_t t = p->lower[b]; t < p->upper[b]; t++) top[t] = larger(top[t], bound) + size;
  }
  for (int32_t t = level->first; t < level->end; t++) {
    if (s->top[t] <= p->capacity) continue;
    blame(s, level, t);
    return false;
  }
  return true;
}

static bool can_lie(const level_t *level, int32_t b) {
  return !level->postponed[b] && level->floor[b] >= level->bound[b];
}

/* A block below whose end nothing else can begin: placing it takes no way from the others. */
static int32_t harmless(search_t *s, const level_t *level) {
  const pm_pack_problem *p = s->problem;
  for (int32_t t = level->first; t < level->end; t++) s->low[t] = s->second[t] = NEVER;
  for (int32_t k = 0; k < level->count; k++) {
    const int32_t b = level->blocks[k], bound = level->bound[b];
    for (int32_t t = p->lower[b]; t < p->upper[b]; t++) {
      s->second[t] = smaller(s->second[t], larger(s->low[t], bound));
      s->low[t] = smaller(s->low[t], bound);
    }
  }
  for (int32_t k = 0; k < level->count; k++) {
    const int32_t b = level->blocks[k], bound = level->bound[b];
    if (!can_lie(level, b)) continue;
    bool alone = true;
    for (int32_t t = p->lower[b]; alone && t < p->upper[b]; t++)
      alone = (s->low[t] == bound ? s->second[t] : s->low[t]) >= bound + p->size[b];
    if (alone) return b;
  }
  return -1;
}

/* The block with the lowest floor; of equal ones, the one with the lowest rank. */
static int32_t lowest(const search_t *s, const level_t *level) {
  const int32_t *rank = s->problem->rank;
  int32_t best = -1;
  for (int32_t k = 0; k < level->count; k++) {
    const int32_t b = level->blocks[k];
    if (!can_lie(level, b)) continue;
    if (best < 0 || level->floor[b] < level->floor[best] ||
        (level->floor[b] == level->floor[best] && rank[b] < rank[best]))
      best = b;
  }
  return best;
}

/* Blocks that no time joins are solved apart: a failure of one is no reason to change another. */
static pm_pack_result solve_parts(search_t *s, int32_t depth, const level_t *above, int32_t placed) {
  const pm_pack_problem *p = s->problem;
  const int32_t top = s->offsets[placed] + p->size[placed];
  level_t *level = &s->levels[depth];
  int32_t first = above->first;
  for (int32_t t = first + 1; t <= above->end; t++) {
    if (t < above->end && s->crossing[t]) continue;
    level->count = 0;
    level->first = first, level->end = t;
    for (int32_t k = 0; k < above->count; k++) {
      const int32_t b = above->blocks[k];
      if (b == placed || p->lower[b] < first || p->upper[b] > t) continue;
      const bool beside = meet(p, b, placed);
      level->blocks[level->count++] = b;
      level->floor[b] = beside ? larger(above->floor[b], top) : above->floor[b];
      level->bound[b] = level->floor[b];
      level->postponed[b] = beside ? 0 : above->postponed[b];
    }
    const pm_pack_result result = level->count ? solve(s, depth) : PM_PACK_FOUND;
    if (result != PM_PACK_FOUND) return result;
    first = t;
  }
  return PM_PACK_FOUND;
}

static pm_pack_result place(search_t *s, int32_t depth, int32_t block) {
  const level_t *level = &s->levels[depth];
  s->offsets[block] = level->floor[block];
  hold(s, block, -1);
  const pm_pack_result result = solve_parts(s, depth + 1, level, block);
  hold(s, block, 1);
  return result;
}

static void widen(span_t *span, span_t by) {
  span->first = smaller(span->first, by.first);
  span->end = larger(span->end, by.end);
}

static pm_pack_result solve(search_t *s, int32_t depth) {
  const pm_pack_problem *p = s->problem;
  level_t *level = &s->levels[depth];
  span_t reasons = {NEVER, 0};
  for (;;) {
    if (s->left-- <= 0) return PM_PACK_LIMIT;
    if (!push(s, level) || !fits(s, level)) break;
    const int32_t sure = harmless(s, level);
    const int32_t block = sure < 0 ? lowest(s, level) : sure;
    if (block < 0) {
      s->conflict = (span_t){level->first, level->end};
      break;
    }
    const pm_pack_result result = place(s, depth, block);
    if (result != PM_PACK_NONE) return result;
    if (sure >= 0) break;
    /* A failure that this block has no part in is no better without it. */
    if (p->upper[block] <= s->conflict.first || s->conflict.end <= p->lower[block])
      return PM_PACK_NONE;
    widen(&reasons, s->conflict);
    level->postponed[block] = 1;
  }
  widen(&s->conflict, reasons);
  return PM_PACK_NONE;
}

static search_t *lay_out(const pm_pack_problem *p, uint8_t *memory) {
  const size_t n = (size_t)p->blocks, sections = (size_t)p->sections + 1;
  search_t *s = cut(&memory, sizeof *s);
  int32_t **rows[] = {&s->load, &s->crossing, &s->ready, &s->low, &s->second, &s->top};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    *rows[i] = cut(&memory, sections * sizeof(int32_t));
    memset(*rows[i], 0, sections * sizeof(int32_t));
  }
  s->levels = cut(&memory, (n + 1) * sizeof(level_t));
  for (size_t i = 0; i <= n; i++) {
    level_t *level = &s->levels[i];
    level->blocks = cut(&memory, n * sizeof(int32_t));
    level->floor = cut(&memory, n * sizeof(int32_t));
    level->bound = cut(&memory, n * sizeof(int32_t));
    level->postponed = cut(&memory, n);
  }
  return s;
}

pm_pack_result pm_pack(const pm_pack_problem *problem, int64_t nodes, void *memory,
                       int32_t *offsets, int32_t *failures) {
  search_t *s = lay_out(problem, memory);
  s->problem = problem;
  s->offsets = offsets, s->failures = failures, s->left = nodes;
  memset(offsets, 0, (size_t)problem->blocks * sizeof *offsets);
  memset(failures, 0, (size_t)problem->sections * sizeof *failures);
  level_t *level = &s->levels[0];
  level->count = problem->blocks;
  level->first = 0, level->end = problem->sections;
  for (int32_t b = 0; b < problem->blocks; b++) {
    level->blocks[b] = b;
    level->floor[b] = level->bound[b] = 0;
    level->postponed[b] = 0;
    hold(s, b, 1);
  }
  return problem->blocks ? solve(s, 0) : PM_PACK_FOUND;
}
