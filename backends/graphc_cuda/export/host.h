/* host.h: a library of functions on one GPU; the same text for every library of graphc.
 *
 * Everything is in one block of device memory: parameters, constants, prepared values, and the
 * temporaries, inputs and outputs of one call. Data travels through pinned memory.
 */
#ifndef GRAPHC_HOST_H
#define GRAPHC_HOST_H

#include <stdio.h>

#include "launches.h"

enum {
    HOST_OK, HOST_NULL, HOST_FILE, HOST_NO_GPU, HOST_CAPABILITY, HOST_MEMORY, HOST_DRIVER,
    HOST_NO_PARAMETER, HOST_BYTES, HOST_STATE
};
enum { HOST_NO_FAILURE = -1, HOST_STATE_HEADER = 16, HOST_RANDOM_BYTES = 16 };
static const size_t HOST_STAGING_BYTES = 1 << 20; /* at least */

typedef struct {
    uint64_t offset, bytes; /* in the block */
} host_value;

typedef struct {
    const char *name;
    uint64_t offset, bytes, saved; /* in the block; in what `save` writes */
} host_parameter;

typedef struct {
    uint64_t offset, bytes, stored; /* in the block; in the file of weights */
} host_constant;

typedef struct {
    const launches_plan *plan;
    const char *code; /* files NAME.sm_80.cubin, NAME.sm_90.cubin and NAME.ptx */
    const host_value *inputs, *outputs;
    uint32_t input_count, output_count;
    int64_t status;  /* where a failed check is told; -1: there are no checks */
    int64_t random;  /* where seed and step are; -1: nothing is drawn */
    uint64_t stream; /* where they are in what `save` writes */
    int32_t first_check;
    int32_t updates; /* whether parameters change */
} host_function;

typedef struct {
    const char *weights; /* a file */
    uint64_t device_bytes, state_bytes, weights_bytes, staging_bytes, fingerprint;
    const host_function *functions;
    const host_parameter *parameters;
    const host_constant *constants;
    uint32_t function_count, parameter_count, constant_count;
} host_library;

typedef struct {
    const host_library *library;
    CUdevice device;
    CUcontext context;
    CUstream stream;
    CUdeviceptr base;
    unsigned char *staging; /* pinned */
    size_t staging_bytes;
    launches_bound *bound; /* one a function */
    uint64_t (*random)[2]; /* seed and step of every function */
    char *stale;           /* whether a function's prepared values are out of date */
    int32_t error;         /* the driver's last */
} host_instance;

#define HOST_TRY(call)                                                                             \
    do {                                                                                           \
        int32_t host_status = (call);                                                              \
        if (host_status != HOST_OK) return host_status;                                            \
    } while (0)

static int32_t host_check(host_instance *host, CUresult status) {
    if (status == CUDA_SUCCESS) return HOST_OK;
    host->error = (int32_t)status;
    return status == CUDA_ERROR_OUT_OF_MEMORY ? HOST_MEMORY : HOST_DRIVER;
}

/* A whole file and a 0 behind it; NULL where it cannot be read. */
static char *host_file(const char *folder, const char *name, size_t *bytes) {
    size_t length = strlen(folder) + strlen(name) + 2, capacity = 1 << 16, size = 0, got;
    char *path = malloc(length), *data = malloc(capacity + 1);
    FILE *file = NULL;
    if (path && data) {
        snprintf(path, length, "%s/%s", folder, name);
        file = fopen(path, "rb");
    }
    free(path);
    while (file && data && (got = fread(data + size, 1, capacity - size, file)) > 0) {
        size += got;
        if (size == capacity) {
            char *larger = realloc(data, 2 * capacity + 1);
            if (!larger) free(data);
            data = larger;
            capacity *= 2;
        }
    }
    if (file) fclose(file);
    if (!file || !data) {
        free(data);
        return NULL;
    }
    data[size] = 0;
    *bytes = size;
    return data;
}

/* ---- copies ---- */

static int32_t host_wait(host_instance *host) {
    return host_check(host, cuStreamSynchronize(host->stream));
}

/* Copy into the block, in parts that fit the pinned memory; returns when all is there. */
static int32_t host_put(host_instance *host, uint64_t to, const void *data, size_t bytes) {
    const unsigned char *from = data;
    while (bytes) {
        size_t part = bytes < host->staging_bytes ? bytes : host->staging_bytes;
        memcpy(host->staging, from, part);
        HOST_TRY(host_check(host, cuMemcpyHtoDAsync(host->base + to, host->staging, part,
                                                    host->stream)));
        HOST_TRY(host_wait(host));
        from += part, to += part, bytes -= part;
    }
    return HOST_OK;
}

static int32_t host_get(host_instance *host, void *data, uint64_t from, size_t bytes) {
    unsigned char *to = data;
    while (bytes) {
        size_t part = bytes < host->staging_bytes ? bytes : host->staging_bytes;
        HOST_TRY(host_check(host, cuMemcpyDtoHAsync(host->staging, host->base + from, part,
                                                    host->stream)));
        HOST_TRY(host_wait(host));
        memcpy(to, host->staging, part);
        from += part, to += part, bytes -= part;
    }
    return HOST_OK;
}

