#define _GNU_SOURCE
#include "signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t came;

static void note(int number) { came = number; }

int run_signal(void) { return came; }

/* Calls that wait are not begun again: they give EINTR. What is ignored stays ignored, as under nohup. */
void run_catch_signals(void) {
  const int all[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    struct sigaction before, action = {.sa_handler = note};
    sigemptyset(&action.sa_mask);
    if (!sigaction(all[i], NULL, &before) && before.sa_handler != SIG_IGN) sigaction(all[i], &action, NULL);
  }
}
