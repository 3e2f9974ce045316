/* The little of JSON that the tool reads: members of objects and items of lists, found by walking. */
#ifndef PM_RUN_JSON_H
#define PM_RUN_JSON_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  const char *at, *end;
} json;

/* The value of a key of an object; false if it is none, or has no such key. */
bool json_member(json value, const char *key, json *found);

/* The first item of a list, then the next one after `item`; false at the end. */
bool json_first(json list, json *item);
bool json_next(json *item);

bool json_is_null(json value);

/* The text of a string, as it is written, without quotes; false if it is none. */
bool json_text(json value, const char **text, size_t *length);

#endif
