/* Reductions over any axes. Sums of floats have a relative error below 3e-6 of the sum of sizes. */
#include "reduce.h"

#include "reduce_row.h"

#define WIDE (4 * PM_VL)

static pm_term term_of(pm_reduce_kind kind) {
  switch (kind) {
    case PM_REDUCE_MAX: return PM_TERM_MAX;
    case PM_REDUCE_MIN: return PM_TERM_MIN;
    case PM_REDUCE_L1: return PM_TERM_SIZE;
    case PM_REDUCE_L2:
    case PM_REDUCE_SUM_SQUARE: return PM_TERM_SQUARE;
    default: return PM_TERM_SELF;
  }
}

/* What stands for no element at all. */
static double start_of(pm_reduce_kind kind) {
  switch (kind) {
    case PM_REDUCE_MAX:
    case PM_REDUCE_LOG_SUM_EXP: return -INFINITY;
    case PM_REDUCE_MIN: return INFINITY;
    case PM_REDUCE_PROD: return 1;
    default: return 0;
  }
}

static double larger(double a, double b) { return b > a || b != b ? b : a; }

static double smaller(double a, double b) { return b < a || b != b ? b : a; }

static double together(pm_reduce_kind kind, double a, double b) {
  if (kind == PM_REDUCE_MAX) return larger(a, b);
  return kind == PM_REDUCE_MIN ? smaller(a, b) : a + b;
}

/* From the sum to the number that is wanted. */
static double finished(const pm_reduce *r, double sum) {
  switch (r->kind) {
    case PM_REDUCE_MEAN: return sum / (double)r->total;
    case PM_REDUCE_L2: return sqrt(sum);
    case PM_REDUCE_LOG_SUM: return log(sum);
    case PM_REDUCE_LP: return pow(sum, 1 / r->p);
    default: return sum;
  }
}

/* Rows: what is reduced lies next to each other. */

static double extreme_of_row(pm_reduce_kind kind, const float *x, int64_t n) {
  double best = start_of(kind);
  for (int64_t i = 0; i < n; i++) best = together(kind, best, (double)x[i]);
  return best;
}

PM_INLINE double of_row(pm_term term, const float *x, int64_t n) {
  if (term < PM_TERM_MAX) return pm_sum_of_row(term, x, n);
  /* A maximum hides not-a-number, a sum does not. */
  const pm_reduce_kind kind = term == PM_TERM_MAX ? PM_REDUCE_MAX : PM_REDUCE_MIN;
  const double sum = pm_sum_of_row(PM_TERM_SELF, x, n);
  if (sum != sum) return extreme_of_row(kind, x, n);
  return (double)(term == PM_TERM_MAX ? pm_max_of_row(x, n) : pm_min_of_row(x, n));
}

PM_INLINE double of_pieces(const pm_reduce *r, pm_term term, const float *x, int64_t first, int64_t last) {
  const int64_t in_row = (r->inner + PM_REDUCE_PIECE - 1) / PM_REDUCE_PIECE;
  double sum = start_of(r->kind);
  for (int64_t piece = first; piece < last;) {
    if (in_row == 1) {
      pm_spot spot;
      const int64_t run = pm_path_run(&r->reduced, piece, last, &spot);
      const float *row = x + spot.offset[0];
      for (int64_t i = 0; i < run; i++, row += pm_path_inner(&r->reduced, 0))
        sum = together(r->kind, sum, of_row(term, row, r->inner));
      piece += run;
    } else {
      const float *row = x + pm_path_seek(&r->reduced, piece / in_row).offset[0];
      const int64_t begin = piece % in_row * PM_REDUCE_PIECE;
      const int64_t n = PM_MIN(r->inner - begin, PM_REDUCE_PIECE);
      sum = together(r->kind, sum, of_row(term, row + begin, n));
      piece++;
    }
  }
  return sum;
}

static double of_segment(const pm_reduce *r, const float *x, int64_t segment) {
  const int64_t first = r->pieces * segment / r->segments;
  const int64_t last = r->pieces * (segment + 1) / r->segments;
  switch (term_of(r->kind)) {
    case PM_TERM_MAX: return of_pieces(r, PM_TERM_MAX, x, first, last);
    case PM_TERM_MIN: return of_pieces(r, PM_TERM_MIN, x, first, last);
    case PM_TERM_SIZE: return of_pieces(r, PM_TERM_SIZE, x, first, last);
    case PM_TERM_SQUARE: return of_pieces(r, PM_TERM_SQUARE, x, first, last);
    default: return of_pieces(r, PM_TERM_SELF, x, first, last);
  }
}

