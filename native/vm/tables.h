/* How the tables of a program are found and checked: for programs, and for plans of them. */
#ifndef PM_TABLES_H
#define PM_TABLES_H

#include "pelemay.h"

/* Points *table at the section, if it lies in the head, of `limit` bytes, and is aligned. */
bool pm_find_table(const pm_section *section, size_t size, const uint8_t *head, size_t limit, const void **table,
                   size_t *count);

/* All tables that a header names. */
bool pm_find_tables(pm_program *program, const pm_header *header, const uint8_t *head);

/* Every row, and every instruction. */
pm_status pm_check_tables(const pm_program *program, pm_place *place);

#endif
