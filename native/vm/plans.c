/* The plans of a file that has several, and a plan at one of its sizes.

   A plan is a header of its own, over tables of the same file; the weights are shared. Where it is for
   several sizes, some numbers of its tables are forms. They are put in at the call, and the program that
   comes out is checked as one of a file is: what a form may be is only what a program may be. */
#include <string.h>

#include "tables.h"

#define MAX_SIZES ((uint64_t)1 << 20)
#define MAX_TERM ((int64_t)1 << 46)
#define FACTORS 3

static uint64_t first_sizes(const pm_program *p) { return p->header->sizes ? p->header->sizes : 1; }
static uint64_t second_sizes(const pm_program *p) { return p->header->across ? p->header->across : 1; }

static pm_status check_forms(const pm_program *p) {
  if (first_sizes(p) > MAX_SIZES || second_sizes(p) > MAX_SIZES / first_sizes(p)) return PM_E_SECTION;
  for (size_t i = 0; i < p->n_forms; i++) {
    const pm_form *f = &p->forms[i];
    const size_t rows = f->field == PM_PARAM ? p->n_params : p->n_tensors;
    if (f->field >= PM_FIELDS || f->factor >= FACTORS || f->row >= rows) return PM_E_SECTION;
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

uint64_t pm_program_sizes(const pm_program *plan) { return first_sizes(plan) * second_sizes(plan); }

/* a * b, if that is no more than what a sum of the terms of all factors stays below the limits of 64 bits with. */
static bool multiply(int64_t a, uint64_t b, int64_t *product) {
  const int64_t most = INT64_MAX / 16, factor = (int64_t)b;
  if (factor && (a > most / factor || a < -most / factor)) return false;
  *product = a * factor;
  return true;
}

/* 1, m, m (m - 1) / 2. */
static uint64_t factor_of(unsigned number, uint64_t m) { return number == 0 ? 1 : number == 1 ? m : m ? m * (m - 1) / 2 : 0; }

/* How many forms, from the first on, are of one number: at most one for each factor. */
static size_t forms_of_one(const pm_form *first, size_t left) {
  size_t count = 1;
  while (count < left && count < FACTORS && first[count].row == first->row && first[count].field == first->field)
    count++;
  return count;
}

/* The number of so many forms, for the sizes m and n. */
static bool value_of(const pm_form *forms, size_t count, uint64_t m, uint64_t n, int64_t *value) {
  *value = 0;
  for (size_t i = 0; i < count; i++) {
    for (unsigned k = 0; k < 3; k++) {
      int64_t term;
      if (!multiply(forms[i].terms[k], factor_of(k, m), &term)) return false;
      if (!multiply(term, factor_of(forms[i].factor, n), &term)) return false;
      *value += term;
    }
  }
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
  const uint64_t m = size % first_sizes(plan), n = size / first_sizes(plan);
  for (size_t i = 0, count; i < plan->n_forms; i += count) {
    int64_t value;
    count = forms_of_one(&plan->forms[i], plan->n_forms - i);
    if (!value_of(&plan->forms[i], count, m, n, &value) || !put(&plan->forms[i], value, tensors, params))
      return PM_E_TENSOR;
  }
  *program = *plan;
  program->tensors = tensors;
  program->params = params;
  return pm_check_tables(program, place);
}

/* The forms of a dimension of a tensor; none where it is the same for all sizes. */
static size_t forms_of_dim(const pm_program *p, uint32_t tensor, unsigned dimension, const pm_form **first) {
  for (size_t i = 0; i < p->n_forms; i++) {
    *first = &p->forms[i];
    if ((*first)->row == tensor && (*first)->field == PM_DIM + dimension) return forms_of_one(*first, p->n_forms - i);
  }
  return 0;
}

/* The size for which base + step * size is that number. */
static bool solve(int64_t base, int64_t step, uint64_t wanted, uint64_t *size) {
  if (wanted >= PM_NONE) return false;
  const int64_t above = (int64_t)wanted - base;
  if (!step || above % step || above / step < 0) return false;
  *size = (uint64_t)(above / step);
  return true;
}

/* What the sizes are of which a dimension says one alone. */
typedef struct {
  uint64_t m, n;
  bool has_m, has_n;
} sizes;

/* False if the dimension cannot be as it is. */
static bool find_sizes(const pm_form *forms, size_t count, uint64_t wanted, sizes *found) {
  int64_t base = 0, with_m = 0, with_n = 0;
  bool is_plain = true;
  for (size_t i = 0; i < count; i++) {
    const int64_t *terms = forms[i].terms;
    if (forms[i].factor == 0) base += terms[0], with_m += terms[1], is_plain = is_plain && !terms[2];
    if (forms[i].factor == 1) with_n += terms[0], is_plain = is_plain && !terms[1] && !terms[2];
    if (forms[i].factor == 2) is_plain = is_plain && !terms[0] && !terms[1] && !terms[2];
  }
  if (!is_plain || (with_m && with_n)) return true;
  if (with_m && !found->has_m) return found->has_m = solve(base, with_m, wanted, &found->m);
  if (with_n && !found->has_n) return found->has_n = solve(base, with_n, wanted, &found->n);
  return true;
}

/* Whether each dimension of the inputs is as wanted for the sizes found; where `finds`, only sizes are found. */
static bool match(const pm_program *p, const pm_shape *inputs, sizes *found, bool finds) {
  for (size_t i = 0; i < p->n_inputs; i++) {
    const pm_tensor *t = &p->tensors[p->inputs[i]];
    if (inputs[i].rank != t->rank) return false;
    for (unsigned d = 0; d < t->rank; d++) {
      const pm_form *forms;
      const size_t count = forms_of_dim(p, p->inputs[i], d, &forms);
      const uint64_t wanted = inputs[i].dims[d];
      int64_t value = t->dims[d];
      if (finds && count && !find_sizes(forms, count, wanted, found)) return false;
      if (finds) continue;
      if (count && !value_of(forms, count, found->m, found->n, &value)) return false;
      if (value < 0 || (uint64_t)value != wanted) return false;
    }
  }
  return true;
}

bool pm_program_fits(const pm_program *plan, const pm_shape *inputs, uint64_t *size) {
  sizes found = {.has_m = first_sizes(plan) == 1, .has_n = second_sizes(plan) == 1};
  if (!match(plan, inputs, &found, true) || !found.has_m || !found.has_n) return false;
  if (found.m >= first_sizes(plan) || found.n >= second_sizes(plan)) return false;
  *size = found.m + found.n * first_sizes(plan);
  return match(plan, inputs, &found, false);
}
