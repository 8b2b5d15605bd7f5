/* SOCKS5: the client and the proxy, against each other and against a plain descriptor. */

#include "lower.h"

static int s[2], fd;
static struct ipaddr address;

static void make_address(const char *text, int port) {
    CHECK_INT(ipaddr_remote(&address, text, port, 0, -1), 0);
}

/* The plain peer has been sent exactly these bytes. */
static void expect_sent(const void *bytes, size_t len) {
    char seen[1024];
    raw_recv(fd, seen, len);
    CHECK_MEM(seen, bytes, len);
    CHECK_RAW_SILENT(fd);
}
#define SENT(TEXT) expect_sent(TEXT, sizeof(TEXT) - 1)
#define ANSWER(TEXT) raw_send(fd, TEXT, sizeof(TEXT) - 1)

#define NONE "\5\1\0"
#define NONE_OK "\5\0"
#define CONNECT4 "\5\1\0\1\1\2\3\4\0\120"
#define CONNECTED "\5\0\0\1\177\0\0\1\0\7"

static int connect4(const char *username, const char *password) {
    make_address("1.2.3.4", 80);
    return socks5_client_connect(s[0], username, password, &address, now() + 5000);
}

/* --- The client's bytes --- */

TEST(a_client_asks_for_an_address) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        char rest[4];
        ANSWER(NONE_OK CONNECTED "rest");
        CHECK_INT(connect4(NULL, NULL), 0);
        SENT(NONE CONNECT4);
        CHECK_INT(brecv(s[0], rest, 4, now() + 5000), 0);
        CHECK_MEM(rest, "rest", 4);
    }
}

TEST(a_client_asks_for_an_ipv6_address) {
    make_ipc_and_raw(&s[0], &fd);
    make_address("1:203::4", 0);
    ANSWER(NONE_OK "\5\0\0\4" "0123456789abcdef" "\0\7");
    CHECK_INT(socks5_client_connect(s[0], NULL, NULL, &address, now() + 5000), 0);
    SENT(NONE "\5\1\0\4\0\1\2\3\0\0\0\0\0\0\0\0\0\0\0\4\0\0");
}

TEST(a_client_asks_for_a_name) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER(NONE_OK "\5\0\0\3\4host\0\7" "rest");
    CHECK_INT(socks5_client_connectbyname(s[0], NULL, NULL, "example.com", 443, now() + 5000), 0);
    SENT(NONE "\5\1\0\3\13" "example.com" "\1\273");
    CHECK_INT(brecv(s[0], NULL, 4, now() + 5000), 0);
}

TEST(a_client_sends_a_numeric_name_as_an_address) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER(NONE_OK CONNECTED);
    CHECK_INT(socks5_client_connectbyname(s[0], NULL, NULL, "1.2.3.4", 80, now() + 5000), 0);
    SENT(NONE CONNECT4);
}

TEST(a_client_may_send_an_empty_name) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER(NONE_OK CONNECTED);
    CHECK_INT(socks5_client_connectbyname(s[0], NULL, NULL, "", 80, now() + 5000), 0);
    SENT(NONE "\5\1\0\3\0\0\120");
}

TEST(a_client_with_a_password_offers_both_methods) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\2" "\1\0" CONNECTED);
    CHECK_INT(connect4("me", "pass"), 0);
    SENT("\5\2\0\2" "\1\2me\4pass" CONNECT4);
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\0" CONNECTED);
    CHECK_INT(connect4("", ""), 0);
    SENT("\5\2\0\2" CONNECT4);
}

TEST(a_client_with_half_a_login_offers_none) {
    for (int i = 0; i != 2; ++i) {
        make_ipc_and_raw(&s[0], &fd);
        ANSWER(NONE_OK CONNECTED);
        CHECK_INT(i ? connect4(NULL, "pass") : connect4("me", NULL), 0);
        SENT(NONE CONNECT4);
    }
}

