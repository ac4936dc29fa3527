/* The least that a Cortex-M program needs: a vector table, the reset handler, and semihosting
 * (the debugger, or qemu, prints and ends the program). Made for the MPS2 board with a Cortex-M4
 * (AN386); for another one change link.ld. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t stack_top, data_start, data_end, data_source, bss_start, bss_end;
int main(void);
void reset(void);

static intptr_t semihosting(int operation, const void *argument) {
  register intptr_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void print(const char *text) { semihosting(4, text); }

static void leave(int status) {
  const uintptr_t block[2] = {0x20026, (uintptr_t)status}; /* ADP_Stopped_ApplicationExit */
  semihosting(0x20, block);
  for (;;) {
  }
}

static void fault(void) { leave(99); }

void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating point unit is on */
  __asm__ volatile("dsb\n isb");
  for (uint32_t *to = &data_start, *from = &data_source; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
  leave(main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
    (void *)fault,
};

/* What libraries of graphc call, under the names that the ARM convention gives them (a C library
 * has them, too). volatile: the compiler must not make a call of memcpy of it. */
void *memcpy(void *to, const void *from, size_t count) {
  volatile unsigned char *a = to;
  const unsigned char *b = from;
  while (count--) *a++ = *b++;
  return to;
}

void *memset(void *to, int value, size_t count) {
  volatile unsigned char *a = to;
  while (count--) *a++ = (unsigned char)value;
  return to;
}

void __aeabi_memcpy(void *to, const void *from, size_t count) { memcpy(to, from, count); }
void __aeabi_memset(void *to, size_t count, int value) { memset(to, value, count); }
void __aeabi_memclr(void *to, size_t count) { memset(to, 0, count); }
#define ALSO(as) __attribute__((alias(#as)))
ALSO(__aeabi_memcpy) void __aeabi_memcpy4(void *, const void *, size_t);
ALSO(__aeabi_memcpy) void __aeabi_memcpy8(void *, const void *, size_t);
ALSO(__aeabi_memset) void __aeabi_memset4(void *, size_t, int);
ALSO(__aeabi_memset) void __aeabi_memset8(void *, size_t, int);
ALSO(__aeabi_memclr) void __aeabi_memclr4(void *, size_t);
ALSO(__aeabi_memclr) void __aeabi_memclr8(void *, size_t);
