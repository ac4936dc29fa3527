/* Train on the digits and save what was learnt.   train FOLDER STATE [EPOCHS] */
#include <string.h>

#include "digits.h"
#include "digits_io.h"

enum { PIXELS = 64, BATCH = DIGITS_STEP_BATCH_MAX };

_Alignas(DIGITS_WORKSPACE_ALIGNMENT) static unsigned char workspace[DIGITS_WORKSPACE_BYTES];

static void check(int32_t status) {
  if (status == DIGITS_OK) return;
  fprintf(stderr, "%s\n", digits_status_text(status));
  exit(1);
}

static double accuracy(const float *x, const int32_t *labels, size_t count) {
  size_t right = 0;
  for (size_t first = 0; first < count; first += BATCH) {
    int32_t digit[BATCH];
    size_t n = count - first < BATCH ? count - first : BATCH;
    check(digits_predict(workspace, (int64_t)n, x + first * PIXELS, digit));
    for (size_t i = 0; i < n; i++) right += digit[i] == labels[first + i];
  }
  return (double)right / (double)count;
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: train FOLDER STATE [EPOCHS]\n");
    return 2;
  }
  int epochs = count > 3 ? atoi(arguments[3]) : 20;
  size_t bytes, test_bytes, unused;
  float *x = read_file(arguments[1], "train.x", &bytes);
  int32_t *labels = read_file(arguments[1], "train.y", &unused);
  float *test_x = read_file(arguments[1], "test.x", &test_bytes);
  int32_t *test_labels = read_file(arguments[1], "test.y", &unused);
  size_t examples = bytes / (PIXELS * sizeof *x), tests = test_bytes / (PIXELS * sizeof *x);
  size_t *order = malloc(examples * sizeof *order);
  if (!order) return 1;
  for (size_t i = 0; i < examples; i++) order[i] = i;

  check(digits_init(workspace, sizeof workspace));
  uint32_t random = 1;
  for (int epoch = 1; epoch <= epochs; epoch++) {
    for (size_t i = examples - 1; i > 0; i--) { /* another order in every epoch */
      random = random * 1664525u + 1013904223u;
      size_t j = (size_t)random % (i + 1), kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    float loss = 0;
    for (size_t first = 0; first + BATCH <= examples; first += BATCH) {
      float batch[BATCH * PIXELS];
      int32_t given[BATCH];
      for (size_t i = 0; i < BATCH; i++) {
        memcpy(batch + i * PIXELS, x + order[first + i] * PIXELS, PIXELS * sizeof *x);
        given[i] = labels[order[first + i]];
      }
      check(digits_step(workspace, BATCH, batch, given, &loss));
    }
    printf("epoch %d: loss %.4f, accuracy %.4f\n", epoch, loss, accuracy(test_x, test_labels, tests));
  }

  unsigned char *state = malloc(DIGITS_STATE_BYTES);
  FILE *file = fopen(arguments[2], "wb");
  if (!state || !file) {
    perror(arguments[2]);
    return 1;
  }
  check(digits_save(workspace, state, DIGITS_STATE_BYTES));
  size_t written = fwrite(state, 1, DIGITS_STATE_BYTES, file);
  if (fclose(file) || written != DIGITS_STATE_BYTES) {
    perror(arguments[2]);
    return 1;
  }
  free(state);
  free(order);
  free(test_labels);
  free(test_x);
  free(labels);
  free(x);
  return 0;
}
