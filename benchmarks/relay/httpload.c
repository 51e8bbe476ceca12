/* Range requests over kept connections: each connection asks for a piece at a random place as
 * soon as it has the one before. One JSON object on standard output is the result.
 *
 * httpload PORT PATH TOKEN RANGE_OCTETS FILE_OCTETS CONNECTIONS WARMUP SECONDS PIDS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "measure.h"

enum { MSS = 1448, HEAD = 4096 };
struct connection { int descriptor, head_size; long left; char head[HEAD]; uint64_t asked; };
static const char *path, *token;
static int port;
static long piece, whole;
static uint64_t requests, octets;
static struct histogram delays;
static char received[1 << 18];

static void ask(struct connection *it) {
    char text[1024];
    long from = whole > piece ? random() % (whole / piece) * piece : 0;
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "Authorization: Bearer %s\r\nRange: bytes=%ld-%ld\r\n\r\n",
                        path, port, token, from, from + piece - 1);
    it->left = -1, it->head_size = 0, it->asked = now();
    if (send(it->descriptor, text, size, MSG_NOSIGNAL) != size) fail("send");
}

static void read_head(struct connection *it) {
    ssize_t size = recv(it->descriptor, it->head + it->head_size, HEAD - 1 - it->head_size, 0);
    if (size <= 0) fail("recv");
    it->head[it->head_size += size] = 0;
    char *end = strstr(it->head, "\r\n\r\n"), *length = strcasestr(it->head, "content-length:");
    if (!end) return;
    if (strncmp(it->head + 9, "20", 2) || !length) {
        fprintf(stderr, "%s\n", it->head);
        exit(3);
    }
    it->left = atol(length + 15) - (it->head_size - (end + 4 - it->head));
    octets += it->head_size;
}

static void serve(struct connection *it) {
    if (it->left < 0) read_head(it);
    else {
        size_t most = it->left < (long)sizeof received ? it->left : (long)sizeof received;
        ssize_t size = recv(it->descriptor, received, most, 0);
        if (size <= 0) fail("recv");
        it->left -= size, octets += size;
    }
    if (it->left) return;
    requests++;
    note(&delays, now() - it->asked);
    ask(it);
}

static void run(int poller, double seconds) {
    struct epoll_event events[64];
    for (uint64_t end = now() + (uint64_t)(seconds * 1e9); now() < end;) {
        int found = epoll_wait(poller, events, 64, 100);
        for (int one = 0; one < found; one++) serve(events[one].data.ptr);
    }
}

int main(int argc, char **argv) {
    if (argc != 10) return 2;
    port = atoi(argv[1]), path = argv[2], token = argv[3];
    piece = atol(argv[4]), whole = atol(argv[5]);
    int count = atoi(argv[6]), poller = epoll_create1(0), mss = MSS;
    struct connection *connections = calloc(count, sizeof *connections);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int one = 0; one < count; one++) {
        struct connection *it = &connections[one];
        it->descriptor = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(it->descriptor, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
        if (connect(it->descriptor, (void *)&to, sizeof to)) fail("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
        epoll_ctl(poller, EPOLL_CTL_ADD, it->descriptor, &event);
        ask(it);
    }
    run(poller, atof(argv[7]));
    requests = octets = 0;
    struct usage before = usage_of(argv[9]);
    uint64_t begun = now();
    run(poller, atof(argv[8]));
    struct usage after = usage_of(argv[9]);
    printf("{\"seconds\": %.3f, \"requests\": %lu, \"octets\": %lu, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"processor_seconds\": %.3f, \"resident_octets\": %lu}\n",
           (now() - begun) / 1e9, requests, octets, share(&delays, 0.5) / 1e6,
           share(&delays, 0.99) / 1e6, after.seconds - before.seconds, after.resident);
    return 0;
}
