#include "index.h"

#include "combine.h"

enum { TO, FROM, INDEX, VIEWS };

typedef struct {
  const pm_call *call;
  const pm_worker *worker;
  const pm_nest *nest;
  int64_t size; /* bytes of an element */
  pm_combine combine;
  unsigned dtype;                          /* of the indices */
  int64_t count, index_step;               /* of a tuple */
  int64_t length, length_step, from_step;  /* of the axis that is scattered along */
  int64_t sizes[PM_MAX_RANK], steps[PM_MAX_RANK]; /* of the axes that are indexed, in bytes */
} task;

/* Whether there is nothing to do: no places, or none that an index could name. */
static bool is_idle(const pm_worker *worker, const pm_tensor *places, const pm_tensor *data) {
  if (!pm_count(places)) return true;
  if (pm_count(data)) return false;
  pm_fail(worker, PM_E_INDEX);
  return true;
}

/* How far into the data the indices lead: one for each axis that is indexed. -1 if out of range. */
static int64_t offset_of(const task *t, const uint8_t *at) {
  int64_t offset = 0;
  for (int64_t i = 0; i < t->count; i++) {
    const int64_t index = pm_index_in(at + i * t->index_step, t->dtype, t->sizes[i]);
    if (index < 0) {
      pm_fail(t->worker, PM_E_INDEX);
      return -1;
    }
    offset += index * t->steps[i];
  }
  return offset;
}

static void gather_row(void *context, uint8_t *const *at, int64_t n) {
  const task *t = context;
  const int64_t *step = t->nest->inner;
  if (!step[INDEX]) {
    const int64_t offset = offset_of(t, at[INDEX]);
    if (offset >= 0) pm_move_row(at[TO], step[TO], at[FROM] + offset, step[FROM], t->size, n);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    const int64_t offset = offset_of(t, at[INDEX] + i * step[INDEX]);
    if (offset >= 0) pm_move_one(at[TO] + i * step[TO], at[FROM] + i * step[FROM] + offset, t->size);
  }
}

static task task_of(const pm_call *call, const pm_worker *worker, const pm_nest *nest, unsigned dtype) {
  task t = {.call = call, .worker = worker, .nest = nest, .dtype = dtype};
  t.size = (int64_t)pm_dtype_size(call->out[0].t->dtype);
  t.count = 1;
  return t;
}

static int64_t index_bytes(unsigned dtype) { return dtype == PM_I64 ? 8 : 4; }

PM_KERNEL(gather) {
  const pm_view *x = &call->in[0], *indices = &call->in[1], *y = &call->out[0];
  const int axis = (int)call->params[0], rank = y->t->rank;
  pm_nest nest;
  pm_nest_start(&nest, VIEWS);
  nest.base[TO] = y->data, nest.base[FROM] = x->data, nest.base[INDEX] = indices->data;
  if (is_idle(worker, y->t, x->t)) return;
  for (int i = 0; i < rank; i++) {
    const int64_t steps[VIEWS] = {pm_step_of(y->t, i, rank), i == axis ? 0 : pm_step_of(x->t, i, rank),
                                  pm_step_of(indices->t, i, rank)};
    pm_nest_axis(&nest, y->t->dims[i], steps);
  }
  pm_nest_end(&nest);
  task t = task_of(call, worker, &nest, indices->t->dtype);
  t.sizes[0] = x->t->dims[axis];
  t.steps[0] = pm_step_of(x->t, axis, rank);
  pm_nest_run(&nest, worker, gather_row, &t);
}

