/* TLS and fork: a connection goes on in the process that uses it. */

#include <libdill.h>

#include "dies.h"
#include "test.h"
#include "tls.h"

static int h[2];

static void echo(void) {
    CHECK_RECEIVED(h[1], "to the child");
    CHECK_SENT(h[1], "from the child");
    CHECK_INT(tls_done(h[1], soon()), 0);
}

/* The child uses one end, the parent the other one. */
static void talk_to_child(void) {
    pid_t child = fork();
    int status = -1;
    if (child == 0) {
        echo();
        exit(0);
    }
    CHECK_SENT(h[0], "to the child");
    CHECK_RECEIVED(h[0], "from the child");
    CHECK_ERR(brecv(h[0], NULL, 1, soon()), -1, EPIPE);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST(a_child_serves_a_connection_that_was_attached_before) {
    EACH_TLS(h) talk_to_child();
}

static void look_on(void) { CHECK_INT(msleep(now() + 50), 0); }

TEST(a_child_that_does_not_use_the_connection_leaves_it_alone) {
    EACH_TLS(h) {
        CHECK_SENT(h[1], "before");
        CHECK_EXITS_WITH(look_on, 0);
        CHECK_RECEIVED(h[0], "before");
        CHECK_SENT(h[0], "after");
        CHECK_RECEIVED(h[1], "after");
    }
}

static int received, receiver;

static void cancel_receiver(void) {
    CHECK_INT(hclose(receiver), 0);
    CHECK_INT(received, 0);
}

coroutine static void receive_until_cancelled(void) {
    char buf[15];
    if (brecv(h[0], buf, sizeof(buf), -1) == 0) {
        CHECK_MEM(buf, "for one process", sizeof(buf));
        ++received;
    } else {
        CHECK_INT(errno, ECANCELED);
    }
}

TEST(a_child_may_cancel_a_receiver_that_goes_on_in_its_parent) {
    EACH_TLS(h) {
        received = 0;
        receiver = go(receive_until_cancelled());
        CHECK_EXITS_WITH(cancel_receiver, 0);
        CHECK_SENT(h[1], "for one process");
        CHECK_INT(bundle_wait(receiver, soon()), 0);
        CHECK_INT(received, 1);
        CHECK_INT(hclose(receiver), 0);
    }
}