static void reduce_rows(const pm_call *call, const pm_worker *worker, const pm_reduce *r) {
  const float *x = (const float *)call->in[0].data;
  float *y = (float *)call->out[0].data;
  double *partials = (double *)call->scratch;
  int64_t begin, end;
  pm_share(worker, r->kept.count * r->segments, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&r->kept, i / r->segments);
    const double sum = of_segment(r, x + spot.offset[0], i % r->segments);
    if (r->segments > 1)
      partials[i] = sum;
    else
      y[spot.offset[1]] = (float)finished(r, sum);
  }
  if (r->segments == 1) return;
  pm_barrier(worker);
  pm_share(worker, r->kept.count, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    double sum = start_of(r->kind);
    for (int64_t s = 0; s < r->segments; s++) sum = together(r->kind, sum, partials[i * r->segments + s]);
    y[pm_path_seek(&r->kept, i).offset[1]] = (float)finished(r, sum);
  }
}

/* Columns: what is kept lies next to each other. */

PM_INLINE pm_vf add_column(pm_term term, pm_vf sum, pm_vf x) {
  switch (term) {
    case PM_TERM_MAX: return pm_vmax(x, sum);
    case PM_TERM_MIN: return pm_vmin(x, sum);
    default: return pm_add_term(term, sum, x);
  }
}

PM_INLINE void add_rows(pm_term term, pm_vf *sums, pm_vf *seen, int vectors, const float *x, int64_t rows,
                        int64_t step, int64_t some) {
  for (int64_t row = 0; row < rows; row++, x += step)
    PM_UNROLL for (int v = 0; v < vectors; v++) {
      const pm_vf here = some ? pm_load_some(x, some) : pm_load(x + v * PM_VL);
      sums[v] = add_column(term, sums[v], here);
      if (term >= PM_TERM_MAX) seen[v] += here;
    }
}

/* Not-a-number was seen, or infinities of both signs. */
static double look_again(const pm_reduce *r, const float *column, int64_t first, int64_t last) {
  double best = start_of(r->kind);
  for (int64_t at = first; at < last; at++)
    best = together(r->kind, best, (double)column[pm_path_seek(&r->reduced, at).offset[0]]);
  return best;
}

/* The sums of some vectors of columns over the reduced positions [first, last). Where `some` is not
   0 it is the number of columns. */
PM_INLINE void of_columns(const pm_reduce *r, pm_term term, const float *x, int64_t first, int64_t last,
                          int vectors, int64_t some, double *result) {
  const int columns = vectors * PM_VL;
  const pm_vf start = pm_splat((float)start_of(r->kind));
  pm_vf seen[4] = {{0}};
  for (int i = 0; i < columns; i++) result[i] = start_of(r->kind);
  for (int64_t block = first; block < last; block += PM_REDUCE_PIECE_ROWS) {
    const int64_t end = PM_MIN(last, block + PM_REDUCE_PIECE_ROWS);
    pm_vf sums[4] = {start, start, start, start};
    for (int64_t at = block; at < end;) {
      pm_spot spot;
      const int64_t run = pm_path_run(&r->reduced, at, end, &spot);
      const int64_t step = pm_path_inner(&r->reduced, 0);
      add_rows(term, sums, seen, vectors, x + spot.offset[0], run, step, some);
      at += run;
    }
    float lanes[WIDE];
    for (int v = 0; v < vectors; v++) pm_store(lanes + v * PM_VL, sums[v]);
    for (int i = 0; i < columns; i++)
      result[i] = term >= PM_TERM_MAX ? together(r->kind, result[i], lanes[i]) : result[i] + lanes[i];
  }
  for (int i = 0; term >= PM_TERM_MAX && i < (some ? some : columns); i++)
    if (seen[i / PM_VL][i % PM_VL] != seen[i / PM_VL][i % PM_VL])
      result[i] = look_again(r, x + i, first, last);
}

/* `columns` of them, at most WIDE. */
PM_INLINE void of_wide_columns(const pm_reduce *r, pm_term term, const float *x, int64_t first, int64_t last,
                               int64_t columns, double *result) {
  if (columns == WIDE) {
    of_columns(r, term, x, first, last, 4, 0, result);
    return;
  }
  int64_t i = 0;
  for (; i + PM_VL <= columns; i += PM_VL) of_columns(r, term, x + i, first, last, 1, 0, result + i);
  if (i < columns) of_columns(r, term, x + i, first, last, 1, columns - i, result + i);
}

