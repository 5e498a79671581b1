/* What a prediction costs a program that calls dura.h: opening, the first, the second and later predictions, memory.
 *   usage: bench_c_interface MODEL PICTURE [PREDICTIONS]
 *   build: cc -O2 bench_c_interface.c -o bench_c_interface $(pkg-config --cflags --libs dura)
 * dura-bench --mode inf --batch 1 of the same depth and size measures the network alone. */
#include <dura.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

/* Of /proc/self/status: VmRSS, what lies in memory now, or VmHWM, the most so far. */
static double mebibytes(const char* field) {
  char line[256];
  double kib = 0;
  FILE* status = fopen("/proc/self/status", "r");
  if (!status) return 0;
  while (fgets(line, sizeof line, status))
    if (strncmp(line, field, strlen(field)) == 0) kib = strtod(line + strlen(field) + 1, NULL);
  fclose(status);
  return kib / 1024;
}

int main(int argc, char** argv) {
  if (argc < 3) return fputs("usage: bench_c_interface MODEL PICTURE [PREDICTIONS]\n", stderr), 2;
  const int count = argc > 3 && atoi(argv[3]) > 2 ? atoi(argv[3]) : 50;
  double* times = malloc((size_t)count * sizeof *times);
  dura_call* call = dura_call_new();
  if (!times || !call) return fputs("no memory\n", stderr), 1;
  const double before = now_ms();
  dura_model* model = dura_open_file(call, argv[1], NULL);
  const double opened = now_ms() - before, opening_peak = mebibytes("VmHWM:");
  const dura_picture picture = {.size = sizeof picture, .file = argv[2]};
  for (int i = 0; model && i < count; ++i) {
    const double begin = now_ms();
    if (dura_predict(call, model, &picture, 1) != DURA_OK) break;
    times[i] = now_ms() - begin;
  }
  const int failed = dura_call_status(call) != DURA_OK;
  if (failed) fprintf(stderr, "%s\n", dura_message(call));
  if (!failed) {
    printf("open %.1f ms (at most %.0f MiB), first %.1f ms, second %.1f ms", opened, opening_peak, times[0], times[1]);
    qsort(times + 2, (size_t)(count - 2), sizeof *times, by_value);
    printf(", later %.1f ms (median of %d, %.1f to %.1f); memory %.0f MiB, at most %.0f MiB\n", times[2 + (count - 2) / 2], count - 2,
           times[2], times[count - 1], mebibytes("VmRSS:"), mebibytes("VmHWM:"));
  }
  dura_close(model);
  dura_call_free(call);
  free(times);
  return failed;
}
