/* What closes.c uses that is no socket of a pair: a channel, a descriptor of the program's, a listener. */

#ifndef CLOSES_OTHERS_H
#define CLOSES_OTHERS_H

#include "closes_make.h"

#include <sys/socket.h>

static int channel[2] = {-1, -1}, listener = -1;
static int own[2] = {-1, -1}; /* a socketpair of the program */
static struct ipaddr listening;

static void renew_descriptors(void) {
    for (int i = 0; i != 2; ++i) {
        if (own[i] < 0) continue;
        fdclean(own[i]);
        close(own[i]);
    }
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, own) == 0);
}

static void renew_channel(void) {
    for (int i = 0; i != 2; ++i) {
        let_go(channel[i]);
        if (channel[i] >= 0) MUST(hclose(channel[i]) == 0);
        channel[i] = -1;
    }
    if (result(chmake(channel)) < 0) channel[0] = channel[1] = -1;
    for (int i = 0; i != 2; ++i) hold(channel[i]);
}

static void renew_listener(void) {
    close_held(listener);
    listener = -1;
    listener = listen_somewhere(&listening);
}

static void accept_somebody(void) {
    struct ipaddr addr;
    int s = hold((int)result(tcp_accept(listener, &addr, any_deadline())));
    if (s >= 0 && any(2)) result(bsend(s, "x", 1, any_deadline()));
    close_held(s);
}

static void connect_to_listener(void) {
    struct ipaddr addr = listening;
    char c;
    if (listener < 0) return;
    int s = hold((int)result(any(2) ? tcp_connect(&addr, any_deadline())
                                    : happyeyeballs_connect("127.0.0.1", ipaddr_port(&addr), any_deadline())));
    if (s >= 0 && any(2)) result(brecv(s, &c, 1, any_deadline()));
    close_held(s);
}

static void use_descriptor(void) {
    char buf[64];
    int fd = own[any(2)];
    switch (any(8)) {
    case 0: renew_descriptors(); break;
    case 1: case 2: result(fdin(fd, any_deadline())); break;
    case 3: case 4: result(fdout(fd, any_deadline())); break;
    case 5: (void)!read(fd, buf, sizeof(buf)); break;
    default: (void)!write(fd, buf, sizeof(buf));
    }
}

static void use_channel(void) {
    int value = 0, end = (int)any(2);
    struct chclause clauses[2] = {{CHRECV, channel[0], &value, sizeof(value)}, {CHSEND, channel[0], &value, sizeof(value)}};
    switch (any(12)) {
    case 0: result(chdone(channel[end])); break;
    case 1: renew_channel(); break;
    case 2: case 3: case 4: result(chsend(channel[end], &value, sizeof(value), any_deadline())); break;
    case 5: case 6: case 7: result(chrecv(channel[end], &value, sizeof(value), any_deadline())); break;
    default: result(choose(clauses, 2, any_deadline()));
    }
}

#endif