static void host_spoil(host_instance *host, const host_function *except) {
    for (uint32_t i = 0; i < host->library->function_count; i++)
        if (&host->library->functions[i] != except) host->stale[i] = 1;
}

/* ---- parameters and state ---- */

static int32_t host_load(host_instance *host, const void *saved, size_t bytes) {
    const host_library *library = host->library;
    const unsigned char *data = saved;
    if (!saved) return HOST_NULL;
    if (bytes != library->state_bytes) return HOST_BYTES;
    if (memcmp(data, &library->fingerprint, 8)) return HOST_STATE;
    HOST_TRY(host_check(host, cuCtxSetCurrent(host->context)));
    for (uint32_t i = 0; i < library->function_count; i++)
        if (library->functions[i].random >= 0)
            memcpy(host->random[i], data + library->functions[i].stream, HOST_RANDOM_BYTES);
    host_spoil(host, NULL);
    for (uint32_t i = 0; i < library->parameter_count; i++) {
        const host_parameter *p = &library->parameters[i];
        HOST_TRY(host_put(host, p->offset, data + p->saved, p->bytes));
    }
    return HOST_OK;
}

static int32_t host_save(host_instance *host, void *saved, size_t bytes) {
    const host_library *library = host->library;
    unsigned char *data = saved;
    if (!saved) return HOST_NULL;
    if (bytes != library->state_bytes) return HOST_BYTES;
    HOST_TRY(host_check(host, cuCtxSetCurrent(host->context)));
    memset(data, 0, bytes);
    memcpy(data, &library->fingerprint, 8);
    for (uint32_t i = 0; i < library->function_count; i++)
        if (library->functions[i].random >= 0)
            memcpy(data + library->functions[i].stream, host->random[i], HOST_RANDOM_BYTES);
    for (uint32_t i = 0; i < library->parameter_count; i++) {
        const host_parameter *p = &library->parameters[i];
        HOST_TRY(host_get(host, data + p->saved, p->offset, p->bytes));
    }
    return HOST_OK;
}

static int32_t host_parameter_copy(host_instance *host, const char *name, void *value,
                                   const void *given, size_t bytes) {
    const host_library *library = host->library;
    if (!name || (!value && !given)) return HOST_NULL;
    for (uint32_t i = 0; i < library->parameter_count; i++) {
        const host_parameter *p = &library->parameters[i];
        if (strcmp(p->name, name)) continue;
        if (p->bytes != bytes) return HOST_BYTES;
        HOST_TRY(host_check(host, cuCtxSetCurrent(host->context)));
        if (value) return host_get(host, value, p->offset, bytes);
        host_spoil(host, NULL);
        return host_put(host, p->offset, given, bytes);
    }
    return HOST_NO_PARAMETER;
}

/* ---- calls ---- */

static int32_t host_send(host_instance *host, const host_function *f, const void *const *inputs) {
    size_t at = 0;
    for (uint32_t i = 0; i < f->input_count; i++) {
        size_t bytes = f->inputs[i].bytes;
        memcpy(host->staging + at, inputs[i], bytes);
        if (bytes)
            HOST_TRY(host_check(host, cuMemcpyHtoDAsync(host->base + f->inputs[i].offset,
                                                        host->staging + at, bytes, host->stream)));
        at += bytes;
    }
    if (f->random < 0) return HOST_OK;
    memcpy(host->staging + at, host->random[f - host->library->functions], HOST_RANDOM_BYTES);
    return host_check(host, cuMemcpyHtoDAsync(host->base + (uint64_t)f->random, host->staging + at,
                                              HOST_RANDOM_BYTES, host->stream));
}

static int32_t host_receive(host_instance *host, const host_function *f, void *const *outputs) {
    size_t at = 0;
    int32_t failed = HOST_NO_FAILURE;
    for (uint32_t i = 0; i < f->output_count; i++) {
        size_t bytes = f->outputs[i].bytes;
        if (bytes)
            HOST_TRY(host_check(host, cuMemcpyDtoHAsync(host->staging + at,
                                                        host->base + f->outputs[i].offset, bytes,
                                                        host->stream)));
        at += bytes;
    }
    if (f->status >= 0)
        HOST_TRY(host_check(host, cuMemcpyDtoHAsync(host->staging + at,
                                                    host->base + (uint64_t)f->status, 4,
                                                    host->stream)));
    HOST_TRY(host_wait(host));
    if (f->status >= 0) memcpy(&failed, host->staging + at, 4);
    if (failed != HOST_NO_FAILURE) return f->first_check + failed;
    at = 0;
    for (uint32_t i = 0; i < f->output_count; i++) {
        memcpy(outputs[i], host->staging + at, f->outputs[i].bytes);
        at += f->outputs[i].bytes;
    }
    return HOST_OK;
}

