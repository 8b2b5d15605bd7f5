#define _GNU_SOURCE
#include "load.h"
#include "wire.h"
#include "../common/net.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: load echo|connect|idle|sink|broadcast|deflate|keepalive --port PORT [options]\n"
    "  echo     messages go out and must come back\n"
    "  connect  connections are made, upgraded and closed\n"
    "  idle     connections are made, used once and held until standard input ends\n"
    "  sink     a server for one client that only sends\n"
    "  deflate  compressed messages go out and must come back\n"
    "  broadcast  what the first connection says must come to all\n"
    "  keepalive  connections say nothing and answer pings\n"
    "options:\n"
    "  --conns N        connections (64)\n"
    "  --outstanding N  messages on the way on each (1)\n"
    "  --size BYTES     payload (125)\n"
    "  --text           UTF-8 text instead of binary\n"
    "  --raw            no WebSocket handshake; bytes come back as they went\n"
    "  --warmup SEC     before the measurement (0.2)\n"
    "  --seconds SEC    of the measurement, or for idle at most (1)\n"
    "  --messages N     stop after so many at the latest (100 million)\n"
    "  --pid PID        account for this process (several together: give it again)\n"
    "  --syscalls       count its system calls too\n"
    "  --tls            over TLS 1.3\n"
    "  --resume         and sessions are resumed\n"
    "  --records        and each message is a record of its own\n"
    "  --deflate        with permessage-deflate, where that is asked of a broadcast\n"
    "  --slow N         so many connections of a broadcast read nothing for a while\n"
    "  --spin           do not sleep while there is nothing to do\n";

static double decimal(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if(*text == 0 || *end != 0 || !(value >= 0 && value <= 600)) {
        fprintf(stderr, "'%s' is not a number of seconds from 0 to 600\n", text);
        exit(2);
    }
    return value;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"conns", required_argument, NULL, 'c'},
        {"outstanding", required_argument, NULL, 'o'},
        {"size", required_argument, NULL, 's'},
        {"text", no_argument, NULL, 't'},
        {"raw", no_argument, NULL, 'r'},
        {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 'd'},
        {"messages", required_argument, NULL, 'm'},
        {"pid", required_argument, NULL, 'P'},
        {"syscalls", no_argument, NULL, 'S'},
        {"tls", no_argument, NULL, 'T'},
        {"resume", no_argument, NULL, 'R'},
        {"records", no_argument, NULL, 'e'},
        {"deflate", no_argument, NULL, 'D'},
        {"slow", required_argument, NULL, 'l'},
        {"spin", no_argument, NULL, 'z'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {
        .conns = 64, .outstanding = 1, .size = 125, .warmup = 0.2, .seconds = 1,
        .messages = 100000000,
    };
    int pids = 0;
    for(int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch(c) {
        case 'p': o.port = (int)number(optarg, 1, 65535); break;
        case 'c': o.conns = number(optarg, 1, 100000); break;
        case 'o': o.outstanding = number(optarg, 1, 100000); break;
        case 's': o.size = (size_t)number(optarg, 1, 1 << 26); break;
        case 't': o.text = true; break;
        case 'r': o.raw = true; break;
        case 'w': o.warmup = decimal(optarg); break;
        case 'd': o.seconds = decimal(optarg); break;
        case 'm': o.messages = number(optarg, 1, 1000000000); break;
        case 'P':
            if(pids == PROCESSES) die("too many processes");
            o.pids[pids++] = (pid_t)number(optarg, 1, 1 << 30);
            break;
        case 'S': o.syscalls = true; break;
        case 'T': o.tls = true; break;
        case 'R': o.resume = true; break;
        case 'e': o.records = true; break;
        case 'D': o.deflate = true; break;
        case 'l': o.slow = number(optarg, 0, 100000); break;
        case 'z': o.spin = true; break;
        default: fputs(usage, stderr); exit(2);
        }
    }
    if(o.port == 0 || optind != argc) {
        fputs(usage, stderr);
        exit(2);
    }
    return o;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(const struct options *); } modes[] = {
        {"echo", run_echo}, {"connect", run_connect}, {"idle", run_idle}, {"sink", run_sink},
        {"broadcast", run_broadcast}, {"deflate", run_deflate}, {"keepalive", run_keepalive},
    };
    for(size_t i = 0; argc > 1 && i < sizeof modes / sizeof modes[0]; i++) {
        if(strcmp(argv[1], modes[i].name) != 0) continue;
        struct options o = parse(argc - 1, argv + 1);
        poll_open(&o);
        wire_open(&o);
        account_open(&o);
        modes[i].run(&o);
        return 0;
    }
    fputs(usage, stderr);
    return 2;
}
