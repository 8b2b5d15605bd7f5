/* cc: -std=gnu99 */
/* cc: -std=c17 */
/* cc: -x c++ -std=c++11 */
/* cc: -x c++ -std=c++20 */
/* Both ways to call ws_attach_client and ws_detach, and the functions behind the names. */

#include "test.h"

#include <libdill.h>

#include "wire.h"

static struct wire w;

/* Attaches a client in the order of the manual page's example; the peer never answers. */
static void expect_request(const char *text) {
    char request[512];
    ssize_t n = recv(w.fd, request, sizeof(request) - 1, MSG_DONTWAIT);
    CHECK(n > 0);
    request[n] = 0;
    CHECK_INT(strncmp(request, text, strlen(text)), 0);
}

static int make_stream(void) {
    int s;
    make_ipc_and_raw(&s, &w.fd);
    w.role = CLIENT;
    return s;
}

TEST(ws_attach_client_in_the_order_of_the_synopsis) {
    int s = make_stream();
    CHECK_ERR(ws_attach_client(s, WS_TEXT, "/synopsis", "h", now() + 10), -1, ETIMEDOUT);
    expect_request("GET /synopsis HTTP/1.1\r\n");
}

TEST(ws_attach_client_in_the_order_of_the_example) {
    int s = make_stream();
    CHECK_ERR(ws_attach_client(s, "/example", "h", WS_TEXT, now() + 10), -1, ETIMEDOUT);
    expect_request("GET /example HTTP/1.1\r\n");
}

TEST(ws_attach_client_in_the_order_of_the_example_with_variables) {
    const char *constant = "/constant";
    char array[] = "/array", *pointer = array;
    int flags = WS_TEXT, s = make_stream();
    CHECK_ERR(ws_attach_client(s, constant, constant, flags, now() + 10), -1, ETIMEDOUT);
    expect_request("GET /constant HTTP/1.1\r\n");
    s = make_stream();
    CHECK_ERR(ws_attach_client(s, array, "h", flags, now() + 10), -1, ETIMEDOUT);
    expect_request("GET /array HTTP/1.1\r\n");
    s = make_stream();
    CHECK_ERR(ws_attach_client(s, pointer, pointer, flags, now() + 10), -1, ETIMEDOUT);
    expect_request("GET /array HTTP/1.1\r\n");
}

TEST(the_flags_of_the_example_reach_the_function) {
    int ws = ws_attach_client(make_stream(), "/", "", WS_BINARY | WS_NOHTTP, -1);
    CHECK(ws >= 0);
    CHECK_INT(msend(ws, "A", 1, -1), 0);
    w.ws = ws;
    wire_expect_text(&w, FIN | BINARY, "A");
}

static int evaluations;
static int number(int n) {
    ++evaluations;
    return n;
}
static const char *text(const char *t) {
    ++evaluations;
    return t;
}

TEST(arguments_are_evaluated_once) {
    int ws = ws_attach_client(number(make_stream()), number(WS_TEXT | WS_NOHTTP), text("/"), text("h"), number(-1));
    CHECK(ws >= 0);
    CHECK_INT(evaluations, 5);
    CHECK_ERR(ws_detach(number(ws), number(1)), -1, ETIMEDOUT);
    CHECK_INT(evaluations, 7);
    ws = ws_attach_client(number(make_stream()), text("/"), text("h"), number(WS_TEXT | WS_NOHTTP), number(-1));
    CHECK(ws >= 0);
    CHECK_INT(evaluations, 12);
}

static void open_wire(void) {
    w.ws = attach_without_http(make_stream(), CLIENT, WS_TEXT);
}

TEST(ws_detach_with_all_arguments) {
    open_wire();
    wire_send_close(&w, 1000, "");
    CHECK(ws_detach(w.ws, 1001, "bye", 3, now() + 5000) >= 0);
    wire_expect(&w, FIN | CLOSE, "\x03\xe9" "bye", 5);
}

TEST(ws_detach_with_a_deadline_only_sends_a_close_frame_without_code) {
    open_wire();
    wire_send_close(&w, 1000, "");
    CHECK(ws_detach(w.ws, now() + 5000) >= 0);
    wire_expect_text(&w, FIN | CLOSE, "");
}

TEST(ws_detach_with_a_deadline_only_keeps_to_it) {
    int64_t deadline = now() + 20;
    open_wire();
    CHECK_ERR(ws_detach(w.ws, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
}

TEST(the_addresses_of_both_functions_can_be_taken) {
    int (*attach)(int, int, const char *, const char *, int64_t) = &ws_attach_client;
    int (*detach)(int, int, const void *, size_t, int64_t) = ws_detach;
    int ws = attach(make_stream(), WS_TEXT | WS_NOHTTP, NULL, NULL, -1);
    CHECK(ws >= 0);
    w.ws = ws;
    wire_send_close(&w, 1000, "");
    CHECK(detach(ws, 1000, NULL, 0, now() + 5000) >= 0);
    CHECK(attach == &dill_ws_attach_client);
    CHECK(detach == &dill_ws_detach);
}

TEST(names_in_parentheses_are_the_functions) {
    int ws = (ws_attach_client)(make_stream(), WS_TEXT | WS_NOHTTP, NULL, NULL, -1);
    CHECK(ws >= 0);
    w.ws = ws;
    wire_send_close(&w, 1000, "");
    CHECK((ws_detach)(ws, 1000, NULL, 0, now() + 5000) >= 0);
}
