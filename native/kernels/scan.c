/* Running sums and products, floats in double precision, whole numbers modulo their type.

   The relative error of a running sum of floats is below 1e-7 of the sum of sizes. */
#include "scan.h"

enum { COLUMNS = 64 };

typedef struct {
  pm_path lines; /* of x and y: all axes but one, */
  int64_t n, x_step, y_step; /* and that one */
  int64_t columns; /* lines next to each other */
  bool product, exclusive, reverse;
} scan;

#define SCAN(type, wide)                                                              \
  static void lines_##type(const scan *s, const type *x, type *y, int64_t columns) {  \
    wide sums[COLUMNS];                                                               \
    for (int64_t c = 0; c < columns; c++) sums[c] = s->product;                       \
    for (int64_t i = 0; i < s->n; i++) {                                              \
      const int64_t at = s->reverse ? s->n - 1 - i : i;                               \
      const type *from = x + at * s->x_step;                                          \
      type *to = y + at * s->y_step;                                                  \
      for (int64_t c = 0; c < columns; c++) {                                         \
        const wide before = sums[c], here = (wide)from[c];                            \
        sums[c] = s->product ? before * here : before + here;                         \
        to[c] = (type)(s->exclusive ? before : sums[c]);                              \
      }                                                                               \
    }                                                                                 \
  }                                                                                   \
  static void scan_##type(const pm_call *call, const pm_worker *worker, const scan *s) { \
    const int64_t blocks = (s->columns + COLUMNS - 1) / COLUMNS;                      \
    int64_t begin, end;                                                               \
    pm_share(worker, s->lines.count * blocks, &begin, &end);                          \
    for (int64_t i = begin; i < end; i++) {                                           \
      const pm_spot spot = pm_path_seek(&s->lines, i / blocks);                       \
      const int64_t column = i % blocks * COLUMNS;                                    \
      const type *x = (const type *)call->in[0].data + spot.offset[0] + column;       \
      type *y = (type *)call->out[0].data + spot.offset[1] + column;                  \
      lines_##type(s, x, y, PM_MIN(COLUMNS, s->columns - column));                    \
    }                                                                                 \
  }

SCAN(float, double)
SCAN(double, double)
SCAN(uint8_t, uint64_t)
SCAN(uint16_t, uint64_t)
SCAN(uint32_t, uint64_t)
SCAN(uint64_t, uint64_t)

PM_KERNEL(scan) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const int axis = (int)call->params[0];
  if (!pm_count(tensors[0])) return;
  scan s = {.columns = 1, .product = call->params[1], .exclusive = call->params[2]};
  s.reverse = call->params[3];
  s.lines = pm_path_over(tensors, 2, ~(1u << axis));
  s.n = tensors[0]->dims[axis];
  s.x_step = pm_step(tensors[0], axis);
  s.y_step = pm_step(tensors[1], axis);
  if (pm_path_inner(&s.lines, 0) == 1 && pm_path_inner(&s.lines, 1) == 1) s.columns = pm_path_pop(&s.lines);
  switch (pm_dtype_size(tensors[0]->dtype)) {
    case 1: scan_uint8_t(call, worker, &s); break;
    case 2: scan_uint16_t(call, worker, &s); break;
    case 4:
      if (tensors[0]->dtype == PM_F32)
        scan_float(call, worker, &s);
      else
        scan_uint32_t(call, worker, &s);
      break;
    default:
      if (tensors[0]->dtype == PM_F64)
        scan_double(call, worker, &s);
      else
        scan_uint64_t(call, worker, &s);
  }
}
