/* The limit: a WebSocket relay that does nothing more than a relay must. PORT is its argument.
 *
 * It answers every handshake alike, takes whole binary frames alone, and neither checks nor pings
 * anybody. /pub/N publishes N, /sub/A,B,C gets these. What does not go into a socket at once waits
 * as a reference to the one frame; at most MOST_WAITING do for each viewer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STREAMS = 4096, MOST_WAITING = 1024, ROOM = 131072 };
struct frame { int references; size_t size; uint8_t octets[]; };
struct peer {
    int descriptor, is_open, is_publisher, stream;
    uint8_t *in;
    size_t size, room, sent; /* of `in`; of the first frame that waits */
    struct frame *waiting[MOST_WAITING];
    unsigned first, next;
};
static struct peer **viewers[STREAMS];
static int counts[STREAMS], poller;

static void let_go(struct frame *frame) { if (!--frame->references) free(frame); }

static void watch(struct peer *it, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = it};
    epoll_ctl(poller, how, it->descriptor, &event);
}

static void flush(struct peer *it) {
    while (it->first != it->next) {
        struct frame *frame = it->waiting[it->first % MOST_WAITING];
        ssize_t sent = send(it->descriptor, frame->octets + it->sent, frame->size - it->sent,
                            MSG_NOSIGNAL);
        if (sent < 0) return;
        it->sent += sent;
        if (it->sent < frame->size) continue;
        it->sent = 0, it->first++;
        let_go(frame);
    }
    watch(it, EPOLL_CTL_MOD, EPOLLIN);
}

static void give(struct peer *it, struct frame *frame) {
    if (it->next - it->first >= MOST_WAITING) return;
    if (it->next == it->first) {
        ssize_t sent = send(it->descriptor, frame->octets, frame->size, MSG_NOSIGNAL);
        if (sent == (ssize_t)frame->size) return;
        it->sent = sent < 0 ? 0 : sent;
        watch(it, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    frame->references++;
    it->waiting[it->next++ % MOST_WAITING] = frame;
}

static void forget(struct peer *it) {
    for (int stream = 0; stream < STREAMS; stream++)
        for (int one = 0; one < counts[stream]; one++)
            if (viewers[stream][one] == it)
                viewers[stream][one--] = viewers[stream][--counts[stream]];
    for (; it->first != it->next; it->first++) let_go(it->waiting[it->first % MOST_WAITING]);
    close(it->descriptor);
    free(it->in);
    free(it);
}

static int open_peer(struct peer *it) {
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    it->in[it->size] = 0;
    char *end = strstr((char *)it->in, "\r\n\r\n"), *path = (char *)it->in + 4;
    if (!end) return 0;
    it->is_publisher = !strncmp(path, "/pub/", 5);
    path += 5;
    if (it->is_publisher) it->stream = atoi(path) % STREAMS;
    else do {
        int stream = strtol(path, &path, 10) % STREAMS;
        viewers[stream] = realloc(viewers[stream], sizeof(void *) * (counts[stream] + 1));
        viewers[stream][counts[stream]++] = it;
    } while (*path++ == ',');
    it->is_open = 1;
    size_t used = end + 4 - (char *)it->in;
    memmove(it->in, it->in + used, it->size -= used);
    return send(it->descriptor, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0;
}

/* The frame that a server sends for a masked payload. */
static struct frame *frame_of(const uint8_t *masked, const uint8_t *key, size_t size) {
    struct frame *frame = malloc(sizeof *frame + size + 10);
    uint8_t *to = frame->octets;
    int more = size < 126 ? 0 : size < 65536 ? 2 : 8;
    *to++ = 0x82;
    *to++ = size < 126 ? size : size < 65536 ? 126 : 127;
    for (int one = more - 1; one >= 0; one--) *to++ = (uint64_t)size >> 8 * one;
    uint64_t mask, eight;
    memcpy(&mask, key, 4);
    memcpy((uint8_t *)&mask + 4, key, 4);
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        memcpy(&eight, masked + at, 8);
        eight ^= mask;
        memcpy(to + at, &eight, 8);
    }
    for (; at < size; at++) to[at] = masked[at] ^ key[at & 3];
    frame->references = 1;
    frame->size = 2 + more + size;
    return frame;
}

static void cut(struct peer *it) {
    size_t at = 0;
    for (;;) {
        uint8_t *head = it->in + at;
        size_t have = it->size - at, length = have > 1 ? head[1] & 127 : 0, begin = 2;
        if (have < 14) break;
        if (length > 125) {
            int more = length == 126 ? 2 : 8;
            length = 0;
            for (int one = 0; one < more; one++) length = length << 8 | head[2 + one];
            begin += more;
        }
        if (have < begin + 4 + length) {
            if (begin + length + ROOM > it->room) {
                it->room = begin + length + 2 * ROOM;
                it->in = realloc(it->in, it->room + 1);
            }
            break;
        }
        if ((head[0] & 15) == 2) {
            struct frame *frame = frame_of(head + begin + 4, head + begin, length);
            for (int one = 0; one < counts[it->stream]; one++)
                give(viewers[it->stream][one], frame);
            let_go(frame);
        }
        at += begin + 4 + length;
    }
    memmove(it->in, it->in + at, it->size -= at);
}

static void read_from(struct peer *it) {
    ssize_t size = recv(it->descriptor, it->in + it->size, it->room - it->size, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) { forget(it); return; }
    it->size += size;
    if (!it->is_open && !open_peer(it)) return;
    if (it->is_publisher) cut(it);
    else it->size = 0;
}

static void welcome(int port) {
    int descriptor, one = 1;
    while ((descriptor = accept4(port, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *it = calloc(1, sizeof *it);
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        it->descriptor = descriptor;
        it->in = malloc((it->room = ROOM) + 1);
        watch(it, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv) {
    struct epoll_event events[512], event = {.events = EPOLLIN};
    struct sockaddr_in here = {.sin_family = AF_INET};
    struct rlimit limit;
    int port = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    setsockopt(port, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    here.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    if (bind(port, (void *)&here, sizeof here) || listen(port, 1024)) { perror("bind"); return 1; }
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, port, &event);
    for (;;) {
        int found = epoll_wait(poller, events, 512, -1);
        for (int at = 0; at < found; at++) {
            struct peer *it = events[at].data.ptr;
            if (!it) { welcome(port); continue; }
            if (events[at].events & EPOLLOUT) flush(it);
            if (events[at].events & ~EPOLLOUT) read_from(it);
        }
    }
}
