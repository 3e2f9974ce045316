/* A head is: six bytes and a version, the length of what follows, and a Python dictionary as text.
   The text is read by a parser that knows only such dictionaries; nothing in it is evaluated. */
#include "npy.h"

#include <string.h>

#include "say.h"

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

size_t npy_head_bytes(const uint8_t first[12]) {
  if (memcmp(first, magic, sizeof magic) != 0 || first[6] < 1 || first[6] > 3 || first[7]) return 0;
  size_t length = first[8] | (size_t)first[9] << 8, prefix = 10;
  if (first[6] > 1) {
    length |= (size_t)first[10] << 16 | (size_t)first[11] << 24;
    prefix = 12;
  }
  return length < 2 || length > NPY_MOST - prefix ? 0 : prefix + length;
}

/* What is left of the text. */
typedef struct {
  const char *at, *end;
} cursor;

static void skip_spaces(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) c->at++;
}

static bool take(cursor *c, char wanted) {
  skip_spaces(c);
  if (c->at == c->end || *c->at != wanted) return false;
  c->at++;
  return true;
}

static bool take_word(cursor *c, const char *word) {
  const size_t length = strlen(word);
  skip_spaces(c);
  if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
  c->at += length;
  return true;
}

/* A string in quotes, without escapes. */
static bool take_string(cursor *c, const char **text, size_t *length) {
  skip_spaces(c);
  if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
  const char quote = *c->at++;
  *text = c->at;
  while (c->at < c->end && *c->at != quote && *c->at != '\\') c->at++;
  if (c->at == c->end || *c->at != quote) return false;
  *length = (size_t)(c->at++ - *text);
  return true;
}

static bool take_number(cursor *c, uint64_t *number) {
  skip_spaces(c);
  const char *first = c->at;
  for (*number = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
    if (*number > UINT64_MAX / 100) return false;
    *number = *number * 10 + (uint64_t)(*c->at - '0');
  }
  if (c->at == first) return false;
  if (c->at < c->end && *c->at == 'L') c->at++; /* as Python 2 wrote them */
  return true;
}

/* The type without the order of its bytes, as NumPy spells it; bfloat16 is two bytes of no meaning to it. */
static void code_of(unsigned dtype, char code[3]) {
  const char *name = run_dtype_name(dtype);
  code[0] = name[0] != 'b' ? name[0] : name[1] == 'o' ? 'b' : 'V';
  code[1] = (char)('0' + pm_dtype_size(dtype));
  code[2] = 0;
}

static const char *read_descr(npy_array *array, cursor *c) {
  const char *text;
  size_t length;
  if (!take_string(c, &text, &length)) return "its elements have fields or no plain type";
  if (length != 3 || !text[0] || !strchr("<>|=", text[0])) return "its element type is not one of the engine's";
  for (unsigned dtype = 0; dtype < PM_DTYPE_COUNT; dtype++) {
    char code[3];
    code_of(dtype, code);
    if (memcmp(code, text + 1, 2) != 0) continue;
    if (text[0] == '>' && code[1] != '1') return "it is big-endian; little-endian is allowed";
    array->dtype = (uint8_t)dtype;
    return NULL;
  }
  return "its element type is not one of the engine's";
}

static const char *read_order(cursor *c) {
  if (take_word(c, "False")) return NULL;
  return take_word(c, "True") ? "it is in Fortran order; C order is allowed" : "its head is damaged";
}

static const char *read_shape(npy_array *array, cursor *c) {
  if (!take(c, '(')) return "its head is damaged";
  for (array->rank = 0; !take(c, ')');) {
    if (array->rank == PM_MAX_RANK) return "it has more than 8 dimensions";
    if (!take_number(c, &array->dims[array->rank])) return "its head is damaged";
    const bool comma = take(c, ',');
    if (!comma && !array->rank) return "its head is damaged"; /* (5) is no tuple */
    array->rank++;
    if (comma) continue;
    if (!take(c, ')')) return "its head is damaged";
    break;
  }
  return NULL;
}

static const char *read_entry(npy_array *array, cursor *c, unsigned *seen) {
  static const char *const keys[] = {"descr", "fortran_order", "shape"};
  const char *key;
  size_t length;
  if (!take_string(c, &key, &length) || !take(c, ':')) return "its head is damaged";
  for (unsigned i = 0; i < 3; i++) {
    if (strlen(keys[i]) != length || memcmp(keys[i], key, length) != 0) continue;
    if (*seen >> i & 1) return "its head is damaged";
    *seen |= 1u << i;
    return i == 0 ? read_descr(array, c) : i == 1 ? read_order(c) : read_shape(array, c);
  }
  return "its head has a key that is not known";
}

const char *npy_read_head(npy_array *array, const uint8_t *head, size_t nbytes) {
  const size_t prefix = head[6] > 1 ? 12 : 10;
  cursor c = {(const char *)head + prefix, (const char *)head + nbytes};
  unsigned seen = 0;
  if (!take(&c, '{')) return "its head is damaged";
  while (!take(&c, '}')) {
    const char *wrong = read_entry(array, &c, &seen);
    if (wrong) return wrong;
    if (take(&c, ',')) continue;
    if (!take(&c, '}')) return "its head is damaged";
    break;
  }
  skip_spaces(&c);
  return seen == 7 && c.at == c.end ? NULL : "its head is damaged";
}

/* NumPy leaves room for the first size to grow, and pads to a multiple of 64. */
size_t npy_write_head(const npy_array *array, uint8_t head[NPY_MOST]) {
  run_text text = {.count = 0}, first = {.count = 0};
  char code[3];
  code_of(array->dtype, code);
  run_add(&text, code[1] == '1' ? "{'descr': '|" : "{'descr': '<");
  run_add(&text, code);
  run_add(&text, "', 'fortran_order': False, 'shape': (");
  for (unsigned i = 0; i < array->rank; i++) {
    if (i) run_add(&text, ", ");
    run_add_number(&text, array->dims[i]);
  }
  run_add(&text, array->rank == 1 ? ",), }" : "), }");
  if (array->rank) {
    run_add_number(&first, array->dims[0]);
    for (size_t i = first.count; i < 21; i++) run_add(&text, " ");
  }
  const size_t total = (10 + text.count + 1 + 63) / 64 * 64;
  memcpy(head, magic, sizeof magic);
  memcpy(head + 6, (const uint8_t[]){1, 0, (uint8_t)(total - 10), (uint8_t)((total - 10) >> 8)}, 4);
  memcpy(head + 10, text.bytes, text.count);
  memset(head + 10 + text.count, ' ', total - 11 - text.count);
  head[total - 1] = '\n';
  return total;
}
