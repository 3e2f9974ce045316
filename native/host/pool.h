/* Threads that wait to be the workers of runs. One run at a time. */
#ifndef PM_POOL_H
#define PM_POOL_H

#include "../vm/pelemay.h"

typedef struct pm_pool pm_pool;

/* `count` workers: the caller of pm_pool_run and count - 1 threads, made at the first run. */
pm_pool *pm_pool_new(int count);
void pm_pool_free(pm_pool *pool);

/* In a child of fork() the threads are made anew. */
pm_status pm_pool_run(pm_pool *pool, const pm_run_args *args);

#endif
