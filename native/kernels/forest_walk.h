/* The kernel for one type of features: REAL, float or double. Included once for each. */

#define PM_OF(name) PM_JOIN(PM_JOIN(name, _), REAL)

typedef struct {
  forest f;
  const PM_OF(pm_forest_node) *nodes;
  const REAL *weights;
} PM_OF(trees);

/* From roots to leaves. A walk that has come to its leaf stays there; none has a branch of its own. */
PM_INLINE void PM_OF(walk)(const PM_OF(trees) *t, uint64_t at[LANES], const REAL *const x[LANES], int64_t kinds) {
  const uint64_t count = t->f.nodes;
  for (uint64_t live = 1; live;) {
    live = 0;
    for (int lane = 0; lane < LANES; lane++) {
      const uint64_t on = 0 - (uint64_t)(at[lane] < count);
      const PM_OF(pm_forest_node) *node = t->nodes + (at[lane] & on);
      const uint32_t feature = kinds ? node->feature & PM_NODE_FEATURE : node->feature;
      const REAL value = x[lane][PM_MIN(feature, t->f.last_feature)];
      bool yes = value <= node->threshold;
      if (kinds & PM_FOREST_EQUAL) yes = node->feature & PM_NODE_EQUAL ? value == node->threshold : yes;
      if (kinds & PM_FOREST_NAN) yes |= (value != value) & ((node->feature & PM_NODE_NAN) != 0);
      at[lane] += on & ((uint64_t)1 + node->step[yes]);
      live |= at[lane] < count;
    }
  }
}

PM_INLINE REAL PM_OF(combined)(REAL old, REAL given, int64_t combine) {
  if (combine == PM_FOREST_SUM) return old + given;
  const bool taken = combine == PM_FOREST_MIN ? given < old : given > old;
  return taken || old != old ? given : old;
}

static void PM_OF(give)(const PM_OF(trees) *t, uint64_t at, REAL *y) {
  const uint64_t leaf = PM_MIN(at - t->f.nodes, t->f.last_leaf) * t->f.given;
  for (uint64_t i = 0; i < t->f.given; i++) {
    const uint64_t target = t->f.of ? t->f.of[leaf + i] : i;
    if (target < t->f.targets) y[target] = PM_OF(combined)(y[target], t->weights[leaf + i], t->f.combine);
  }
}

/* All trees for some rows. Walks go tree by tree, so that a tree is in the cache for all of the
   rows, and each row's leaves come in the order of the trees. */
PM_INLINE void PM_OF(rows)(const PM_OF(trees) *t, const REAL *x, REAL *y, int64_t count, int64_t kinds) {
  int64_t tree = 0, row = 0, left = t->f.trees * count;
  while (left > 0) {
    uint64_t at[LANES];
    const REAL *from[LANES];
    int64_t rows[LANES];
    const int lanes = (int)PM_MIN(left, LANES);
    for (int lane = 0; lane < LANES; lane++) {
      rows[lane] = row;
      from[lane] = x + row * t->f.x_step;
      at[lane] = t->f.roots[tree];
      if (lane + 1 < lanes && ++row == count) row = 0, tree++;
    }
    PM_OF(walk)(t, at, from, kinds);
    for (int lane = 0; lane < lanes; lane++) PM_OF(give)(t, at[lane], y + rows[lane] * t->f.y_step);
    if (++row == count) row = 0, tree++;
    left -= lanes;
  }
}

static void PM_OF(begin)(const PM_OF(trees) *t, const REAL *start, REAL *y, int64_t count) {
  for (int64_t row = 0; row < count; row++)
    for (uint64_t i = 0; i < t->f.targets; i++) {
      const REAL first = t->f.combine == PM_FOREST_SUM ? 0 : (REAL)NAN;
      y[row * t->f.y_step + (int64_t)i] = start ? start[row * t->f.start_step + (int64_t)i] : first;
    }
}

static void PM_OF(run)(const pm_call *call, int64_t begin, int64_t end) {
  const PM_OF(trees) t = {
      .f = forest_of(call),
      .nodes = (const PM_OF(pm_forest_node) *)call->in[FOREST_NODES].data,
      .weights = (const REAL *)call->in[FOREST_WEIGHTS].data,
  };
  const REAL *start = (const REAL *)call->in[FOREST_START].data;
  for (int64_t row = begin; row < end; row += ROWS) {
    const int64_t count = PM_MIN(end - row, ROWS);
    const REAL *x = (const REAL *)call->in[FOREST_X].data + row * t.f.x_step;
    REAL *y = (REAL *)call->out[0].data + row * t.f.y_step;
    PM_OF(begin)(&t, start ? start + row * t.f.start_step : NULL, y, count);
    switch (call->params[FOREST_KINDS]) {
      case 0: PM_OF(rows)(&t, x, y, count, 0); break;
      case PM_FOREST_NAN: PM_OF(rows)(&t, x, y, count, PM_FOREST_NAN); break;
      default: PM_OF(rows)(&t, x, y, count, PM_FOREST_EQUAL | PM_FOREST_NAN);
    }
  }
}

#undef PM_OF
#undef REAL