PM_KERNEL(gather_nd) {
  const pm_tensor *x = call->in[0].t, *indices = call->in[1].t, *y = call->out[0].t;
  const int inner = x->rank - 1;
  const int64_t bytes = index_bytes(indices->dtype);
  pm_nest nest;
  pm_nest_start(&nest, VIEWS);
  nest.base[TO] = call->out[0].data, nest.base[FROM] = call->in[0].data;
  nest.base[INDEX] = call->in[1].data;
  if (is_idle(worker, y, x)) return;
  const int64_t batch[VIEWS] = {pm_step_of(y, 0, 3), pm_step_of(x, 0, x->rank), pm_step_of(indices, 0, 3)};
  const int64_t tuple[VIEWS] = {pm_step_of(y, 1, 3), 0, pm_step_of(indices, 1, 3)};
  const int64_t along[VIEWS] = {pm_step_of(y, 2, 3), pm_step_of(x, inner, x->rank), 0};
  pm_nest_axis(&nest, y->dims[0], batch);
  pm_nest_axis(&nest, y->dims[1], tuple);
  pm_nest_axis(&nest, y->dims[2], along);
  pm_nest_end(&nest);
  task t = task_of(call, worker, &nest, indices->dtype);
  t.count = indices->dims[2];
  t.index_step = indices->strides[2] * bytes;
  for (int i = 0; i < t.count; i++) {
    t.sizes[i] = x->dims[i + 1];
    t.steps[i] = pm_step_of(x, i + 1, x->rank);
  }
  pm_nest_run(&nest, worker, gather_row, &t);
}

/* All updates along the axis, in their order, for `n` neighbours. */
static void scatter_row(void *context, uint8_t *const *at, int64_t n) {
  const task *t = context;
  const int64_t *step = t->nest->inner;
  for (int64_t i = 0; i < t->length; i++) {
    const uint8_t *index = at[INDEX] + i * t->length_step, *from = at[FROM] + i * t->from_step;
    if (!step[INDEX]) {
      const int64_t offset = offset_of(t, index);
      if (offset >= 0) pm_combine_row(&t->combine, at[TO] + offset, step[TO], from, step[FROM], n);
      continue;
    }
    for (int64_t k = 0; k < n; k++) {
      const int64_t offset = offset_of(t, index + k * step[INDEX]);
      if (offset < 0) continue;
      pm_combine_row(&t->combine, at[TO] + k * step[TO] + offset, 0, from + k * step[FROM], 0, 1);
    }
  }
}

PM_KERNEL(scatter) {
  const pm_view *indices = &call->in[0], *updates = &call->in[1], *y = &call->out[0];
  const int axis = (int)call->params[0], rank = y->t->rank;
  pm_nest nest;
  pm_nest_start(&nest, VIEWS);
  nest.base[TO] = y->data, nest.base[FROM] = updates->data, nest.base[INDEX] = indices->data;
  if (is_idle(worker, updates->t, y->t)) return;
  for (int i = 0; i < rank; i++) {
    const int64_t steps[VIEWS] = {pm_step_of(y->t, i, rank), pm_step_of(updates->t, i, rank),
                                  pm_step_of(indices->t, i, rank)};
    if (i != axis) pm_nest_axis(&nest, updates->t->dims[i], steps);
  }
  pm_nest_end(&nest);
  task t = task_of(call, worker, &nest, indices->t->dtype);
  t.combine = pm_combine_of((unsigned)call->params[1], y->t->dtype);
  t.length = updates->t->dims[axis];
  t.length_step = pm_step_of(indices->t, axis, rank);
  t.from_step = pm_step_of(updates->t, axis, rank);
  t.sizes[0] = y->t->dims[axis];
  t.steps[0] = pm_step_of(y->t, axis, rank);
  pm_nest_run(&nest, worker, scatter_row, &t);
}

