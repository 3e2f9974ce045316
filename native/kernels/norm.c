/* Normalisation by the statistics of some axes.

   Statistics are added up in two passes, with a relative error below 3e-6; a result's error is below
   1e-6 of (|x| + |mean|) / spread, which for numbers not far from their mean is that of the result. */
#include "norm.h"

#include "reduce_row.h"

enum { ROWS = 64 };

typedef struct {
  pm_norm_kind kind;
  double epsilon;
  int64_t total;            /* numbers that a statistic is made of */
  pm_path groups, members;  /* without the contiguous axis, if there is one */
  int64_t inner;            /* its size, */
  int64_t steps[PM_NORM_TENSORS]; /* and the steps along it */
} norm;

typedef struct {
  double mean, factor;
} statistics;

/* From the sum of squares or of sizes to what numbers are multiplied by. */
static double factor_of(const norm *m, double sum) {
  switch (m->kind) {
    case PM_NORM_DEVIATION: return 1 / (sqrt(sum / (double)m->total) + m->epsilon);
    case PM_NORM_SIZES: return sum == 0 ? 1 : 1 / sum;
    case PM_NORM_LENGTH: return sum == 0 ? 1 : 1 / sqrt(sum);
    default: return 1 / sqrt(sum / (double)m->total + m->epsilon);
  }
}

static void keep_statistics(const pm_call *call, int64_t group, const statistics *s) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[1].t, call->out[2].t};
  if (!tensors[1] && !tensors[2]) return;
  const pm_path path = pm_path_over(tensors, 3, ~(uint32_t)call->params[1]);
  const pm_spot spot = pm_path_seek(&path, group);
  for (int i = 1; i < 3; i++) {
    const double value = i == 1 ? s->mean : s->factor;
    if (!tensors[i]) continue;
    if (call->in[0].t->dtype == PM_F32)
      ((float *)call->out[i].data)[spot.offset[i]] = (float)value;
    else
      ((double *)call->out[i].data)[spot.offset[i]] = value;
  }
}

/* Rows: the numbers of a group lie next to each other, in one row or in several. */

static double sum_of_group(const norm *m, pm_term term, const float *x) {
  double sum = 0;
  pm_spot spot = {{0}, {0}};
  for (int64_t i = 0; i < m->members.count; i++, pm_path_next(&m->members, &spot)) {
    const float *row = x + spot.offset[PM_NORM_X];
    sum += term == PM_TERM_SIZE ? pm_sum_of_row(PM_TERM_SIZE, row, m->inner)
                                : pm_sum_of_row(PM_TERM_SELF, row, m->inner);
  }
  return sum;
}

static pm_moments moments_of_group(const norm *m, const float *x, float point) {
  pm_moments moments = {0, 0};
  pm_spot spot = {{0}, {0}};
  for (int64_t i = 0; i < m->members.count; i++, pm_path_next(&m->members, &spot))
    pm_add_moments(&moments, x + spot.offset[PM_NORM_X], m->inner, point);
  return moments;
}

/* From moments about a float near the mean, which make up for what is lacking of the mean. */
static statistics statistics_of(const norm *m, float point, pm_moments moments) {
  const double rest = pm_norm_is_centred(m->kind) ? moments.first / (double)m->total : 0;
  const double spread = moments.second - rest * rest * (double)m->total;
  const statistics s = {(double)point + rest, factor_of(m, PM_MAX(0.0, spread))};
  return s;
}

static statistics group_statistics(const norm *m, const float *x) {
  if (m->kind == PM_NORM_SIZES) {
    const statistics s = {0, factor_of(m, sum_of_group(m, PM_TERM_SIZE, x))};
    return s;
  }
  float point = 0;
  if (pm_norm_is_centred(m->kind)) point = (float)(sum_of_group(m, PM_TERM_SELF, x) / (double)m->total);
  return statistics_of(m, point, moments_of_group(m, x, point));
}

/* A number for each place of a row, or one for all of them. */
typedef struct {
  const float *at;
  float same;
} along;

