/* A server of lines: a table of names and values that all clients share.

   usage: line_server PORT

   Try it with `telnet 127.0.0.1 PORT`. Lines end in CR LF. There are

       set NAME VALUE    get NAME    count    quit

   Every client has a coroutine of its own, which reads like a conversation. There are no locks: other
   coroutines run only while a call waits, and none does between looking at the table and changing it. */

#include "common.h"

#include <string.h>

/* How long a client may say nothing, and how long it may leave an answer unread, in milliseconds. */
#define IDLE_TIME 300000
#define SEND_TIME 10000

/* The longest line, CR LF not counted. */
#define LINE 256

struct entry {
    struct entry *next;
    char *name, *value;
};

static struct entry *table;

static struct entry *find(const char *name) {
    struct entry *entry = table;
    while (entry && strcmp(entry->name, name) != 0)
        entry = entry->next;
    return entry;
}

static const char *set(const char *name, const char *value) {
    char *copy = strdup(value);
    struct entry *entry = find(name);
    if (copy && entry) {
        free(entry->value);
        entry->value = copy;
        return "ok";
    }
    entry = copy ? malloc(sizeof *entry) : NULL;
    char *key = entry ? strdup(name) : NULL;
    if (!key) {
        free(entry);
        free(copy);
        return "error: out of memory";
    }
    *entry = (struct entry){table, key, copy};
    table = entry;
    return "ok";
}

static void forget_all(void) {
    while (table) {
        struct entry *entry = table;
        table = entry->next;
        free(entry->name);
        free(entry->value);
        free(entry);
    }
}

/* Carries out a line and writes the answer; returns whether the conversation goes on. */
static int obey(char *line, char *answer, size_t size) {
    char *rest;
    const char *command = strtok_r(line, " ", &rest);
    const char *name = strtok_r(NULL, " ", &rest);
    int count = 0;
    if (!command) {
        snprintf(answer, size, "error: nothing was said");
    } else if (strcmp(command, "quit") == 0) {
        snprintf(answer, size, "bye");
        return 0;
    } else if (strcmp(command, "count") == 0) {
        for (struct entry *entry = table; entry; entry = entry->next)
            count++;
        snprintf(answer, size, "%d", count);
    } else if (strcmp(command, "set") == 0 && name) {
        snprintf(answer, size, "%s", set(name, rest));
    } else if (strcmp(command, "get") == 0 && name) {
        const struct entry *entry = find(name);
        snprintf(answer, size, "%s", entry ? entry->value : "error: no such name");
    } else {
        snprintf(answer, size, "error: unknown command");
    }
    return 1;
}

static int say(int lines, const char *text) {
    return msend(lines, text, strlen(text), now() + SEND_TIME);
}

/* The conversation; returns 0 if it came to an agreed end. */
static int converse(int lines) {
    char line[LINE + 1], answer[LINE + 1];
    if (say(lines, "hello") < 0)
        return -1;
    while (1) {
        ssize_t len = mrecv(lines, line, LINE, now() + IDLE_TIME);
        if (len < 0) {
            /* What has been received is lost, but sending goes on: the client may know why. */
            if (errno == EMSGSIZE)
                say(lines, "error: the line is too long");
            else if (errno == ETIMEDOUT)
                say(lines, "error: good night");
            return -1;
        }
        line[len] = 0;
        int more = obey(line, answer, sizeof answer);
        if (say(lines, answer) < 0)
            return -1;
        if (!more)
            return 0;
    }
}

static coroutine void serve(int tcp, void *context) {
    (void)context;
    int lines = suffix_attach(tcp, "\r\n", 2);
    if (lines < 0) {
        perror("suffix"); /* The TCP connection is closed already. */
        return;
    }
    if (converse(lines) < 0) {
        hclose(lines); /* And the TCP connection with it. */
        return;
    }
    tcp = suffix_detach(lines, -1);
    if (tcp >= 0)
        tcp_close(tcp, now() + SEND_TIME);
}

int main(int argc, char *argv[]) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    serve_clients(listen_on(argv[1]), serve, NULL);
    forget_all();
    return 0;
}
