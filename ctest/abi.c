/* Sizes, offsets and constants that compiled programs contain. */

#include <libdillimpl.h>

#include "test.h"

#define CHECK_OFFSET(STRUCT, FIELD, OFFSET) CHECK_INT(offsetof(struct STRUCT, FIELD), OFFSET)
#define CHECK_STORAGE(STRUCT, SIZE)                     \
    do {                                                \
        CHECK_INT(sizeof(struct STRUCT), SIZE);         \
        CHECK_INT(__alignof__(struct STRUCT), 1);       \
    } while (0)

TEST(storage_has_the_agreed_sizes_and_no_alignment) {
    CHECK_STORAGE(dill_bundle_storage, 64);
    CHECK_STORAGE(dill_chstorage, 144);
    CHECK_STORAGE(dill_tcp_listener_storage, 56);
    CHECK_STORAGE(dill_tcp_storage, 72);
    CHECK_STORAGE(dill_ipc_listener_storage, 24);
    CHECK_STORAGE(dill_ipc_storage, 72);
    CHECK_STORAGE(dill_ipc_pair_storage, 144);
    CHECK_STORAGE(dill_ws_storage, 176);
    CHECK_STORAGE(dill_ipaddr, 32);
}

TEST(clauses_have_the_agreed_layout) {
    CHECK_OFFSET(dill_chclause, op, 0);
    CHECK_OFFSET(dill_chclause, ch, 4);
    CHECK_OFFSET(dill_chclause, val, 8);
    CHECK_OFFSET(dill_chclause, len, 16);
    CHECK_INT(sizeof(struct dill_chclause), 24);
}

TEST(lists_have_the_agreed_layout) {
    CHECK_OFFSET(dill_iolist, iol_base, 0);
    CHECK_OFFSET(dill_iolist, iol_len, 8);
    CHECK_OFFSET(dill_iolist, iol_next, 16);
    CHECK_OFFSET(dill_iolist, iol_rsvd, 24);
    CHECK_INT(sizeof(struct dill_iolist), 32);
}

TEST(function_tables_have_the_agreed_layout) {
    CHECK_OFFSET(dill_hvfs, query, 0);
    CHECK_OFFSET(dill_hvfs, close, 8);
    CHECK_INT(sizeof(struct dill_hvfs), 16);
    CHECK_OFFSET(dill_bsock_vfs, bsendl, 0);
    CHECK_OFFSET(dill_bsock_vfs, brecvl, 8);
    CHECK_INT(sizeof(struct dill_bsock_vfs), 16);
    CHECK_OFFSET(dill_msock_vfs, msendl, 0);
    CHECK_OFFSET(dill_msock_vfs, mrecvl, 8);
    CHECK_INT(sizeof(struct dill_msock_vfs), 16);
}

TEST(constants_have_the_agreed_values) {
    CHECK_INT(DILL_CHSEND, 1);
    CHECK_INT(DILL_CHRECV, 2);
    CHECK_INT(DILL_IPADDR_IPV4, 1);
    CHECK_INT(DILL_IPADDR_IPV6, 2);
    CHECK_INT(DILL_IPADDR_PREF_IPV4, 3);
    CHECK_INT(DILL_IPADDR_PREF_IPV6, 4);
    CHECK_INT(DILL_IPADDR_MAXSTRLEN, 46);
    CHECK_INT(DILL_WS_BINARY, 0);
    CHECK_INT(DILL_WS_TEXT, 1);
    CHECK_INT(DILL_WS_NOHTTP, 2);
    CHECK_INT(DILL_WS_KEY_SIZE, 32);
}

TEST(raw_names_of_constants_have_the_same_values) {
    CHECK_INT(CHSEND, 1);
    CHECK_INT(CHRECV, 2);
    CHECK_INT(IPADDR_IPV4, 1);
    CHECK_INT(IPADDR_IPV6, 2);
    CHECK_INT(IPADDR_PREF_IPV4, 3);
    CHECK_INT(IPADDR_PREF_IPV6, 4);
    CHECK_INT(IPADDR_MAXSTRLEN, 46);
    CHECK_INT(WS_BINARY, 0);
    CHECK_INT(WS_TEXT, 1);
    CHECK_INT(WS_NOHTTP, 2);
    CHECK_INT(WS_KEY_SIZE, 32);
}

TEST(the_version_macros_are_those_of_the_ABI) {
    CHECK_INT(DILL_VERSION_CURRENT, 25);
    CHECK_INT(DILL_VERSION_REVISION, 0);
    CHECK_INT(DILL_VERSION_AGE, 5);
}

TEST(raw_names_of_structures_name_the_same_types) {
    struct chclause clause = {CHSEND, 0, NULL, 0};
    struct dill_chclause *same_clause = &clause;
    struct iolist list = {NULL, 0, NULL, 0};
    struct dill_iolist *same_list = &list;
    struct ws_storage mem;
    struct dill_ws_storage *same_mem = &mem;
    CHECK(same_clause && same_list && same_mem);
}
