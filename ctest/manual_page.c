/* The example of the manual page runs as it stands, as C and as C++, whoever compiled it. The runner has
   built it; here it talks to a server of ours. */

#include <libdill.h>

#include "pair.h"
#include "test.h"
#include "wire.h"

static char path[512], resource[16], host[64];

/* The program that a compiler made of the example; skips the case if there is no such compiler. */
static const char *find_example(const char *compiler, const char *language) {
    const char *directory = getenv("CTEST_BIN");
    int len = snprintf(path, sizeof(path), "%s/manual_example.%s.%s", directory ? directory : ".", compiler, language);
    if (access(path, X_OK) == 0) return path;
    strcpy(path + len, ".log");
    FILE *log = fopen(path, "r");
    if (!log) SKIP("this compiler is not installed");
    for (int c; (c = fgetc(log)) != EOF;) fputc(c, stderr);
    test_fail(__FILE__, __LINE__, "the example does not compile");
}

/* Serves one connection of a client that is doing everything right. */
coroutine static void serve(int listener, volatile int *done) {
    int s = tcp_accept(listener, NULL, now() + 10000), ws, flags;
    char buf[16];
    CHECK(s >= 0);
    ws = ws_attach_server(s, WS_TEXT, resource, sizeof(resource), host, sizeof(host), now() + 10000);
    CHECK(ws >= 0);
    CHECK_INT(ws_recv(ws, &flags, buf, sizeof(buf), now() + 10000), 3);
    CHECK_INT(flags, WS_TEXT);
    CHECK_INT(ws_send(ws, flags, buf, 3, now() + 10000), 0);
    CHECK_ERR(ws_recv(ws, NULL, buf, sizeof(buf), now() + 10000), -1, EPIPE);
    s = ws_detach(ws, 0, NULL, 0, now() + 10000);
    CHECK(s >= 0);
    CHECK_INT(tcp_close(s, now() + 10000), 0);
    *done = 1;
}

static void run_example(const char *compiler, const char *language) {
    const char *program = find_example(compiler, language);
    struct ipaddr addr;
    volatile int done = 0;
    int listener = listen_somewhere(&addr), out[2], h, status = -1;
    char port[16], output[16] = {0};
    pid_t child;
    snprintf(port, sizeof(port), "%d", ipaddr_port(&addr));
    CHECK_INT(pipe(out), 0);
    h = go(serve(listener, &done));
    child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        execl(program, program, "127.0.0.1", port, (char *)NULL);
        _exit(126);
    }
    CHECK_INT(close(out[1]), 0);
    CHECK_INT(bundle_wait(h, now() + 10000), 0);
    CHECK_INT(done, 1);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(read(out[0], output, sizeof(output) - 1), 4);
    CHECK_STR(output, "ABC\n");
    CHECK_STR(resource, "/");
    CHECK_STR(host, "");
}

TEST(the_example_compiled_as_C_talks_to_an_echo_server) { run_example("cc", "c"); }

TEST(the_example_compiled_as_CXX_talks_to_an_echo_server) { run_example("cc", "c++"); }

TEST(the_example_compiled_as_C_by_gcc_talks_to_an_echo_server) { run_example("gcc", "c"); }

TEST(the_example_compiled_as_CXX_by_gcc_talks_to_an_echo_server) { run_example("gcc", "c++"); }

TEST(the_example_compiled_as_C_by_clang_talks_to_an_echo_server) { run_example("clang", "c"); }

TEST(the_example_compiled_as_CXX_by_clang_talks_to_an_echo_server) { run_example("clang", "c++"); }
