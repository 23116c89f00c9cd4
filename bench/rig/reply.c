/* What the upstream answers, and how the answer gets out: at once, later, event by event, or by the block. */
#include "upstream.h"

#include <sys/epoll.h>
#include <sys/socket.h>

enum { BLOCK_BYTES = 1 << 18 };

/* ---- writing */

static void want_write(struct conn *c, int wants)
{
    if (c->wants_write == wants)
        return;
    c->wants_write = wants;
    struct epoll_event e = {EPOLLIN | (wants ? EPOLLOUT : 0), {.ptr = c}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* Write what is in out; 1 = all of it went, 0 = the socket is full, -1 = the connection is dead. */
static int flush(struct conn *c)
{
    while (c->out_at < c->out_used) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_used - c->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            want_write(c, 1);
            return 0;
        }
        if (n < 0)
            return -1;
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_used = 0;
    want_write(c, 0);
    return 1;
}

static void put(struct conn *c, const char *bytes, size_t n)
{
    memcpy(c->out + c->out_used, bytes, n);
    c->out_used += n;
}

static void put_json(struct conn *c, int status, const char *json, size_t n)
{
    int head = snprintf(c->out + c->out_used, sizeof c->out - c->out_used,
                        "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", status,
                        status == 200 ? "OK" : "Service Unavailable", n);
    c->out_used += (size_t)head;
    put(c, json, n);
}

static void put_completion(struct conn *c)
{
    static const char json[] =
        "{\"id\":\"chatcmpl-rig\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"rig\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The gate lets through what the channel can "
        "carry, and holds back the rest until there is room. Nothing is lost, nothing is hurried, and whoever waited "
        "longest goes first. So the wheel below turns evenly, whatever the river does above it.\"},\"logprobs\":null,"
        "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":182,\"completion_tokens\":48,\"total_tokens\":230},"
        "\"system_fingerprint\":\"rig-1\"}";
    tell("first_byte", now_us());
    put_json(c, 200, json, sizeof json - 1);
}

static void put_chunk(struct conn *c, const char *text, size_t n)
{
    c->out_used += (size_t)snprintf(c->out + c->out_used, sizeof c->out - c->out_used, "%zx\r\n", n);
    put(c, text, n);
    put(c, "\r\n", 2);
}

static void put_event(struct conn *c)
{
    char event[EVENT_BYTES];
    int n = snprintf(event, sizeof event,
                     "data: {\"id\":\"chatcmpl-rig\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                     "\"model\":\"rig\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@%016llu\"},\"logprobs\":null,"
                     "\"finish_reason\":null}]}\n\n",
                     (unsigned long long)now_us());
    put_chunk(c, event, (size_t)n);
}

static void put_stream_end(struct conn *c)
{
    static const char usage[] =
        "data: {\"id\":\"chatcmpl-rig\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"rig\","
        "\"choices\":[],\"usage\":{\"prompt_tokens\":182,\"completion_tokens\":100,\"total_tokens\":282}}\n\n";
    static const char done[] = "data: [DONE]\n\n";
    put_chunk(c, usage, sizeof usage - 1);
    put_chunk(c, done, sizeof done - 1);
    put(c, "0\r\n\r\n", 5);
}

static uint64_t number_after(const char *text, int colons)
{
    for (; colons; colons--, text++)
        if ((text = strchr(text, ':')) == NULL)
            return 0;
    return strtoull(text, NULL, 10);
}

static void begin_stream(struct conn *c, const char *asked)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
                               "transfer-encoding: chunked\r\n\r\n";
    c->doing = STREAMING;
    c->left = number_after(asked, 1);
    c->pace_us = number_after(asked, 2) * 1000;
    tell("first_byte", now_us());
    put(c, head, sizeof head - 1);
    due(c, now_us());
}

static void begin_bulk(struct conn *c, const char *asked)
{
    c->doing = SENDING;
    c->left = number_after(asked, 1) * 1000000;
    c->out_used = (size_t)snprintf(c->out, sizeof c->out,
                                   "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"
                                   "content-length: %llu\r\n\r\n", (unsigned long long)c->left);
}

static void begin_chat(struct conn *c)
{
    const char *asked = memmem(c->asked, c->asked_used, "\"rig\":", 6);
    asked = asked ? asked + 6 + strspn(asked + 6, " \"") : "json";
    if (strncmp(asked, "delay:", 6) == 0) {
        c->doing = DELAYED;
        due(c, now_us() + number_after(asked, 1) * 1000);
    } else if (strncmp(asked, "sse:", 4) == 0) {
        begin_stream(c, asked);
    } else if (strncmp(asked, "bulk:", 5) == 0) {
        begin_bulk(c, asked);
    } else if (strncmp(asked, "hold", 4) == 0) {
        c->doing = HOLDING;
    } else {
        put_completion(c);
    }
}

static void put_stats(struct conn *c)
{
    char json[160];
    int n = snprintf(json, sizeof json, "{\"requests\":%llu,\"busy_max\":%llu,\"left_early\":%llu}",
                     (unsigned long long)stats.requests, (unsigned long long)stats.busy_max,
                     (unsigned long long)stats.left_early);
    stats.requests = stats.busy_max = stats.left_early = 0;
    put_json(c, 200, json, (size_t)n);
}

void begin_reply(struct conn *c)
{
    c->asked[c->asked_used] = 0;
    c->doing = SENDING;
    c->left = 0;
    stats.busy++;
    if (c->path == STATS) {
        put_stats(c);
    } else if (c->path == HEALTH) {
        int is_loading = is_late_health && now_us() < ready_us;
        put_json(c, is_loading ? 503 : 200, is_loading ? "{}" : "{\"status\":\"ok\"}", is_loading ? 2 : 15);
    } else {
        stats.requests++;
        if (stats.busy > stats.busy_max)
            stats.busy_max = stats.busy;
        begin_chat(c);
    }
}

static int send_event(struct conn *c)
{
    if (c->left == 0)
        return 1;
    put_event(c);
    if (--c->left == 0) {
        put_stream_end(c);
        return flush(c);
    }
    int sent = flush(c);
    if (sent >= 0)
        due(c, c->pace_us ? c->due_us + c->pace_us : now_us());
    return sent < 0 ? -1 : 0;
}

static int send_blocks(struct conn *c)
{
    static char block[BLOCK_BYTES];
    while (c->left) {
        size_t want = c->left < BLOCK_BYTES ? (size_t)c->left : BLOCK_BYTES;
        ssize_t n = send(c->fd, block, want, MSG_NOSIGNAL);
        if (n < 0) {
            want_write(c, 1);
            return errno == EAGAIN ? 0 : -1;
        }
        c->left -= (uint64_t)n;
    }
    want_write(c, 0);
    return 1;
}

int go_on(struct conn *c)
{
    int sent = flush(c);
    if (sent <= 0 || c->doing == HOLDING)
        return sent < 0 ? -1 : 0;
    if (c->doing == STREAMING)
        return send_event(c);
    if (c->doing == SENDING)
        return send_blocks(c);
    put_completion(c); /* its delay is over */
    c->doing = SENDING;
    return flush(c);
}
