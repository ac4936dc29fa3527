/* The driver for tests: its log, its objects, devices. See fake_driver.h. */
#define _GNU_SOURCE
#include "fake_driver.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Object **objects;
static size_t object_count;
static int ids[16];
size_t fake_used_bytes;
static _Thread_local Object *current;
static Object *contexts[16];
static int retained[16];
Object *fake_null_stream;

/* ---- log, options, failures ---- */

static void write_line(const char *head, const char *format, va_list arguments) {
    const char *path = getenv("FAKE_CUDA_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fputs(head, file);
    vfprintf(file, format, arguments);
    fputc('\n', file);
    fclose(file);
}

void fake_log(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line("", format, arguments);
    va_end(arguments);
}

void fake_wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line("wrong: ", format, arguments);
    va_end(arguments);
}

long fake_option(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

int fake_enter(const char *name, int needs_context) {
    static char failing[128];
    static int seen;
    const char *text = getenv("FAKE_CUDA_FAIL");
    int nth = 0, status = 0;
    if (text && sscanf(text, "%127[^:]:%d:%d", failing, &nth, &status) == 3 &&
        !strcmp(failing, name) && ++seen == nth) {
        fake_log("%s fails with %d", name, status);
        return status;
    }
    if (needs_context && !fake_is(current, CONTEXT)) {
        fake_wrong("%s without a context", name);
        return NO_CONTEXT;
    }
    return OK;
}

/* ---- objects ---- */

Object *fake_new(int kind) {
    Object *made = calloc(1, sizeof *made);
    objects = realloc(objects, (object_count + 1) * sizeof *objects);
    if (!made || !objects) abort();
    objects[object_count++] = made;
    made->kind = kind;
    made->id = ++ids[kind];
    made->alive = 1;
    return made;
}

int fake_is(const Object *object, int kind) {
    for (size_t i = object_count; i-- > 0;)
        if (objects[i] == object && object->kind == kind) {
            if (!object->alive) fake_wrong("a handle of kind %d is used after its end", kind);
            return object->alive;
        }
    fake_wrong("an unknown handle is used as kind %d", kind);
    return 0;
}

Object *fake_find(uint64_t address, size_t bytes, int kind) {
    for (size_t i = 0; i < object_count; i++) {
        Object *o = objects[i];
        uint64_t start = (uint64_t)(uintptr_t)o->start;
        if (o->kind != kind || address < start || address + bytes > start + o->bytes) continue;
        if (o->alive) return o;
    }
    return NULL;
}

const char *fake_place(uint64_t address) {
    static char texts[4][64];
    static int next;
    char *text = texts[next++ % 4];
    Object *block = fake_find(address, 0, BLOCK);
    if (block)
        snprintf(text, 64, "m%d+%llu", block->id,
                 (unsigned long long)(address - (uint64_t)(uintptr_t)block->start));
    else
        snprintf(text, 64, "nowhere");
    return text;
}

__attribute__((destructor)) static void report(void) {
    static const int kinds[] = {STREAM, EVENT, MODULE, GRAPH, EXECUTABLE, BLOCK, PINNED};
    static const char *names[] = {"streams", "events", "modules", "graphs", "executables",
                                  "blocks", "pinned"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int live = 0;
        for (size_t i = 0; i < object_count; i++)
            live += objects[i]->kind == kinds[k] && objects[i]->alive && objects[i] != fake_null_stream;
        fake_log("left %s=%d", names[k], live);
    }
}

/* ---- devices ---- */

int cuInit(unsigned flags) {
    ENTER("cuInit", 0);
    (void)flags;
    fake_log("cuInit");
    return fake_option("FAKE_CUDA_DEVICES", 1) ? OK : NO_DEVICE;
}

int cuDriverGetVersion(int *version) {
    *version = (int)fake_option("FAKE_CUDA_VERSION", 13000);
    return OK;
}

int cuGetErrorName(int status, const char **text) {
    *text = status == MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
    return OK;
}

int cuGetErrorString(int status, const char **text) {
    *text = status == BAD_PTX ? "a PTX JIT compilation failed" : "as the test wanted";
    return OK;
}

int cuDeviceGetCount(int *count) {
    ENTER("cuDeviceGetCount", 0);
    *count = (int)fake_option("FAKE_CUDA_DEVICES", 1);
    return OK;
}

int cuDeviceGet(int *device, int index) {
    ENTER("cuDeviceGet", 0);
    if (index < 0 || index >= fake_option("FAKE_CUDA_DEVICES", 1)) return 101;
    *device = index;
    return OK;
}

int cuDeviceGetName(char *name, int length, int device) {
    ENTER("cuDeviceGetName", 0);
    snprintf(name, (size_t)length, "Fake GPU %d", device);
    return OK;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    long capability = fake_option("FAKE_CUDA_CAPABILITY", 90);
    (void)device;
    ENTER("cuDeviceGetAttribute", 0);
    switch (attribute) {
    case 8: *value = SHARED; return OK;
    case 97: *value = MOST_SHARED; return OK;
    case 16: *value = 132; return OK;
    case 75: *value = (int)capability / 10; return OK;
    case 76: *value = (int)capability % 10; return OK;
    default: return INVALID;
    }
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    (void)device;
    ENTER("cuDeviceTotalMem", 0);
    *bytes = (size_t)fake_option("FAKE_CUDA_MEMORY", 1 << 30);
    return OK;
}

int cuDevicePrimaryCtxRetain(Object **context, int device) {
    ENTER("cuDevicePrimaryCtxRetain", 0);
    if (!contexts[device]) contexts[device] = fake_new(CONTEXT);
    retained[device]++;
    *context = contexts[device];
    fake_log("cuDevicePrimaryCtxRetain %d", device);
    return OK;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    ENTER("cuDevicePrimaryCtxRelease", 0);
    fake_log("cuDevicePrimaryCtxRelease %d", device);
    if (retained[device]-- <= 0) fake_wrong("a context is released once too often");
    return OK;
}

int cuCtxSetCurrent(Object *context) {
    ENTER("cuCtxSetCurrent", 0);
    if (context) NEED(context, CONTEXT);
    current = context;
    return OK;
}

/* The driver's own look-up: names without versions. */
int cuGetProcAddress_v2(const char *name, void **found, int version, uint64_t flags, int *status) {
    static const char *forms[] = {"%s_v2", "%s", "%sWithFlags"};
    static void *own;
    char symbol[160];
    Dl_info here;
    (void)version;
    (void)flags;
    *found = NULL;
    if (!own && dladdr((void *)&fake_null_stream, &here))
        own = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    for (size_t i = 0; i < sizeof forms / sizeof *forms && !*found; i++) {
        snprintf(symbol, sizeof symbol, forms[i], name);
        *found = dlsym(own, symbol);
    }
    if (status) *status = *found ? 0 : 1;
    return *found ? OK : NOT_FOUND;
}
