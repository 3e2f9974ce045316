#include "arrange.h"

#include "move.h"

static int64_t held(int64_t x, int64_t most) { return x < 0 ? 0 : PM_MIN(x, most); }

PM_KERNEL(trilu) {
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t rows = y->dims[1], columns = y->dims[2], size = (int64_t)pm_dtype_size(y->dtype);
  const int64_t to_step = pm_step_of(y, 2, 3), from_step = pm_step_of(x, 2, 3);
  static const uint8_t zero[8] = {0};
  int64_t begin, end;
  if (!pm_count(y)) return;
  pm_share(worker, y->dims[0] * rows, &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const int64_t outer = part / rows, row = part % rows;
    uint8_t *to = call->out[0].data + outer * pm_step_of(y, 0, 3) + row * pm_step_of(y, 1, 3);
    const uint8_t *from = call->in[0].data + outer * pm_step_of(x, 0, 3) + row * pm_step_of(x, 1, 3);
    /* The upper part starts at the diagonal, the lower one ends behind it. */
    const int64_t diagonal = call->params[0] + row;
    const bool upper = call->params[1] != 0;
    const int64_t first = upper ? held(diagonal, columns) : 0;
    const int64_t last = upper ? columns : held(diagonal + 1, columns);
    pm_move_steps(to, to_step, zero, 0, size, first);
    pm_move_steps(to + last * to_step, to_step, zero, 0, size, columns - last);
    if (last > first)
      pm_move_row(to + first * to_step, to_step, from + first * from_step, from_step, size, last - first);
  }
}

PM_KERNEL(reverse_sequence) {
  const pm_tensor *x = call->in[0].t, *lengths = call->in[1].t, *y = call->out[0].t;
  const int64_t time = y->dims[1], size = (int64_t)pm_dtype_size(y->dtype);
  int64_t begin, end;
  if (!pm_count(y)) return;
  pm_share(worker, y->dims[0] * time, &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const int64_t sample = part / time, step = part % time;
    const int64_t length =
        pm_index_at(call->in[1].data + sample * pm_step_of(lengths, 0, 1), lengths->dtype);
    if (length < 0 || length > time) {
      pm_fail(worker, PM_E_INDEX);
      return;
    }
    const int64_t source = step < length ? length - 1 - step : step;
    pm_move_row(call->out[0].data + sample * pm_step_of(y, 0, 3) + step * pm_step_of(y, 1, 3),
                pm_step_of(y, 2, 3),
                call->in[0].data + sample * pm_step_of(x, 0, 3) + source * pm_step_of(x, 1, 3),
                pm_step_of(x, 2, 3), size, y->dims[2]);
  }
}
