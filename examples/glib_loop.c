/* pkg-config: glib-2.0 */
/* A program with GLib's event loop: WebSocket messages are echoed in it, and a callback of GLib's sends the time.

   usage: glib_loop PORT [INTERVAL]

   INTERVAL  between two messages with the time, in milliseconds; 50 if not given, and with 0 there are none.

   This is all that a program with GTK needs, too. */

#include "common.h"

#include <glib-unix.h>
#include <glib.h>
#include <libdillext.h>
#include <string.h>

/* ---- The library as a source of events ---- */

struct library {
    GSource source;
    int fd;
    gpointer tag;
};

/* Before the loop polls: what it is to wait for. */
static gboolean prepare(GSource *source, gint *timeout) {
    struct library *library = (struct library *)source;
    int64_t next;
    int fd = dill_loop(&next);
    if (fd != library->fd) {
        if (library->tag)
            g_source_remove_unix_fd(source, library->tag);
        library->tag = g_source_add_unix_fd(source, fd, G_IO_IN);
        library->fd = fd;
    }
    /* The clock of now() is that of g_get_monotonic_time(), in milliseconds. */
    int64_t wait = next < 0 ? -1 : next > now() ? next - now() : 0;
    *timeout = wait > 1000 ? 1000 : (int)wait;
    return wait == 0;
}

/* After the loop has polled: running the library when there is nothing to do costs one system call. */
static gboolean check(GSource *source) {
    struct library *library = (struct library *)source;
    int64_t next;
    if (g_source_query_unix_fd(source, library->tag))
        return TRUE;
    dill_loop(&next);
    return next >= 0 && next <= now();
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data) {
    (void)source, (void)callback, (void)data;
    dill_run();
    return G_SOURCE_CONTINUE;
}

static void add_library(void) {
    static GSourceFuncs functions = {.prepare = prepare, .check = check, .dispatch = dispatch};
    GSource *source = g_source_new(&functions, sizeof(struct library));
    ((struct library *)source)->fd = -1;
    g_source_set_name(source, "libdill");
    /* Otherwise GLib takes its descriptor out of the poll around each dispatch, and wakes itself up for that. */
    g_source_set_can_recurse(source, TRUE);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

/* ---- The program ---- */

/* The newest client; -1 if it has left. */
static int newest = -1;

static coroutine void serve(int tcp, void *context) {
    char text[4096];
    int flags;
    (void)context;
    int ws = ws_attach_server_opts(tcp, NULL, now() + 10000);
    if (ws < 0)
        return;
    newest = ws;
    ssize_t len;
    while ((len = ws_recv(ws, &flags, text, sizeof text, -1)) >= 0)
        if (ws_send(ws, flags, text, (size_t)len, now() + 10000) < 0)
            break;
    if (newest == ws)
        newest = -1;
    ws_close(ws, 1000, NULL, 0, now() + 10000);
}

/* A callback does not wait: what the client does not take at once it does not get. */
static gboolean tick(gpointer data) {
    (void)data;
    if (newest >= 0)
        ws_send(newest, WS_TEXT, "tick", 4, 0);
    return G_SOURCE_CONTINUE;
}

static gboolean stop(gpointer loop) {
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

int main(int argc, char *argv[]) {
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s PORT [INTERVAL]\n", argv[0]);
        return 2;
    }
    int interval = argc == 3 ? atoi(argv[2]) : 50;
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    int listener = listen_on(argv[1]), all = bundle();
    if (all < 0 || bundle_go(all, accept_clients(listener, all, serve, NULL)) < 0)
        fail("start");
    add_library();
    g_unix_signal_add(SIGINT, stop, loop);
    g_unix_signal_add(SIGTERM, stop, loop);
    if (interval > 0)
        g_timeout_add((guint)interval, tick, NULL);
    g_main_loop_run(loop);
    hclose(all);
    hclose(listener);
    g_main_loop_unref(loop);
    puts("stopped");
    return 0;
}
