/* Train on a microcontroller: the self-test, then some steps on made-up images. */
#include "digits.h"

void print(const char *text);

enum { PIXELS = 64, BATCH = 8, STEPS = 20 };

_Alignas(DIGITS_WORKSPACE_ALIGNMENT) static unsigned char workspace[DIGITS_WORKSPACE_BYTES];
static float x[BATCH * PIXELS];
static int32_t labels[BATCH];

static void print_bits(const char *what, float value) {
  union { float value; uint32_t bits; } both = {value};
  char text[10];
  for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[both.bits >> (28 - 4 * i) & 15];
  text[8] = '\n';
  text[9] = 0;
  print(what);
  print(text);
}

int main(void) {
  if (digits_selftest() != DIGITS_OK) return 1;
  print("self-test passed\n");
  for (int i = 0; i < BATCH * PIXELS; i++) x[i] = (float)(i * 7 % 17) / 16;
  for (int i = 0; i < BATCH; i++) labels[i] = i;
  if (digits_init(workspace, sizeof workspace) != DIGITS_OK) return 2;
  for (int step = 0; step < STEPS; step++) {
    float loss;
    if (digits_step(workspace, BATCH, x, labels, &loss) != DIGITS_OK) return 3;
    print_bits("loss ", loss);
  }
  return 0;
}
