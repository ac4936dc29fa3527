/* A CUDA driver without a GPU, for tests: what its parts share.
 *
 * It has the names and the ABI of libcuda.so.1, keeps "device" memory on the host, writes every
 * call to a log, and checks handles, bounds and life times: a line that begins with "wrong:" says
 * what a program has done wrong. Work in streams is done as late as it may be, at the latest when
 * somebody waits for it, so that a missing wait shows; kernels do nothing, but for those whose
 * names begin with "accumulate", which add their first argument (an int64) to their last, and
 * "move", which put it there.
 *
 * Environment: FAKE_CUDA_LOG (a file), _DEVICES, _VERSION, _CAPABILITY (90), _MEMORY (bytes),
 * _FAIL ("name:n:status": the n-th call of that name fails), _NEVER (no event ever happens),
 * _EAGER (the number of a stream that does its work at once).
 */
#ifndef FAKE_DRIVER_H
#define FAKE_DRIVER_H
#include <stddef.h>
#include <stdint.h>

enum { OK = 0, INVALID = 1, MEMORY = 2, NO_DEVICE = 100, BAD_IMAGE = 200, NO_CONTEXT = 201,
       BAD_PTX = 218, BAD_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600 };
enum { CONTEXT = 1, STREAM, EVENT, MODULE, FUNCTION, GRAPH, NODE, EXECUTABLE, BLOCK, PINNED };
enum { MAX_ARGUMENTS = 256, SHARED = 48 << 10, MOST_SHARED = 227 << 10 };

typedef struct Object Object;
typedef struct Node {
    Object *function; /* NULL: a fill */
    unsigned grid, block, shared, value, unit;
    size_t count; /* arguments, or elements to fill */
    uint64_t arguments[MAX_ARGUMENTS];
    Object **after;
    size_t after_count;
} Node;

typedef struct Work {
    enum { COPY_IN, COPY_OUT, COPY_WITHIN, RUN, WAIT } kind;
    uint64_t to, from;
    size_t bytes;
    Node *nodes; /* RUN: a snapshot */
    size_t count;
    Object *stream; /* WAIT: until so much of it is done */
} Work;

struct Object {
    int kind, id, alive;
    Object *owner;        /* of a function, node, executable */
    char name[256];       /* of a function */
    size_t parameters;    /* of a function */
    unsigned char *start; /* of memory; of a module: its image */
    size_t bytes; /* of an event: how often it was asked for; of a function: shared */
    Work *work; /* of a stream */
    size_t work_count, work_done;
    Object *stream; /* of an event: what has been recorded */
    size_t position;
    Node node;
    Object **nodes; /* of a graph or an executable */
    size_t node_count;
};

extern Object *fake_null_stream; /* that of programs which name none */
extern size_t fake_used_bytes;

void fake_log(const char *format, ...);
void fake_wrong(const char *format, ...);
long fake_option(const char *name, long otherwise);
int fake_enter(const char *name, int needs_context);
Object *fake_new(int kind);
int fake_is(const Object *object, int kind);
Object *fake_find(uint64_t address, size_t bytes, int kind);
const char *fake_place(uint64_t address);
void fake_queue(Object *stream, Work work);
int fake_force(Object *stream, size_t position);
void fake_do(const Work *work);
void fake_run(const Node *nodes, size_t count);
Object *fake_stream(Object *stream);
size_t fake_entries(const Object *module, const char *symbol);

/* Enter a call, and leave it with what the test wants it to answer. */
#define ENTER(name, needs_context)                                                                 \
    do {                                                                                           \
        int status_ = fake_enter(name, needs_context);                                             \
        if (status_) return status_;                                                               \
    } while (0)
#define NEED(object, kind)                                                                         \
    do {                                                                                           \
        if (!fake_is(object, kind)) return BAD_HANDLE;                                             \
    } while (0)
#endif
