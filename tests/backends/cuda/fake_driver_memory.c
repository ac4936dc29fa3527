/* The driver for tests: memory, streams, events. See fake_driver.h. */
#include "fake_driver.h"
#include <stdlib.h>
#include <string.h>

/* ---- work in streams ---- */

Object *fake_stream(Object *stream) {
    if ((uintptr_t)stream > 2) return stream;
    if (!fake_null_stream) fake_null_stream = fake_new(STREAM);
    return fake_null_stream;
}

void fake_queue(Object *stream, Work work) {
    stream = fake_stream(stream);
    stream->work = realloc(stream->work, (stream->work_count + 1) * sizeof work);
    if (!stream->work) abort();
    stream->work[stream->work_count++] = work;
    if (stream->id == fake_option("FAKE_CUDA_EAGER", 0)) fake_force(stream, stream->work_count);
}

int fake_force(Object *stream, size_t position) {
    while (stream->work_done < position) {
        Work *work = &stream->work[stream->work_done++];
        if (work->kind == WAIT)
            fake_force(work->stream, work->bytes);
        else
            fake_do(work);
    }
    return OK;
}

static int check_range(const char *what, uint64_t address, size_t bytes, int kind) {
    if (fake_find(address, bytes, kind)) return 1;
    fake_wrong("%s of %zu bytes at %s is outside of all memory", what, bytes, fake_place(address));
    return 0;
}

void fake_do(const Work *work) {
    int to = work->kind == COPY_OUT ? PINNED : BLOCK;
    int from = work->kind == COPY_IN ? PINNED : BLOCK;
    if (work->kind == RUN) {
        fake_run(work->nodes, work->count);
        return;
    }
    if (!check_range("write", work->to, work->bytes, to)) return;
    if (!check_range("read", work->from, work->bytes, from)) return;
    memmove((void *)(uintptr_t)work->to, (void *)(uintptr_t)work->from, work->bytes);
}

static int copy(const char *name, int kind, uint64_t to, uint64_t from, size_t bytes, Object *s) {
    Work work = {kind, to, from, bytes, NULL, 0, NULL};
    ENTER(name, 1);
    NEED(fake_stream(s), STREAM);
    fake_log("%s s%d to=%s from=%s bytes=%zu", name, fake_stream(s)->id,
             kind == COPY_OUT ? "host" : fake_place(to),
             kind == COPY_IN ? "host" : fake_place(from), bytes);
    fake_queue(s, work);
    return OK;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Object *stream) {
    return copy("cuMemcpyHtoDAsync", COPY_IN, to, (uint64_t)(uintptr_t)from, bytes, stream);
}

int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, Object *stream) {
    return copy("cuMemcpyDtoHAsync", COPY_OUT, (uint64_t)(uintptr_t)to, from, bytes, stream);
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Object *stream) {
    return copy("cuMemcpyDtoDAsync", COPY_WITHIN, to, from, bytes, stream);
}

/* Copies that wait: the host's memory need not be pinned. */
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    ENTER("cuMemcpyHtoD", 1);
    fake_log("cuMemcpyHtoD to=%s bytes=%zu", fake_place(to), bytes);
    if (!check_range("write", to, bytes, BLOCK)) return INVALID;
    memcpy((void *)(uintptr_t)to, from, bytes);
    return OK;
}

int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    ENTER("cuMemcpyDtoH", 1);
    fake_log("cuMemcpyDtoH from=%s bytes=%zu", fake_place(from), bytes);
    if (!check_range("read", from, bytes, BLOCK)) return INVALID;
    memcpy(to, (void *)(uintptr_t)from, bytes);
    return OK;
}

int cuStreamCreate(Object **stream, unsigned flags) {
    ENTER("cuStreamCreate", 1);
    *stream = fake_new(STREAM);
    fake_log("cuStreamCreate s%d flags=%u", (*stream)->id, flags);
    return OK;
}

int cuStreamDestroy_v2(Object *stream) {
    ENTER("cuStreamDestroy", 1);
    NEED(stream, STREAM);
    stream->alive = 0;
    return OK;
}

int cuStreamSynchronize(Object *stream) {
    ENTER("cuStreamSynchronize", 1);
    NEED(fake_stream(stream), STREAM);
    stream = fake_stream(stream);
    fake_log("cuStreamSynchronize s%d", stream->id);
    return fake_force(stream, stream->work_count);
}