static void of_block(const pm_reduce *r, const float *x, int64_t segment, int64_t columns, double *result) {
  const int64_t first = r->reduced.count * segment / r->segments;
  const int64_t last = r->reduced.count * (segment + 1) / r->segments;
  switch (term_of(r->kind)) {
    case PM_TERM_MAX: of_wide_columns(r, PM_TERM_MAX, x, first, last, columns, result); break;
    case PM_TERM_MIN: of_wide_columns(r, PM_TERM_MIN, x, first, last, columns, result); break;
    case PM_TERM_SIZE: of_wide_columns(r, PM_TERM_SIZE, x, first, last, columns, result); break;
    case PM_TERM_SQUARE: of_wide_columns(r, PM_TERM_SQUARE, x, first, last, columns, result); break;
    default: of_wide_columns(r, PM_TERM_SELF, x, first, last, columns, result);
  }
}

static void reduce_columns(const pm_call *call, const pm_worker *worker, const pm_reduce *r) {
  const float *x = (const float *)call->in[0].data;
  float *y = (float *)call->out[0].data;
  double *partials = (double *)call->scratch;
  const int64_t blocks = (r->inner + WIDE - 1) / WIDE, numbers = r->kept.count * r->inner;
  int64_t begin, end;
  pm_share(worker, r->kept.count * r->segments * blocks, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const int64_t column = i % blocks * WIDE, outer = i / blocks;
    const int64_t columns = PM_MIN(WIDE, r->inner - column);
    const pm_spot spot = pm_path_seek(&r->kept, outer / r->segments);
    double result[WIDE];
    of_block(r, x + spot.offset[0] + column, outer % r->segments, columns, result);
    if (r->segments > 1)
      memcpy(partials + outer * r->inner + column, result, (size_t)columns * sizeof(double));
    for (int64_t c = 0; r->segments == 1 && c < columns; c++)
      y[spot.offset[1] + column + c] = (float)finished(r, result[c]);
  }
  if (r->segments == 1) return;
  pm_barrier(worker);
  pm_share(worker, numbers, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const double *column = partials + i / r->inner * r->segments * r->inner + i % r->inner;
    double sum = start_of(r->kind);
    for (int64_t s = 0; s < r->segments; s++) sum = together(r->kind, sum, column[s * r->inner]);
    y[pm_path_seek(&r->kept, i / r->inner).offset[1] + i % r->inner] = (float)finished(r, sum);
  }
}

/* Any strides, any type: one number after the other. */

#define SCAN(statement)                                            \
  for (int64_t at = 0; at < r->reduced.count;) {                   \
    pm_spot spot;                                                  \
    const int64_t run = pm_path_run(&r->reduced, at, r->reduced.count, &spot); \
    const int64_t step = pm_path_inner(&r->reduced, 0);            \
    for (int64_t i = 0; i < run; i++) {                            \
      const wide v = (wide)x[spot.offset[0] + i * step];           \
      statement;                                                   \
    }                                                              \
    at += run;                                                     \
  }

#define EACH_KEPT(type, function)                                        \
  static void reduce_any_##type(const pm_call *call, const pm_worker *worker, const pm_reduce *r) { \
    const type *x = (const type *)call->in[0].data;                      \
    type *y = (type *)call->out[0].data;                                 \
    int64_t begin, end;                                                  \
    pm_share(worker, r->kept.count, &begin, &end);                       \
    for (int64_t i = begin; i < end; i++) {                              \
      const pm_spot spot = pm_path_seek(&r->kept, i);                    \
      y[spot.offset[1]] = function(r, x + spot.offset[0]);               \
    }                                                                    \
  }

