/* Signals that end the tool: it sees them between two steps, so that nothing half written stays. */
#ifndef PM_RUN_SIGNALS_H
#define PM_RUN_SIGNALS_H

void run_catch_signals(void);

/* The number of the signal that came, or 0. */
int run_signal(void);

#endif