static int32_t host_call(host_instance *host, uint32_t number, const void *const *inputs,
                         void *const *outputs) {
    const host_function *f = &host->library->functions[number];
    const launches_bound *b = &host->bound[number];
    for (uint32_t i = 0; i < f->input_count; i++)
        if (!inputs[i]) return HOST_NULL;
    for (uint32_t i = 0; i < f->output_count; i++)
        if (!outputs[i]) return HOST_NULL;
    HOST_TRY(host_check(host, cuCtxSetCurrent(host->context)));
    if (host->stale[number])
        HOST_TRY(host_check(host, launches_run(b, b->prepare, b->prepare_count)));
    host->stale[number] = 0;
    HOST_TRY(host_send(host, f, inputs));
    HOST_TRY(host_check(host, launches_run(b, b->step, b->step_count)));
    HOST_TRY(host_receive(host, f, outputs));
    if (f->updates) host_spoil(host, f);
    if (f->random >= 0) host->random[number][1]++;
    return HOST_OK;
}

/* ---- the life of a library ---- */

/* The machine code for the GPU, else PTX, which the driver compiles. */
static char *host_code(const host_function *f, const char *folder, int major) {
    char name[512];
    size_t bytes;
    char *image = NULL;
    if (major == 8 || major == 9) {
        snprintf(name, sizeof name, "%s.sm_%d0.cubin", f->code, major);
        image = host_file(folder, name, &bytes);
    }
    if (image) return image;
    snprintf(name, sizeof name, "%s.ptx", f->code);
    return host_file(folder, name, &bytes);
}

static int32_t host_open_device(host_instance *host, int32_t number, int *major) {
    size_t staging = host->library->staging_bytes;
    CUresult status = cuInit(0);
    if (status == CUDA_SUCCESS) status = cuDeviceGet(&host->device, number);
    if (status != CUDA_SUCCESS) {
        host->error = (int32_t)status;
        return HOST_NO_GPU;
    }
    HOST_TRY(host_check(host, cuDeviceGetAttribute(
        major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, host->device)));
    if (*major < 8) return HOST_CAPABILITY;
    HOST_TRY(host_check(host, cuDevicePrimaryCtxRetain(&host->context, host->device)));
    HOST_TRY(host_check(host, cuCtxSetCurrent(host->context)));
    HOST_TRY(host_check(host, cuStreamCreate(&host->stream, CU_STREAM_NON_BLOCKING)));
    HOST_TRY(host_check(host, cuMemAlloc(&host->base, host->library->device_bytes)));
    host->staging_bytes = staging < HOST_STAGING_BYTES ? HOST_STAGING_BYTES : staging;
    return host_check(host, cuMemHostAlloc((void **)&host->staging, host->staging_bytes, 0));
}

static int32_t host_fill(host_instance *host, const char *folder) {
    const host_library *library = host->library;
    size_t bytes = 0;
    char *weights = host_file(folder, library->weights, &bytes);
    int32_t status = weights && bytes == library->weights_bytes ? HOST_OK : HOST_FILE;
    if (status == HOST_OK) status = host_load(host, weights, library->state_bytes);
    for (uint32_t i = 0; i < library->constant_count && status == HOST_OK; i++) {
        const host_constant *c = &library->constants[i];
        status = host_put(host, c->offset, weights + c->stored, c->bytes);
    }
    free(weights);
    return status;
}

static int32_t host_open(host_instance *host, const host_library *library, const char *folder,
                         int32_t device) {
    int major = 0;
    host->library = library;
    host->bound = calloc(library->function_count, sizeof *host->bound);
    host->random = calloc(library->function_count, sizeof *host->random);
    host->stale = calloc(library->function_count, 1);
    if (!host->bound || !host->random || !host->stale) return HOST_MEMORY;
    HOST_TRY(host_open_device(host, device, &major));
    HOST_TRY(host_fill(host, folder));
    for (uint32_t i = 0; i < library->function_count; i++) {
        launches_bound *b = &host->bound[i];
        char *image = host_code(&library->functions[i], folder, major);
        int32_t status;
        if (!image) return HOST_FILE;
        b->base = host->base;
        b->context = host->context;
        b->stream = host->stream;
        b->answer = host->staging;
        status = host_check(host, launches_bind(b, library->functions[i].plan, image));
        free(image);
        if (status != HOST_OK) return status;
    }
    return HOST_OK;
}

static void host_close(host_instance *host) {
    if (host->context) cuCtxSetCurrent(host->context);
    if (host->stream) cuStreamSynchronize(host->stream);
    for (uint32_t i = 0; host->bound && i < host->library->function_count; i++)
        launches_unbind(&host->bound[i]);
    if (host->staging) cuMemFreeHost(host->staging);
    if (host->base) cuMemFree(host->base);
    if (host->stream) cuStreamDestroy(host->stream);
    if (host->context) cuDevicePrimaryCtxRelease(host->device);
    free(host->bound);
    free(host->random);
    free(host->stale);
}
#endif