/* Every worker walks through all updates, and writes its share of the inner elements. */
PM_KERNEL(scatter_nd) {
  const pm_tensor *indices = call->in[0].t, *updates = call->in[1].t, *y = call->out[0].t;
  const int64_t inner = updates->dims[1], lanes = (inner + 63) / 64;
  if (is_idle(worker, updates, y)) return;
  task t = task_of(call, worker, NULL, indices->dtype);
  t.combine = pm_combine_of((unsigned)call->params[0], y->dtype);
  t.count = indices->dims[1];
  t.index_step = indices->strides[1] * index_bytes(indices->dtype);
  for (int i = 0; i < t.count; i++) {
    t.sizes[i] = y->dims[i];
    t.steps[i] = pm_step_of(y, i, y->rank);
  }
  int64_t begin, end;
  pm_share(worker, lanes, &begin, &end);
  begin *= 64, end = PM_MIN(end * 64, inner);
  if (begin >= end) return;
  const int64_t step = pm_step_of(y, y->rank - 1, y->rank), from_step = pm_step_of(updates, 1, 2);
  for (int64_t i = 0; i < updates->dims[0]; i++) {
    const int64_t offset = offset_of(&t, call->in[0].data + i * pm_step_of(indices, 0, 2));
    if (offset < 0) continue;
    const uint8_t *from = call->in[1].data + i * pm_step_of(updates, 0, 2) + begin * from_step;
    uint8_t *to = call->out[0].data + offset + begin * step;
    pm_combine_row(&t.combine, to, step, from, from_step, end - begin);
  }
}

/* Where row `i` of a sample's updates goes; -1 for nowhere. */
static int64_t place_of(int64_t first, int64_t i, int64_t length, bool circular) {
  if (circular) return ((first % length + length) % length + i) % length;
  return first >= -i && first < length - i ? first + i : -1;
}

PM_KERNEL(tensor_scatter) {
  const pm_tensor *places = call->in[0].t, *from = call->in[1].t, *y = call->out[0].t;
  const bool circular = call->params[0] != 0;
  const int64_t count = PM_MIN(from->dims[2], y->dims[2]), size = (int64_t)pm_dtype_size(y->dtype);
  int64_t begin, end;
  if (!pm_count(from) || !pm_count(y)) return;
  pm_share(worker, y->dims[0] * y->dims[1] * count, &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const int64_t i = part % count, outer = part / count % y->dims[1], sample = part / count / y->dims[1];
    const uint8_t *first = call->in[0].data + sample * pm_step_of(places, 0, 1);
    const int64_t at = place_of(pm_index_at(first, places->dtype), i, y->dims[2], circular);
    if (at < 0) continue;
    const int64_t to = sample * y->strides[0] + outer * y->strides[1] + at * y->strides[2];
    const int64_t read = sample * from->strides[0] + outer * from->strides[1] + i * from->strides[2];
    pm_move_row(call->out[0].data + to * size, y->strides[3] * size, call->in[1].data + read * size,
                from->strides[3] * size, size, y->dims[3]);
  }
}

PM_KERNEL(one_hot) {
  const pm_tensor *indices = call->in[0].t, *values = call->in[1].t, *y = call->out[0].t;
  const int64_t size = (int64_t)pm_dtype_size(y->dtype), classes = y->dims[1];
  const uint8_t *off = call->in[1].data, *on = off + values->strides[0] * size;
  const int64_t to_class = pm_step_of(y, 1, 3), to_inner = pm_step_of(y, 2, 3);
  int64_t begin, end;
  if (!pm_count(y)) return;
  pm_share(worker, y->dims[0], &begin, &end);
  for (int64_t outer = begin; outer < end; outer++) {
    uint8_t *to = call->out[0].data + outer * pm_step_of(y, 0, 3);
    const uint8_t *from = call->in[0].data + outer * pm_step_of(indices, 0, 2);
    for (int64_t c = 0; c < classes; c++)
      pm_move_steps(to + c * to_class, to_inner, off, 0, size, y->dims[2]);
    for (int64_t i = 0; i < y->dims[2]; i++) {
      int64_t index;
      pm_elements_load(PM_AS_I64, indices->dtype, from + i * pm_step_of(indices, 1, 2), 0, &index, 1);
      if (index < 0 && index >= -classes) index += classes;
      if (index >= 0 && index < classes) pm_move_one(to + index * to_class + i * to_inner, on, size);
    }
  }
}
