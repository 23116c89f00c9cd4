/* A model server that costs almost nothing: one thread, epoll, HTTP/1.1 with keep-alive.
 *
 * What it answers is asked for in the request's body, within its first 2 KiB, by the member "rig":
 *   json            one chat completion at once (also without any "rig")
 *   delay:MS        the same after MS milliseconds
 *   sse:COUNT:MS    a stream of COUNT events, one every MS; 0 = as fast as they go, one a turn of the loop
 *   bulk:MB         MB megabytes of content
 *   hold            nothing, for ever
 * Each event carries the time it was sent, "@" and 16 digits of CLOCK_MONOTONIC in microseconds.
 * GET /health answers 200, or 503 while loading; GET /rig/stats tells the counts since it was last asked.
 * --times FILE appends a line "NAME PID EVENT MICROSECONDS" for start, ready and each reply's first and last byte.
 */
#include "upstream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int epoll_fd, times_fd = -1, is_late_health;
const char *engine_name = "upstream";
uint64_t ready_us;
struct stats stats;

void tell(const char *event, uint64_t t_us)
{
    char line[128];
    if (times_fd < 0)
        return;
    int n = snprintf(line, sizeof line, "%s %d %s %llu\n", engine_name, getpid(), event, (unsigned long long)t_us);
    if (write(times_fd, line, (size_t)n) < 0)
        die("times");
}

static void drop(struct conn *c)
{
    if (c->doing != READING) {
        stats.busy--;
        stats.left_early++;
    }
    not_due(c);
    close(c->fd);
    free(c);
}

static void finished(struct conn *c)
{
    c->doing = READING;
    c->in_body = 0;
    stats.busy--;
    if (c->path == CHAT)
        tell("last_byte", now_us());
}

/* ---- reading */

static void begin_body(struct conn *c, size_t head)
{
    const char *connection = header(c->in, head, "\r\nconnection:");
    c->closes = connection ? strncasecmp(connection, "close", 5) == 0
                           : memmem(c->in, head, " HTTP/1.0\r\n", 11) != NULL;
    c->path = strncmp(c->in, "GET /health", 11) == 0 ? HEALTH : strncmp(c->in, "GET /rig/stats", 14) == 0 ? STATS : CHAT;
    c->body = body_begin(c->in, head, WHOLE);
    c->in_body = 1;
    c->asked_used = 0;
}

static void keep_asked(struct conn *c, const char *content, size_t length)
{
    if (length > ASKED_BYTES - c->asked_used)
        length = ASKED_BYTES - c->asked_used;
    memcpy(c->asked + c->asked_used, content, length);
    c->asked_used += length;
}

/* Use up what has been read; 1 = a request is complete, 0 = wait for more, -1 = close the connection. */
static int digest(struct conn *c)
{
    size_t at = 0;
    if (!c->in_body) {
        if ((at = head_length(c->in, c->in_used)) == 0)
            return c->in_used == IN_BYTES ? -1 : 0;
        begin_body(c, at);
    }
    while (at < c->in_used && c->body.state != WHOLE) {
        const char *content = c->in;
        size_t length;
        at += body_take(&c->body, c->in + at, c->in_used - at, &content, &length);
        if (c->body.state == BROKEN)
            return -1;
        keep_asked(c, content, length);
    }
    memmove(c->in, c->in + at, c->in_used - at);
    c->in_used -= at;
    if (c->body.state != WHOLE)
        return 0;
    begin_reply(c);
    return 1;
}

/* Go on with this connection as far as it goes without waiting: a reply, the next pipelined request, its reply… */
static void serve(struct conn *c)
{
    for (;;) {
        int state = c->doing == READING ? digest(c) : 1;
        if (state > 0 && c->heap_at)
            return;
        if (state > 0)
            state = go_on(c);
        if (state == 0)
            return;
        if (state > 0)
            finished(c);
        if (state < 0 || c->closes) {
            drop(c);
            return;
        }
    }
}

static void readable(struct conn *c)
{
    /* A client that pipelines more than the buffer holds reads as one that has left: nothing here does. */
    ssize_t n = recv(c->fd, c->in + c->in_used, IN_BYTES - c->in_used, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->in_used += (size_t)n;
    if (c->doing == READING)
        serve(c);
}

static void accept_all(int listen_fd)
{
    int fd, one = 1;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        c->fd = fd;
        struct epoll_event e = {EPOLLIN, {.ptr = c}};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
            die("epoll_ctl");
    }
}

static void serve_due(void)
{
    uint64_t now = now_us();
    struct conn *c;
    for (size_t turns = due_count(); turns && (c = next_due()) != NULL && c->due_us <= now; turns--) {
        not_due(c);
        serve(c);
    }
}

static int wait_ms(void)
{
    struct conn *c = next_due();
    uint64_t now = now_us();
    if (!c)
        return -1;
    return c->due_us <= now ? 0 : (int)((c->due_us - now + 999) / 1000);
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 4096) < 0)
        die("listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void load(int ms)
{
    uint64_t start = now_us();
    ready_us = start + (uint64_t)ms * 1000;
    tell("start", start);
    if (!is_late_health && ms)
        usleep((useconds_t)ms * 1000);
    tell("ready", is_late_health ? ready_us : now_us());
}

static int options(int argc, char **argv, int *load_ms)
{
    static const struct option known[] = {{"port", 1, NULL, 'p'},  {"load-ms", 1, NULL, 'l'}, {"late-health", 0, NULL, 'h'},
                                          {"times", 1, NULL, 't'}, {"name", 1, NULL, 'n'},    {NULL, 0, NULL, 0}};
    int port = 0;
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (o == 'p')
            port = atoi(optarg);
        else if (o == 'l')
            *load_ms = atoi(optarg);
        else if (o == 'h')
            is_late_health = 1;
        else if (o == 'n')
            engine_name = optarg;
        else if (o == 't')
            times_fd = open(optarg, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        else
            exit(2);
    }
    return port;
}

int main(int argc, char **argv)
{
    int load_ms = 0, port = options(argc, argv, &load_ms);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < MAX_CONNECTIONS ? files.rlim_max : MAX_CONNECTIONS;
    setrlimit(RLIMIT_NOFILE, &files);
    load(load_ms);
    int listen_fd = listen_on(port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {EPOLLIN, {.ptr = NULL}}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &e);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 256, wait_ms());
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c)
                accept_all(listen_fd);
            else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                readable(c);
            else
                serve(c);
        }
        serve_due();
    }
}
