/* What memory this process holds, and what it may hold. Nothing here allocates. */
#ifndef PM_MEMORY_H
#define PM_MEMORY_H

#include "../vm/pelemay.h"

#define PM_UNLIMITED UINT64_MAX

/* Bytes of this process; 0 where the system does not say. */
typedef struct {
  uint64_t anonymous, file, shared; /* resident: its own, mapped files, and what only memory backs */
  uint64_t page_tables;             /* that the kernel keeps for it */
  uint64_t peak;                    /* the most that was resident at one time */
  uint64_t address_space, data;     /* resident or not: what RLIMIT_AS and RLIMIT_DATA count */
} pm_held;

/* Bytes that this process may hold in all, as pm_held_total() counts; PM_UNLIMITED where nothing says. */
typedef struct {
  uint64_t cgroup;        /* the least of its own group and those above, less what others in them hold */
  uint64_t address_space; /* RLIMIT_AS */
  uint64_t data;          /* RLIMIT_DATA */
  uint64_t available;     /* that the machine can give without swapping */
} pm_limits;

void pm_memory_held(pm_held *held);
uint64_t pm_held_total(const pm_held *held);
void pm_memory_limits(pm_limits *limits, const pm_held *held);

/* The least of the limits, and what sets it, in words; `what` may be NULL. */
uint64_t pm_memory_auto(const pm_limits *limits, const char **what);

/* Give back the pages of mapped files that were only read: code that start-up needed, for the most
   part. They come back when they are touched. No data of this process is lost. */
void pm_memory_trim(void);

#endif