TEST(user_name_and_password_may_both_have_255_bytes) {
    char name[256], expected[4 + 1 + 2 * 256 + 10];
    memset(name, 'x', 255);
    name[255] = 0;
    memcpy(expected, "\5\2\0\2\1", 5);
    for (int i = 0; i != 2; ++i) {
        expected[5 + 256 * i] = (char)255;
        memset(expected + 6 + 256 * i, 'x', 255);
    }
    memcpy(expected + 5 + 2 * 256, CONNECT4, 10);
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\2" "\1\0" CONNECTED);
    CHECK_INT(connect4(name, name), 0);
    expect_sent(expected, sizeof(expected));
}

/* --- What a client is told --- */

TEST(the_proxys_reply_becomes_errno) {
    const int expected[] = {0,           EIO,       EACCES,     ENETUNREACH,  EHOSTUNREACH, ECONNREFUSED,
                            ETIMEDOUT, EOPNOTSUPP, EAFNOSUPPORT, EPROTO, EPROTO};
    for (int reply = 0; reply != 11; ++reply) {
        char answer[] = NONE_OK CONNECTED "\0";
        make_ipc_and_raw(&s[0], &fd);
        answer[3] = (char)(reply == 10 ? 255 : reply);
        raw_send(fd, answer, sizeof(answer) - 2);
        if (reply == 0) CHECK_INT(connect4(NULL, NULL), 0);
        if (reply != 0) CHECK_ERR(connect4(NULL, NULL), -1, expected[reply]);
        CHECK_INT(hclose(s[0]), 0);
    }
}

TEST(a_refused_login_is_EACCES) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\377");
    CHECK_ERR(connect4(NULL, NULL), -1, EACCES);
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\2\1\1");
    CHECK_ERR(connect4("me", "pass"), -1, EACCES);
}

TEST(a_method_that_was_not_offered_is_EPROTO) {
    const char *answers[] = {"\5\2", "\5\1", "\5\3", "\5\376"};
    for (int i = 0; i != 4; ++i) {
        make_ipc_and_raw(&s[0], &fd);
        raw_send(fd, answers[i], 2);
        CHECK_ERR(connect4(NULL, NULL), -1, EPROTO);
        SENT(NONE);
    }
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1");
    CHECK_ERR(connect4("me", "pass"), -1, EPROTO);
}

TEST(answers_of_another_protocol_are_EPROTO) {
    const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{"\4\0", 2},        {"HT", 2},          {"\5\2\2\0", 4},        {"\5\0\4\0\0\1", 6},
               {"\5\0\5\0\1\1", 6}, {"\5\0\5\0\0\0", 6}, {"\5\0\5\0\0\2", 6}, {"\5\0\5\0\0\5", 6}};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        make_ipc_and_raw(&s[0], &fd);
        raw_send(fd, bad[i].bytes, bad[i].len);
        CHECK_ERR(connect4("me", "pass"), -1, EPROTO);
    }
}

TEST(a_failed_client_leaves_the_stream_open) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\4\0");
    CHECK_ERR(connect4(NULL, NULL), -1, EPROTO);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_INT(hclose(s[0]), 0);
}

TEST(a_clients_bad_arguments_are_refused_before_anything_is_sent) {
    char longest[257];
    struct ipaddr nothing;
    memset(longest, 'x', 256);
    longest[256] = 0;
    memset(&nothing, 0, sizeof(nothing));
    make_ipc_and_raw(&s[0], &fd);
    CHECK_ERR(connect4(longest, "x"), -1, EINVAL);
    CHECK_ERR(connect4("x", longest), -1, EINVAL);
    CHECK_ERR(socks5_client_connect(s[0], NULL, NULL, NULL, -1), -1, EINVAL);
    CHECK_ERR(socks5_client_connect(s[0], NULL, NULL, &nothing, -1), -1, EINVAL);
    CHECK_ERR(socks5_client_connectbyname(s[0], NULL, NULL, NULL, 80, -1), -1, EINVAL);
    CHECK_ERR(socks5_client_connectbyname(s[0], NULL, NULL, longest, 80, -1), -1, EINVAL);
    CHECK_ERR(socks5_client_connectbyname(s[0], NULL, NULL, "a", 0, -1), -1, EINVAL);
    CHECK_ERR(socks5_client_connectbyname(s[0], NULL, NULL, "a", 65536, -1), -1, EINVAL);
    CHECK_ERR(socks5_client_connectbyname(s[0], NULL, NULL, "1.2.3.4", -1, -1), -1, EINVAL);
    CHECK_RAW_SILENT(fd);
}

