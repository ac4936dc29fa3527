/* Print the digit in every image of a file, with what `train` has learnt.   predict STATE IMAGES */
#include "digits.h"
#include "digits_io.h"

enum { PIXELS = 64, BATCH = DIGITS_PREDICT_BATCH_MAX };

_Alignas(DIGITS_WORKSPACE_ALIGNMENT) static unsigned char workspace[DIGITS_WORKSPACE_BYTES];

static void check(int32_t status) {
  if (status == DIGITS_OK) return;
  fprintf(stderr, "%s\n", digits_status_text(status));
  exit(1);
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: predict STATE IMAGES\n");
    return 2;
  }
  size_t state_bytes, bytes;
  void *state = read_file("", arguments[1], &state_bytes);
  float *x = read_file("", arguments[2], &bytes);
  check(digits_init(workspace, sizeof workspace));
  check(digits_load(workspace, state, state_bytes));
  size_t images = bytes / (PIXELS * sizeof *x);
  for (size_t first = 0; first < images; first += BATCH) {
    int32_t digit[BATCH];
    size_t n = images - first < BATCH ? images - first : BATCH;
    check(digits_predict(workspace, (int64_t)n, x + first * PIXELS, digit));
    for (size_t i = 0; i < n; i++) printf("%d\n", (int)digit[i]);
  }
  free(x);
  free(state);
  return 0;
}