static along along_of(const float *at, int64_t step, float missing) {
  const along a = {at && step ? at : NULL, at ? *at : missing};
  return a;
}

PM_INLINE pm_vf load_along(const float *at, float same, int64_t i, int64_t some) {
  if (!at) return pm_splat(same);
  return some < PM_VL ? pm_load_some(at + i, some) : pm_load(at + i);
}

/* The mean in two parts, so that it is as good as in double precision. */
typedef struct {
  float mean, factor, rest;
} centre;

static centre centre_of(const statistics *s) {
  const centre c = {(float)s->mean, (float)s->factor, (float)((s->mean - (double)(float)s->mean) * s->factor)};
  return c;
}

PM_INLINE void apply_row(const float *x, float *y, int64_t n, centre c, along scale, along bias) {
  for (int64_t i = 0; i < n; i += PM_VL) {
    const int64_t some = PM_MIN(PM_VL, n - i);
    const pm_vf here = some < PM_VL ? pm_load_some(x + i, some) : pm_load(x + i);
    const pm_vf v = (here - c.mean) * c.factor - c.rest;
    const pm_vf factor = load_along(scale.at, scale.same, i, some);
    const pm_vf result = pm_vfma(v, factor, load_along(bias.at, bias.same, i, some));
    if (some < PM_VL)
      pm_store_some(y + i, result, some);
    else
      pm_store(y + i, result);
  }
}

static void normalize_row(const norm *m, const float *x, float *y, const float *scale, const float *bias,
                          centre c) {
  const along a = along_of(scale, m->steps[PM_NORM_SCALE], 1), b = along_of(bias, m->steps[PM_NORM_BIAS], 0);
  const along one_a = {NULL, a.same}, one_b = {NULL, b.same};
  if (a.at && b.at)
    apply_row(x, y, m->inner, c, a, b);
  else if (a.at)
    apply_row(x, y, m->inner, c, a, one_b);
  else if (b.at)
    apply_row(x, y, m->inner, c, one_a, b);
  else
    apply_row(x, y, m->inner, c, one_a, one_b);
}

static void normalize_rows(const pm_call *call, const pm_worker *worker, const norm *m) {
  const float *x = (const float *)call->in[0].data, *scale = (const float *)call->in[1].data;
  const float *bias = (const float *)call->in[2].data;
  float *y = (float *)call->out[0].data;
  int64_t begin, end;
  pm_share(worker, m->groups.count, &begin, &end);
  pm_spot group = pm_path_seek(&m->groups, begin);
  for (int64_t g = begin; g < end; g++, pm_path_next(&m->groups, &group)) {
    const statistics s = group_statistics(m, x + group.offset[PM_NORM_X]);
    const centre c = centre_of(&s);
    keep_statistics(call, g, &s);
    pm_spot spot = group;
    for (int i = 0; i < PM_MAX_RANK; i++) spot.at[i] = 0;
    for (int64_t i = 0; i < m->members.count; i++, pm_path_next(&m->members, &spot))
      normalize_row(m, x + spot.offset[PM_NORM_X], y + spot.offset[PM_NORM_Y],
                    scale ? scale + spot.offset[PM_NORM_SCALE] : NULL,
                    bias ? bias + spot.offset[PM_NORM_BIAS] : NULL, c);
  }
}

/* Columns: each lane has a group of its own. */

typedef struct {
  pm_moments of[PM_VL];
} lanes;

/* Moments about `point`; with `sizes` the second is of sizes, not of squares. */
PM_INLINE lanes moments_of_columns(const norm *m, const float *x, pm_vf point, bool sizes, int64_t some) {
  lanes total = {{{0, 0}}};
  const int64_t step = pm_path_inner(&m->members, PM_NORM_X);
  pm_spot spot;
  for (int64_t at = 0; at < m->members.count;) {
    const int64_t run = PM_MIN(ROWS, pm_path_run(&m->members, at, m->members.count, &spot));
    const float *row = x + spot.offset[PM_NORM_X];
    pm_vf first = {0}, second = {0};
    for (int64_t i = 0; i < run; i++, row += step) {
      const pm_vf far = pm_load_columns(row, some) - point;
      first += far;
      second = sizes ? second + pm_vabs(far) : pm_vfma(far, far, second);
    }
    at += run;
    for (int i = 0; i < PM_VL; i++) {
      total.of[i].first += (double)first[i];
      total.of[i].second += (double)second[i];
    }
  }
  return total;
}

