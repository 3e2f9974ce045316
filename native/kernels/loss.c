#include "loss.h"

#include <math.h>

#include "elements.h"
#include "index.h"

typedef struct {
  double loss, weight;
} share;

static double log_sum(const pm_call *call, const uint8_t *from) {
  const pm_tensor *x = call->in[0].t;
  const int64_t step = pm_step_of(x, 1, 3);
  double most = -INFINITY, sum = 0;
  for (int64_t c = 0; c < x->dims[1]; c++) {
    const double score = pm_element_at(from + c * step, x->dtype);
    most = score > most || score != score ? score : most;
  }
  for (int64_t c = 0; c < x->dims[1]; c++) sum += exp(pm_element_at(from + c * step, x->dtype) - most);
  return most + log(sum);
}

/* Of a place in a sample. */
static share share_of(const pm_call *call, int64_t sample, int64_t place) {
  const pm_tensor *x = call->in[0].t, *right = call->in[1].t, *weights = call->in[2].t;
  const uint8_t *from = call->in[0].data + sample * pm_step_of(x, 0, 3) + place * pm_step_of(x, 2, 3);
  const int64_t class = pm_index_at(
      call->in[1].data + sample * pm_step_of(right, 0, 2) + place * pm_step_of(right, 1, 2), right->dtype);
  const int64_t last = (int64_t)x->dims[1] - 1, held = class < 0 ? 0 : PM_MIN(class, last);
  double weight = 1;
  if (weights) weight = pm_element_at(call->in[2].data + held * pm_step_of(weights, 0, 1), weights->dtype);
  if (call->params[2] && class == call->params[1]) weight = 0;
  double likelihood = pm_element_at(from + held * pm_step_of(x, 1, 3), x->dtype);
  if (call->params[3]) likelihood -= log_sum(call, from);
  return (share){-likelihood * weight, weight};
}

static void put(const pm_call *call, double loss, int64_t offset) {
  pm_elements_store(PM_AS_F64, call->out[0].t->dtype, &loss, call->out[0].data + offset, 0, 1);
}

PM_KERNEL(loss) {
  const pm_tensor *right = call->in[1].t, *y = call->out[0].t;
  const int64_t count = pm_count(right), places = right->dims[1];
  const bool whole = call->params[0] != PM_LOSS_NONE;
  int64_t begin = 0, end = count;
  share total = {0, 0};
  /* One worker adds up, so that the order is always the same. */
  if (whole && worker->id) return;
  if (!whole) pm_share(worker, count, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const share one = share_of(call, i / places, i % places);
    total.loss += one.loss, total.weight += one.weight;
    if (!whole) put(call, one.loss, i / places * pm_step_of(y, 0, 2) + i % places * pm_step_of(y, 1, 2));
  }
  if (whole) put(call, call->params[0] == PM_LOSS_MEAN ? total.loss / total.weight : total.loss, 0);
}
