#include "json.h"

#include <string.h>

static void skip_spaces(json *v) {
  while (v->at < v->end && strchr(" \t\r\n", *v->at) && *v->at) v->at++;
}

static bool take(json *v, char wanted) {
  skip_spaces(v);
  if (v->at == v->end || *v->at != wanted) return false;
  v->at++;
  return true;
}

bool json_text(json value, const char **text, size_t *length) {
  if (!take(&value, '"')) return false;
  *text = value.at;
  while (value.at < value.end && *value.at != '"') value.at += *value.at == '\\' ? 2 : 1;
  if (value.at >= value.end) return false;
  *length = (size_t)(value.at - *text);
  return true;
}

static bool skip_string(json *v) {
  const char *text;
  size_t length;
  if (!json_text(*v, &text, &length)) return false;
  v->at = text + length + 1;
  return true;
}

/* Past one value: brackets are counted, so that no depth is too much. */
static bool skip_value(json *v) {
  size_t depth = 0;
  do {
    skip_spaces(v);
    if (v->at == v->end) return false;
    const char c = *v->at;
    if (c == '"') {
      if (!skip_string(v)) return false;
    } else if (c == '{' || c == '[') {
      depth++;
      v->at++;
    } else if (c == '}' || c == ']') {
      if (!depth) return false;
      depth--;
      v->at++;
    } else if (c == ',' || c == ':') {
      if (!depth) return false;
      v->at++;
    } else {
      while (v->at < v->end && *v->at && !strchr(",:]}[{\" \t\r\n", *v->at)) v->at++;
      if (v->at < v->end && !*v->at) return false;
    }
  } while (depth);
  return true;
}

bool json_member(json value, const char *key, json *found) {
  if (!take(&value, '{')) return false;
  do {
    const char *text;
    size_t length;
    skip_spaces(&value);
    if (!json_text(value, &text, &length) || !skip_string(&value) || !take(&value, ':')) return false;
    skip_spaces(&value);
    *found = value;
    if (length == strlen(key) && !memcmp(text, key, length)) return value.at < value.end;
  } while (skip_value(&value) && take(&value, ','));
  return false;
}

bool json_first(json list, json *item) {
  if (!take(&list, '[') || take(&list, ']')) return false;
  *item = list;
  return true;
}

bool json_next(json *item) { return skip_value(item) && take(item, ','); }

bool json_is_null(json value) {
  skip_spaces(&value);
  return value.end - value.at >= 4 && !memcmp(value.at, "null", 4);
}