typedef struct {
  pm_vf mean, factor, rest;
} centres;

PM_INLINE centres centres_of(const pm_call *call, const norm *m, const float *x, int64_t number, int64_t some) {
  const bool sizes = m->kind == PM_NORM_SIZES;
  pm_vf point = {0};
  lanes moments = moments_of_columns(m, x, point, sizes, some);
  if (pm_norm_is_centred(m->kind)) {
    for (int i = 0; i < PM_VL; i++) point[i] = (float)(moments.of[i].first / (double)m->total);
    moments = moments_of_columns(m, x, point, false, some);
  }
  centres c = {{0}, {0}, {0}};
  for (int i = 0; i < (some ? some : PM_VL); i++) {
    const statistics s = statistics_of(m, point[i], moments.of[i]);
    const centre one = centre_of(&s);
    c.mean[i] = one.mean;
    c.factor[i] = one.factor;
    c.rest[i] = one.rest;
    keep_statistics(call, number + i, &s);
  }
  return c;
}

PM_INLINE void normalize_column(const pm_call *call, const norm *m, const pm_spot *group, int64_t first,
                                int64_t column, int64_t some) {
  const float *x = (const float *)call->in[0].data + group->offset[PM_NORM_X] + column;
  const float *scale = (const float *)call->in[1].data, *bias = (const float *)call->in[2].data;
  const int64_t none[PM_PATH_TENSORS] = {0};
  const int64_t *steps = m->members.rank ? m->members.steps[m->members.rank - 1] : none;
  const centres c = centres_of(call, m, x, first, some);
  float *y = (float *)call->out[0].data + group->offset[PM_NORM_Y] + column;
  if (scale) scale += group->offset[PM_NORM_SCALE] + m->steps[PM_NORM_SCALE] * column;
  if (bias) bias += group->offset[PM_NORM_BIAS] + m->steps[PM_NORM_BIAS] * column;
  pm_spot spot;
  for (int64_t at = 0, run; at < m->members.count; at += run) {
    run = pm_path_run(&m->members, at, m->members.count, &spot);
    const int64_t *from = spot.offset;
    for (int64_t i = 0; i < run; i++) {
      const pm_vf here = pm_load_columns(x + from[PM_NORM_X] + i * steps[PM_NORM_X], some);
      pm_vf v = (here - c.mean) * c.factor - c.rest;
      if (scale) v *= pm_load_columns(scale + from[PM_NORM_SCALE] + i * steps[PM_NORM_SCALE], some);
      if (bias) v += pm_load_columns(bias + from[PM_NORM_BIAS] + i * steps[PM_NORM_BIAS], some);
      pm_store_columns(y + from[PM_NORM_Y] + i * steps[PM_NORM_Y], v, some);
    }
  }
}

static void normalize_columns(const pm_call *call, const pm_worker *worker, const norm *m) {
  const int64_t blocks = (m->inner + PM_VL - 1) / PM_VL;
  int64_t begin, end;
  pm_share(worker, m->groups.count * blocks, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot group = pm_path_seek(&m->groups, i / blocks);
    const int64_t column = i % blocks * PM_VL, first = i / blocks * m->inner + column;
    if (m->inner - column >= PM_VL)
      normalize_column(call, m, &group, first, column, 0);
    else
      normalize_column(call, m, &group, first, column, m->inner - column);
  }
}

/* Any strides and either type, in double precision. */
#define EACH_MEMBER(statement)                                             \
  for (int64_t i = 0; i < m->members.count; i++) {                         \
    statement;                                                             \
    pm_path_next(&m->members, &spot);                                      \
  }

