/* The plans of a file that has several, and a plan at one of its sizes.

   A plan is a header of its own, over tables of the same file; the weights are shared. Where it is for
   several sizes, some numbers of its tables are forms. They are put in at the call, and the program that
   comes out is checked as one of a file is: what a form may be is only what a program may be. */
#include <string.h>

#include "tables.h"

#define MAX_SIZES ((uint64_t)1 << 20)
#define MAX_TERM ((int64_t)1 << 46)

static pm_status check_forms(const pm_program *p) {
  if (p->header->sizes > MAX_SIZES) return PM_E_SECTION;
  for (size_t i = 0; i < p->n_forms; i++) {
    const pm_form *f = &p->forms[i];
    const size_t rows = f->field == PM_PARAM ? p->n_params : p->n_tensors;
    if (f->field >= PM_FIELDS || f->row >= rows) return PM_E_SECTION;
    for (int k = 0; k < 3; k++)
      if (f->terms[k] > MAX_TERM || f->terms[k] < -MAX_TERM) return PM_E_SECTION;
  }
  return PM_OK;
}

/* Whether the plan says of the file what the file says. */
static bool is_of(const pm_header *plan, const pm_header *file) {
  return plan->file_bytes == file->file_bytes && plan->weights_offset == file->weights_offset &&
         plan->weights_bytes == file->weights_bytes;
}

pm_status pm_program_plan(pm_program *plan, const pm_program *file, size_t number, pm_place *place) {
  place->instr = place->operand = PM_NONE;
  if (number >= file->n_plans) return PM_E_SECTION;
  *plan = *file;
  plan->header = &file->plans[number];
  plan->n_plans = 0;
  const pm_header *h = plan->header;
  const size_t limit = (size_t)file->header->weights_offset;
  if (!is_of(h, file->header) || !pm_find_tables(plan, h, file->head)) return PM_E_SECTION;
  if (!pm_find_table(&h->more, sizeof(pm_form), file->head, limit, (const void **)&plan->forms, &plan->n_forms))
    return PM_E_SECTION;
  const pm_status status = check_forms(plan);
  return status == PM_OK ? pm_check_tables(plan, place) : status;
}

uint64_t pm_program_sizes(const pm_program *plan) { return plan->header->sizes ? plan->header->sizes : 1; }

/* a * b, if that is no more than what a sum of three stays below the limits of 64 bits with. */
static bool multiply(int64_t a, uint64_t b, int64_t *product) {
  const int64_t most = INT64_MAX / 4, factor = (int64_t)b;
  if (factor && (a > most / factor || a < -most / factor)) return false;
  *product = a * factor;
  return true;
}

static bool value_of(const pm_form *form, uint64_t m, int64_t *value) {
  int64_t linear, square;
  if (!multiply(form->terms[1], m, &linear)) return false;
  if (!multiply(form->terms[2], m ? m * (m - 1) / 2 : 0, &square)) return false;
  *value = form->terms[0] + linear + square;
  return true;
}

/* Puts a number where the form says; false if it is none for that place. */
static bool put(const pm_form *form, int64_t value, pm_tensor *tensors, int64_t *params) {
  if (form->field == PM_PARAM) {
    params[form->row] = value;
    return true;
  }
  pm_tensor *t = &tensors[form->row];
  if (value < 0) return false;
  if (form->field == PM_OFFSET)
    t->offset = (uint64_t)value;
  else if (form->field >= PM_STRIDE)
    t->strides[form->field - PM_STRIDE] = value;
  else if (value < PM_NONE)
    t->dims[form->field - PM_DIM] = (uint32_t)value;
  else
    return false;
  return true;
}

pm_status pm_program_at(pm_program *program, const pm_program *plan, uint64_t size, pm_tensor *tensors,
                        int64_t *params, pm_place *place) {
  place->instr = place->operand = PM_NONE;
  if (size >= pm_program_sizes(plan)) return PM_E_TENSOR;
  memcpy(tensors, plan->tensors, plan->n_tensors * sizeof *tensors);
  memcpy(params, plan->params, plan->n_params * sizeof *params);
  for (size_t i = 0; i < plan->n_forms; i++) {
    int64_t value;
    if (!value_of(&plan->forms[i], size, &value) || !put(&plan->forms[i], value, tensors, params))
      return PM_E_TENSOR;
  }
  *program = *plan;
  program->tensors = tensors;
  program->params = params;
  return pm_check_tables(program, place);
}

/* The form of a dimension of a tensor; NULL where it is the same for all sizes. */
static const pm_form *form_of(const pm_program *p, uint32_t tensor, unsigned dimension) {
  for (size_t i = 0; i < p->n_forms; i++)
    if (p->forms[i].row == tensor && p->forms[i].field == PM_DIM + dimension) return &p->forms[i];
  return NULL;
}

/* The size for which a form that grows evenly is that number. */
static bool solve(const pm_form *form, uint64_t wanted, uint64_t *size) {
  const int64_t step = form->terms[1], above = (int64_t)wanted - form->terms[0];
  if (!step || form->terms[2] || above % step || above / step < 0) return false;
  *size = (uint64_t)(above / step);
  return true;
}

static bool is_dim(const pm_program *p, uint32_t tensor, unsigned d, uint64_t wanted, uint64_t *size, bool *found) {
  const pm_form *form = form_of(p, tensor, d);
  if (!form) return p->tensors[tensor].dims[d] == wanted;
  if (wanted >= PM_NONE) return false;
  if (!*found) {
    *found = solve(form, wanted, size) && *size < pm_program_sizes(p);
    return *found;
  }
  int64_t value;
  return value_of(form, *size, &value) && value >= 0 && (uint64_t)value == wanted;
}

bool pm_program_fits(const pm_program *plan, const pm_shape *inputs, uint64_t *size) {
  bool found = false;
  *size = 0;
  for (size_t i = 0; i < plan->n_inputs; i++) {
    const pm_tensor *t = &plan->tensors[plan->inputs[i]];
    if (inputs[i].rank != t->rank) return false;
    for (unsigned d = 0; d < t->rank; d++)
      if (!is_dim(plan, plan->inputs[i], d, inputs[i].dims[d], size, &found)) return false;
  }
  return found || pm_program_sizes(plan) == 1;
}