TEST(the_end_of_the_stream_and_the_deadline_are_passed_on) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\0\5\0\0\1\1\2");
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_ERR(connect4(NULL, NULL), -1, EPIPE);
    make_ipc_and_raw(&s[0], &fd);
    make_address("1.2.3.4", 80);
    CHECK_ERR(socks5_client_connect(s[0], NULL, NULL, &address, now() + 20), -1, ETIMEDOUT);
}

/* --- The proxy's bytes --- */

static int calls;
static char seen_name[256], seen_password[256];
static int judge(const char *username, const char *password) {
    ++calls;
    strcpy(seen_name, username);
    strcpy(seen_password, password);
    CHECK_INT(yield(), 0);
    return strcmp(password, "right") == 0 ? 7 : 0;
}

TEST(a_proxy_without_a_judge_lets_everybody_in) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        ANSWER("\5\3\2\0\1");
        CHECK_INT(socks5_proxy_auth(s[0], NULL, now() + 5000), 0);
        SENT("\5\0");
    }
}

TEST(a_proxy_without_a_judge_wants_the_method_without_a_password) {
    const char *offers[] = {"\5\1\2", "\5\0"};
    for (int i = 0; i != 2; ++i) {
        make_ipc_and_raw(&s[0], &fd);
        raw_send(fd, offers[i], i ? 2 : 3);
        CHECK_ERR(socks5_proxy_auth(s[0], NULL, now() + 5000), -1, EACCES);
        SENT("\5\377");
    }
}

TEST(a_proxy_has_user_names_and_passwords_judged) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\2\0\2" "\1\2me\5right");
    CHECK_INT(socks5_proxy_auth(s[0], judge, now() + 5000), 0);
    SENT("\5\2" "\1\0");
    CHECK_STR(seen_name, "me");
    CHECK_STR(seen_password, "right");
    CHECK_INT(calls, 1);
}

TEST(a_wrong_password_is_EACCES_and_the_client_is_told) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1\2" "\1\0\5wrong");
    CHECK_ERR(socks5_proxy_auth(s[0], judge, now() + 5000), -1, EACCES);
    SENT("\5\2" "\1\377");
    CHECK_STR(seen_name, "");
}

TEST(a_proxy_with_a_judge_insists_on_a_password) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1\0");
    CHECK_ERR(socks5_proxy_auth(s[0], judge, now() + 5000), -1, EACCES);
    SENT("\5\377");
    CHECK_INT(calls, 0);
}

TEST(the_longest_name_and_password_are_judged) {
    char login[1 + 2 * 256];
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1\2");
    memset(login, 'x', sizeof(login));
    login[0] = 1;
    login[1] = login[257] = (char)255;
    raw_send(fd, login, sizeof(login));
    CHECK_ERR(socks5_proxy_auth(s[0], judge, now() + 5000), -1, EACCES);
    CHECK_INT(strlen(seen_name), 255);
    CHECK_INT(strlen(seen_password), 255);
}

TEST(offers_of_another_protocol_are_EPROTO) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("GET / HTTP/1.1\r\n\r\n");
    CHECK_ERR(socks5_proxy_auth(s[0], NULL, now() + 5000), -1, EPROTO);
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1\2" "\5\2me\5right");
    CHECK_ERR(socks5_proxy_auth(s[0], judge, now() + 5000), -1, EPROTO);
}