#define FLOATS(type)                                                     \
  static type number_##type(const pm_reduce *r, const type *x) {         \
    typedef double wide;                                                 \
    double sum = start_of(r->kind), top = 0;                             \
    switch (r->kind) {                                                   \
      case PM_REDUCE_MAX: SCAN(sum = larger(sum, v)) break;              \
      case PM_REDUCE_MIN: SCAN(sum = smaller(sum, v)) break;             \
      case PM_REDUCE_PROD: SCAN(sum *= v) break;                         \
      case PM_REDUCE_L1: SCAN(sum += fabs(v)) break;                     \
      case PM_REDUCE_LP: SCAN(sum += pow(fabs(v), r->p)) break;          \
      case PM_REDUCE_L2:                                                 \
      case PM_REDUCE_SUM_SQUARE: SCAN(sum += v * v) break;               \
      case PM_REDUCE_LOG_SUM_EXP:                                        \
        SCAN(sum = larger(sum, v))                                       \
        top = isfinite(sum) ? sum : 0;                                   \
        sum = 0;                                                         \
        SCAN(sum += exp(v - top))                                        \
        sum = log(sum) + top;                                            \
        break;                                                           \
      default: SCAN(sum += v)                                            \
    }                                                                    \
    return (type)finished(r, sum);                                       \
  }                                                                      \
  EACH_KEPT(type, number_##type)

/* Sums and products wrap around as the type does; all are kept modulo 2^64. */
#define WHOLES(type, wide_type, least, most)                             \
  static type number_##type(const pm_reduce *r, const type *x) {         \
    typedef wide_type wide;                                              \
    uint64_t sum = r->kind == PM_REDUCE_PROD;                            \
    wide best = r->kind == PM_REDUCE_MAX ? (least) : (most);             \
    double squares = 0;                                                  \
    switch (r->kind) {                                                   \
      case PM_REDUCE_MAX: SCAN(best = v > best ? v : best) return (type)best; \
      case PM_REDUCE_MIN: SCAN(best = v < best ? v : best) return (type)best; \
      case PM_REDUCE_L2: SCAN(squares += (double)v * (double)v) return whole_##type(sqrt(squares)); \
      case PM_REDUCE_PROD: SCAN(sum *= (uint64_t)v) break;               \
      case PM_REDUCE_L1: SCAN(sum += v < (wide)1 ? 0 - (uint64_t)v : (uint64_t)v) break; \
      case PM_REDUCE_SUM_SQUARE: SCAN(sum += (uint64_t)v * (uint64_t)v) break; \
      default: SCAN(sum += (uint64_t)v)                                  \
    }                                                                    \
    const type count = (type)r->total;                                   \
    const bool divides = r->kind == PM_REDUCE_MEAN && count > 0;         \
    return divides ? (type)((type)sum / count) : (type)sum;              \
  }                                                                      \
  EACH_KEPT(type, number_##type)

/* A root that fits the type; C leaves open what other conversions give. */
#define ROOT(type, most)                                  \
  static type whole_##type(double root) {                 \
    return root < (double)(most) ? (type)root : (most);   \
  }

#define SIGNED(bits)                \
  ROOT(int##bits##_t, INT##bits##_MAX) \
  WHOLES(int##bits##_t, int64_t, INT##bits##_MIN, INT##bits##_MAX)
#define UNSIGNED(bits)               \
  ROOT(uint##bits##_t, UINT##bits##_MAX) \
  WHOLES(uint##bits##_t, uint64_t, 0, UINT##bits##_MAX)

FLOATS(float)
FLOATS(double)
SIGNED(8)
SIGNED(16)
SIGNED(32)
SIGNED(64)
UNSIGNED(8)
UNSIGNED(16)
UNSIGNED(32)
UNSIGNED(64)

static void reduce_any(const pm_call *call, const pm_worker *worker, const pm_reduce *r) {
  switch (call->in[0].t->dtype) {
    case PM_F32: reduce_any_float(call, worker, r); break;
    case PM_F64: reduce_any_double(call, worker, r); break;
    case PM_I8: reduce_any_int8_t(call, worker, r); break;
    case PM_I16: reduce_any_int16_t(call, worker, r); break;
    case PM_I32: reduce_any_int32_t(call, worker, r); break;
    case PM_I64: reduce_any_int64_t(call, worker, r); break;
    case PM_U16: reduce_any_uint16_t(call, worker, r); break;
    case PM_U32: reduce_any_uint32_t(call, worker, r); break;
    case PM_U64: reduce_any_uint64_t(call, worker, r); break;
    default: reduce_any_uint8_t(call, worker, r);
  }
}

PM_KERNEL(reduce) {
  if (!pm_count(call->out[0].t)) return;
  const pm_reduce r = pm_reduce_of(call);
  switch (r.form) {
    case PM_REDUCE_ROWS: reduce_rows(call, worker, &r); break;
    case PM_REDUCE_COLUMNS: reduce_columns(call, worker, &r); break;
    default: reduce_any(call, worker, &r);
  }
}
