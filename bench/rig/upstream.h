/* One connection of the upstream, and what its two halves tell each other: upstream.c reads, reply.c answers. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#define _GNU_SOURCE
#include "rig.h"

enum { IN_BYTES = 16384, ASKED_BYTES = 2048, EVENT_BYTES = 512, MAX_CONNECTIONS = 1 << 16 };
enum path { CHAT, HEALTH, STATS };
enum doing { READING, DELAYED, STREAMING, SENDING, HOLDING };

struct conn {
    int fd;
    enum doing doing;
    enum path path;
    int in_body, closes, wants_write;
    size_t in_used, out_used, out_at, asked_used;
    struct body body;
    uint64_t left;   /* events of a stream; bytes of a bulk reply, 0 = what is in out is all */
    uint64_t pace_us;
    uint64_t due_us;
    size_t heap_at;  /* its place in the heap of due.c, counted from 1; 0 = it does not wait for a time */
    char in[IN_BYTES], out[EVENT_BYTES * 4], asked[ASKED_BYTES + 1];
};

extern int epoll_fd, times_fd, is_late_health;
extern const char *engine_name;
extern uint64_t ready_us; /* when loading ends */
extern struct stats { uint64_t requests, busy, busy_max, left_early; } stats;

/* Append an event of this engine's life to --times. */
void tell(const char *event, uint64_t t_us);

/* A request is complete: decide what to answer, and put what can be said at once. */
void begin_reply(struct conn *c);
/* Send what is due; 0 = more is to come later, 1 = the reply is complete, -1 = the connection is dead. */
int go_on(struct conn *c);

/* Who is due next, from a binary heap; being put again moves a connection. */
void due(struct conn *c, uint64_t t_us);
void not_due(struct conn *c);
struct conn *next_due(void); /* NULL = nobody */
size_t due_count(void);

#endif