int cuStreamWaitEvent(Object *stream, Object *event, unsigned flags) {
    Work work = {WAIT, 0, 0, 0, NULL, 0, NULL};
    (void)flags;
    ENTER("cuStreamWaitEvent", 1);
    NEED(fake_stream(stream), STREAM);
    NEED(event, EVENT);
    fake_log("cuStreamWaitEvent s%d e%d", fake_stream(stream)->id, event->id);
    if (!event->stream) return OK;
    work.stream = event->stream;
    work.bytes = event->position;
    fake_queue(stream, work);
    return OK;
}

int cuEventCreate(Object **event, unsigned flags) {
    ENTER("cuEventCreate", 1);
    *event = fake_new(EVENT);
    (*event)->parameters = flags;
    return OK;
}

int cuEventDestroy_v2(Object *event) {
    ENTER("cuEventDestroy", 1);
    NEED(event, EVENT);
    event->alive = 0;
    return OK;
}

int cuEventRecord(Object *event, Object *stream) {
    ENTER("cuEventRecord", 1);
    NEED(event, EVENT);
    NEED(fake_stream(stream), STREAM);
    event->stream = fake_stream(stream);
    event->position = event->stream->work_count;
    event->bytes = 0;
    fake_log("cuEventRecord e%d s%d", event->id, event->stream->id);
    return OK;
}

int cuEventQuery(Object *event) {
    ENTER("cuEventQuery", 1);
    NEED(event, EVENT);
    if (fake_option("FAKE_CUDA_NEVER", 0)) return NOT_READY;
    if (!event->stream || event->stream->work_done >= event->position) return OK;
    if (!event->bytes++) return NOT_READY; /* who asks again waits for it */
    return fake_force(event->stream, event->position);
}

int cuEventElapsedTime_v2(float *milliseconds, Object *start, Object *end) {
    ENTER("cuEventElapsedTime", 1);
    NEED(start, EVENT);
    NEED(end, EVENT);
    if (!start->stream || !end->stream || start->parameters & 2 || end->parameters & 2)
        return BAD_HANDLE;
    *milliseconds = (float)(end->position - start->position);
    return OK;
}

int cuEventElapsedTime(float *milliseconds, Object *start, Object *end) {
    return cuEventElapsedTime_v2(milliseconds, start, end);
}

/* ---- memory ---- */

static int allocate(const char *name, int kind, size_t bytes, void **address) {
    size_t total = (size_t)fake_option("FAKE_CUDA_MEMORY", 1 << 30);
    Object *made;
    ENTER(name, 1);
    if (kind == BLOCK && fake_used_bytes + bytes > total) return MEMORY;
    made = fake_new(kind);
    made->bytes = bytes;
    made->start = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!made->start) return MEMORY;
    memset(made->start, 0xCD, bytes);
    fake_used_bytes += kind == BLOCK ? bytes : 0;
    *address = made->start;
    fake_log("%s m%d bytes=%zu", name, made->id, bytes);
    return OK;
}

/* What was given back stays mapped, so that whoever uses it is found out, and nothing crashes. */
static int release(const char *name, int kind, uint64_t address) {
    Object *found;
    ENTER(name, 1);
    found = fake_find(address, 0, kind);
    if (!found || (uint64_t)(uintptr_t)found->start != address) {
        fake_wrong("%s of what was not allocated, or was given back before", name);
        return INVALID;
    }
    fake_log("%s m%d", name, found->id);
    found->alive = 0;
    fake_used_bytes -= kind == BLOCK ? found->bytes : 0;
    return OK;
}

int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    void *start = NULL;
    int status = allocate("cuMemAlloc", BLOCK, bytes, &start);
    *address = (uint64_t)(uintptr_t)start;
    return status;
}

int cuMemFree_v2(uint64_t address) { return release("cuMemFree", BLOCK, address); }

int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    (void)flags;
    return allocate("cuMemHostAlloc", PINNED, bytes, address);
}

int cuMemFreeHost(void *address) {
    return release("cuMemFreeHost", PINNED, (uint64_t)(uintptr_t)address);
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    ENTER("cuMemGetInfo", 1);
    *total = (size_t)fake_option("FAKE_CUDA_MEMORY", 1 << 30);
    *free_bytes = *total - fake_used_bytes;
    return OK;
}

int cuPointerGetAttribute(void *data, int attribute, uint64_t address) {
    ENTER("cuPointerGetAttribute", 1);
    if (attribute != 9 || !fake_find(address, 0, BLOCK)) return INVALID;
    *(int *)data = 0;
    return OK;
}