TEST(a_proxy_receives_commands_with_addresses) {
    for (int command = 1; command <= 3; ++command) EACH_LOWER_AND_RAW(&s[0], &fd) {
            char text[IPADDR_MAXSTRLEN], request[] = CONNECT4;
            request[1] = (char)command;
            raw_send(fd, request, 10);
            ANSWER("rest");
            CHECK_INT(socks5_proxy_recvcommand(s[0], &address, now() + 5000), command);
            CHECK_STR(ipaddr_str(&address, text), "1.2.3.4");
            CHECK_INT(ipaddr_port(&address), 80);
            CHECK_INT(brecv(s[0], text, 4, now() + 5000), 0);
            CHECK_MEM(text, "rest", 4);
        }
}

TEST(a_proxy_looks_names_up) {
    char text[IPADDR_MAXSTRLEN];
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1\0\3\11" "127.0.0.1" "\0\0" "\5\1\0\3\11" "localhost" "\0\7");
    CHECK_INT(socks5_proxy_recvcommand(s[0], &address, now() + 5000), SOCKS5_CONNECT);
    CHECK_STR(ipaddr_str(&address, text), "127.0.0.1");
    CHECK_INT(ipaddr_port(&address), 0);
    CHECK_INT(socks5_proxy_recvcommand(s[0], &address, now() + 5000), SOCKS5_CONNECT);
    CHECK_STR(ipaddr_str(&address, text), "127.0.0.1");
    CHECK_INT(ipaddr_port(&address), 7);
}

TEST(an_empty_name_has_no_address) {
    make_ipc_and_raw(&s[0], &fd);
    ANSWER("\5\1\0\3\0\0\7");
    CHECK_ERR(socks5_proxy_recvcommand(s[0], &address, now() + 5000), -1, EADDRNOTAVAIL);
}

TEST(a_proxy_receives_names_unresolved) {
    char host[257], longest[4 + 1 + 255 + 2];
    int port;
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        ANSWER("\5\1\0\3\13" "example.com" "\1\273" "\5\2\0\1\1\2\3\4\0\120" "\5\3\0\4"
               "\0\1\2\3\0\0\0\0\0\0\0\0\0\0\0\4\377\377");
        CHECK_INT(socks5_proxy_recvcommandbyname(s[0], host, &port, now() + 5000), 1);
        CHECK_STR(host, "example.com");
        CHECK_INT(port, 443);
        CHECK_INT(socks5_proxy_recvcommandbyname(s[0], host, &port, now() + 5000), 2);
        CHECK_STR(host, "1.2.3.4");
        CHECK_INT(port, 80);
        CHECK_INT(socks5_proxy_recvcommandbyname(s[0], host, &port, now() + 5000), 3);
        CHECK_STR(host, "1:203::4");
        CHECK_INT(port, 65535);
        memset(longest, 'x', sizeof(longest));
        memcpy(longest, "\5\1\0\3\377", 5);
        memset(host, '.', sizeof(host));
        raw_send(fd, longest, sizeof(longest));
        CHECK_INT(socks5_proxy_recvcommandbyname(s[0], host, &port, now() + 5000), 1);
        CHECK_INT(strlen(host), 255);
        CHECK_INT(host[256], '.');
    }
}

TEST(bad_commands_are_EPROTO) {
    const char *bad[] = {"\4\1\0\1\1\2\3\4\0\7", "\5\0\0\1\1\2\3\4\0\7", "\5\4\0\1\1\2\3\4\0\7",
                         "\5\1\1\1\1\2\3\4\0\7", "\5\1\0\2\1\2\3\4\0\7"};
    for (int i = 0; i != 5; ++i) {
        char host[256];
        int port;
        make_ipc_and_raw(&s[0], &fd);
        raw_send(fd, bad[i], 10);
        if (i % 2) CHECK_ERR(socks5_proxy_recvcommand(s[0], &address, now() + 5000), -1, EPROTO);
        if (!(i % 2)) CHECK_ERR(socks5_proxy_recvcommandbyname(s[0], host, &port, now() + 5000), -1, EPROTO);
    }
}

TEST(a_proxy_answers_with_an_address) {
    make_ipc_and_raw(&s[0], &fd);
    make_address("127.0.0.1", 7);
    CHECK_INT(socks5_proxy_sendreply(s[0], SOCKS5_SUCCESS, &address, -1), 0);
    SENT(CONNECTED);
    CHECK_INT(socks5_proxy_sendreply(s[0], SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED, &address, -1), 0);
    SENT("\5\10\0\1\177\0\0\1\0\7");
}

