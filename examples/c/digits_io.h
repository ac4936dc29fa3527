/* Reading and writing whole files. */
#ifndef DIGITS_IO_H
#define DIGITS_IO_H

#include <stdio.h>
#include <stdlib.h>

/* The content of a file, and its bytes; ends the program if it cannot be read. */
static inline void *read_file(const char *folder, const char *name, size_t *bytes) {
  char path[4096];
  snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) {
    perror(path);
    exit(1);
  }
  long size = ftell(file);
  void *content = malloc(size > 0 ? (size_t)size : 1);
  rewind(file);
  if (size < 0 || !content || fread(content, 1, (size_t)size, file) != (size_t)size) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(1);
  }
  fclose(file);
  *bytes = (size_t)size;
  return content;
}

#endif
