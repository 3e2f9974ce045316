/* Positions of extremes. Not-a-number is larger and smaller than every number. */
#include "reduce_arg.h"

#include "reduce_row.h"

enum { COLUMNS = 64 };

typedef struct {
  pm_path lines; /* of x and y: all axes but one, */
  int64_t n, step; /* and that one */
  bool smallest, last;
} argmax;

/* Whether `v` takes the place of `best`, which comes before it. */
#define TAKES(v, best)                                                     \
  (last ? (v) != (v) || (smallest ? (v) <= (best) : (v) >= (best))         \
        : (best) == (best) && !(smallest ? (v) >= (best) : (v) <= (best)))

/* Contiguous floats, none of which is not a number: the extreme first, then its place. */
static int64_t place_in_row(const float *x, int64_t n, bool smallest, bool last) {
  const float best = smallest ? pm_min_of_row(x, n) : pm_max_of_row(x, n);
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = last ? n - 1 - i : i;
    if (x[at] == best) return at;
  }
  return 0;
}

#define ARGMAX(type)                                                       \
  PM_INLINE int64_t line_##type(const type *x, int64_t n, int64_t step, bool smallest, bool last) { \
    int64_t place = 0;                                                     \
    type best = x[0];                                                      \
    for (int64_t i = 1; i < n; i++) {                                      \
      const type v = x[i * step];                                          \
      if (TAKES(v, best)) {                                                \
        best = v;                                                          \
        place = i;                                                         \
      }                                                                    \
    }                                                                      \
    return place;                                                          \
  }                                                                        \
  PM_INLINE void columns_##type(const type *x, int64_t *y, int64_t columns, int64_t n, int64_t step, \
                                bool smallest, bool last) {                \
    type best[COLUMNS];                                                    \
    memcpy(best, x, (size_t)columns * sizeof(type));                       \
    for (int64_t c = 0; c < columns; c++) y[c] = 0;                        \
    for (int64_t i = 1; i < n; i++)                                        \
      for (int64_t c = 0; c < columns; c++) {                              \
        const type v = x[i * step + c];                                    \
        const bool takes = TAKES(v, best[c]);                              \
        best[c] = takes ? v : best[c];                                     \
        y[c] = takes ? i : y[c];                                           \
      }                                                                    \
  }                                                                        \
  static int64_t any_line_##type(const argmax *a, const type *x) {         \
    if (a->last) return line_##type(x, a->n, a->step, a->smallest, true);  \
    if (a->smallest) return line_##type(x, a->n, a->step, true, false);    \
    return line_##type(x, a->n, a->step, false, false);                    \
  }                                                                        \
  static void any_columns_##type(const argmax *a, const type *x, int64_t *y, int64_t columns) { \
    if (a->last)                                                           \
      columns_##type(x, y, columns, a->n, a->step, a->smallest, true);     \
    else if (a->smallest)                                                  \
      columns_##type(x, y, columns, a->n, a->step, true, false);           \
    else                                                                   \
      columns_##type(x, y, columns, a->n, a->step, false, false);          \
  }                                                                        \
  static void argmax_##type(const pm_call *call, const pm_worker *worker, argmax *a) { \
    const type *x = (const type *)call->in[0].data;                        \
    int64_t *y = (int64_t *)call->out[0].data;                             \
    const bool wide = a->step != 1 && pm_path_inner(&a->lines, 0) == 1 && pm_path_inner(&a->lines, 1) == 1; \
    const int64_t columns = wide ? pm_path_pop(&a->lines) : 1;             \
    const int64_t blocks = (columns + COLUMNS - 1) / COLUMNS;              \
    int64_t begin, end;                                                    \
    pm_share(worker, a->lines.count * blocks, &begin, &end);               \
    for (int64_t i = begin; i < end; i++) {                                \
      const pm_spot spot = pm_path_seek(&a->lines, i / blocks);            \
      const int64_t column = i % blocks * COLUMNS;                         \
      const type *from = x + spot.offset[0] + column;                      \
      int64_t *to = y + spot.offset[1] + column;                           \
      if (wide)                                                            \
        any_columns_##type(a, from, to, PM_MIN(COLUMNS, columns - column)); \
      else                                                                 \
        *to = any_line_##type(a, from);                                    \
    }                                                                      \
  }

ARGMAX(float)
ARGMAX(double)
ARGMAX(int8_t)
ARGMAX(int16_t)
ARGMAX(int32_t)
ARGMAX(int64_t)
ARGMAX(uint8_t)
ARGMAX(uint16_t)
ARGMAX(uint32_t)
ARGMAX(uint64_t)

static void argmax_rows(const pm_call *call, const pm_worker *worker, const argmax *a) {
  int64_t begin, end;
  pm_share(worker, a->lines.count, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&a->lines, i);
    const float *x = (const float *)call->in[0].data + spot.offset[0];
    const double sum = pm_sum_of_row(PM_TERM_SELF, x, a->n);
    int64_t *y = (int64_t *)call->out[0].data + spot.offset[1];
    *y = sum == sum ? place_in_row(x, a->n, a->smallest, a->last) : any_line_float(a, x);
  }
}

PM_KERNEL(argmax) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const int axis = (int)call->params[0];
  if (!pm_count(tensors[1])) return;
  argmax a = {.smallest = call->params[1], .last = call->params[2]};
  a.lines = pm_path_over(tensors, 2, ~(1u << axis));
  a.n = tensors[0]->dims[axis];
  a.step = pm_step(tensors[0], axis);
  switch (tensors[0]->dtype) {
    case PM_F32:
      if (a.step == 1 && a.n >= 2 * PM_VL)
        argmax_rows(call, worker, &a);
      else
        argmax_float(call, worker, &a);
      break;
    case PM_F64: argmax_double(call, worker, &a); break;
    case PM_I8: argmax_int8_t(call, worker, &a); break;
    case PM_I16: argmax_int16_t(call, worker, &a); break;
    case PM_I32: argmax_int32_t(call, worker, &a); break;
    case PM_I64: argmax_int64_t(call, worker, &a); break;
    case PM_U16: argmax_uint16_t(call, worker, &a); break;
    case PM_U32: argmax_uint32_t(call, worker, &a); break;
    case PM_U64: argmax_uint64_t(call, worker, &a); break;
    default: argmax_uint8_t(call, worker, &a);
  }
}