TEST(a_proxys_bad_arguments_are_refused) {
    char host[256];
    int port;
    struct ipaddr nothing;
    memset(&nothing, 0, sizeof(nothing));
    make_ipc_and_raw(&s[0], &fd);
    make_address("127.0.0.1", 7);
    CHECK_ERR(socks5_proxy_sendreply(s[0], -1, &address, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_sendreply(s[0], 9, &address, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_sendreply(s[0], 256, &address, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_sendreply(s[0], 0, NULL, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_sendreply(s[0], 0, &nothing, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_recvcommand(s[0], NULL, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_recvcommandbyname(s[0], NULL, &port, -1), -1, EINVAL);
    CHECK_ERR(socks5_proxy_recvcommandbyname(s[0], host, NULL, -1), -1, EINVAL);
    CHECK_RAW_SILENT(fd);
}

TEST(handles_that_are_no_bytestreams_are_refused_and_left_alone) {
    const int expected[] = {ENOTSUP, EBADF};
    char host[256];
    int port;
    make_ipc_pair(s);
    make_address("127.0.0.1", 7);
    s[0] = suffix_attach(s[0], "\n", 1);
    for (int i = 0; i != 2; ++i) {
        int h = i ? -1 : s[0];
        CHECK_ERR(socks5_client_connect(h, NULL, NULL, &address, -1), -1, expected[i]);
        CHECK_ERR(socks5_client_connectbyname(h, NULL, NULL, "a", 1, -1), -1, expected[i]);
        CHECK_ERR(socks5_proxy_auth(h, NULL, -1), -1, expected[i]);
        CHECK_ERR(socks5_proxy_recvcommand(h, &address, -1), -1, expected[i]);
        CHECK_ERR(socks5_proxy_recvcommandbyname(h, host, &port, -1), -1, expected[i]);
        CHECK_ERR(socks5_proxy_sendreply(h, 0, &address, -1), -1, expected[i]);
    }
    CHECK_INT(hclose(s[0]), 0);
}

/* --- One against the other --- */

coroutine static void proxy(int by_name, int password) {
    char host[256];
    int port;
    CHECK_INT(socks5_proxy_auth(s[1], password ? judge : NULL, now() + 5000), 0);
    if (by_name) CHECK_INT(socks5_proxy_recvcommandbyname(s[1], host, &port, now() + 5000), SOCKS5_CONNECT);
    if (by_name) CHECK_STR(host, "127.0.0.1");
    if (!by_name) CHECK_INT(socks5_proxy_recvcommand(s[1], &address, now() + 5000), SOCKS5_CONNECT);
    make_address("127.0.0.1", 80);
    CHECK_INT(socks5_proxy_sendreply(s[1], SOCKS5_SUCCESS, &address, now() + 5000), 0);
    CHECK_INT(brecv(s[1], host, 5, now() + 5000), 0);
    CHECK_INT(bsend(s[1], "olleh", 5, now() + 5000), 0);
}

TEST(client_and_proxy_understand_each_other_time_and_again) {
    EACH_LOWER(s) for (int way = 0; way != 8; ++way) {
        const char *username = way & 4 ? "me" : NULL, *password = way & 4 ? "right" : NULL;
        char buf[5];
        int b = go(proxy(way & 1, way & 4));
        make_address("127.0.0.1", 80);
        if (way & 2)
            CHECK_INT(socks5_client_connectbyname(s[0], username, password, "127.0.0.1", 80, now() + 5000), 0);
        else
            CHECK_INT(socks5_client_connect(s[0], username, password, &address, now() + 5000), 0);
        CHECK_INT(bsend(s[0], "hello", 5, now() + 5000), 0);
        CHECK_INT(brecv(s[0], buf, 5, now() + 5000), 0);
        CHECK_MEM(buf, "olleh", 5);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}