#define ANY(type)                                                          \
  static void normalize_group_##type(const pm_call *call, const norm *m, int64_t g) { \
    const type *x = (const type *)call->in[0].data, *scale = (const type *)call->in[1].data; \
    const type *bias = (const type *)call->in[2].data;                     \
    type *y = (type *)call->out[0].data;                                   \
    pm_spot spot = pm_path_seek(&m->groups, g);                            \
    for (int i = 0; i < PM_MAX_RANK; i++) spot.at[i] = 0;                  \
    double sum = 0, spread = 0, v = 0;                                     \
    EACH_MEMBER(sum += (double)x[spot.offset[PM_NORM_X]])                  \
    const double mean = pm_norm_is_centred(m->kind) ? sum / (double)m->total : 0; \
    EACH_MEMBER(v = (double)x[spot.offset[PM_NORM_X]] - mean;              \
                spread += m->kind == PM_NORM_SIZES ? fabs(v) : v * v)      \
    const statistics s = {mean, factor_of(m, spread)};                     \
    keep_statistics(call, g, &s);                                          \
    EACH_MEMBER(v = ((double)x[spot.offset[PM_NORM_X]] - mean) * s.factor; \
                if (scale) v *= (double)scale[spot.offset[PM_NORM_SCALE]]; \
                if (bias) v += (double)bias[spot.offset[PM_NORM_BIAS]];    \
                y[spot.offset[PM_NORM_Y]] = (type)v)                       \
  }                                                                        \
  static void normalize_any_##type(const pm_call *call, const pm_worker *worker, const norm *m) { \
    int64_t begin, end;                                                    \
    pm_share(worker, m->groups.count, &begin, &end);                       \
    for (int64_t g = begin; g < end; g++) normalize_group_##type(call, m, g); \
  }

ANY(float)
ANY(double)

/* Whether the innermost axis of a path is contiguous in x and y, and may be so in the others. */
static bool is_contiguous(const pm_path *path, const pm_call *call) {
  for (int i = 0; i < PM_NORM_TENSORS; i++) {
    const int64_t step = pm_path_inner(path, i);
    const bool given = i < PM_NORM_SCALE || call->in[i - 1].t;
    const bool varies = i < PM_NORM_SCALE || step != 0;
    if (given && varies && step != 1) return false;
  }
  return true;
}

/* Columns load the scale and the bias as vectors. */
static bool are_columns(const pm_path *path, const pm_call *call) {
  const bool scaled = !call->in[1].t || pm_path_inner(path, PM_NORM_SCALE) == 1;
  const bool biased = !call->in[2].t || pm_path_inner(path, PM_NORM_BIAS) == 1;
  return is_contiguous(path, call) && scaled && biased;
}

static void take_inner(norm *m, pm_path *path) {
  for (int i = 0; i < PM_NORM_TENSORS; i++) m->steps[i] = pm_path_inner(path, i);
  m->inner = pm_path_pop(path);
}

PM_KERNEL(norm) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t, call->in[1].t, call->in[2].t};
  const uint32_t axes = (uint32_t)call->params[1];
  if (!pm_count(tensors[0])) return;
  norm m = {.kind = (pm_norm_kind)call->params[0], .epsilon = pm_param_f64(call->params[2])};
  m.groups = pm_path_over(tensors, PM_NORM_TENSORS, ~axes);
  m.members = pm_path_over(tensors, PM_NORM_TENSORS, axes);
  m.total = m.members.count;
  if (tensors[0]->dtype == PM_F64) {
    normalize_any_double(call, worker, &m);
  } else if (is_contiguous(&m.members, call)) {
    take_inner(&m, &m.members);
    normalize_rows(call, worker, &m);
  } else if (are_columns(&m.groups, call)) {
    take_inner(&m, &m.groups);
    normalize_columns(call, worker, &m);
  } else {
    normalize_any_float(call, worker, &m);
  }
}
