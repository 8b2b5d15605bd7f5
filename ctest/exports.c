/* What the library exports, and under which name it is loaded. */

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include <libdillimpl.h>

#include "pair.h"
#include "test.h"

static const char *const functions[] = {
    "now", "msleep", "fdin", "fdout", "fdclean", "hown", "hclose", "hmake", "hquery", "prologue", "epilogue", "yield",
    "bundle", "bundle_mem", "bundle_wait", "chmake", "chmake_mem", "chsend", "chrecv", "chdone", "choose",
    "bsend", "brecv", "bsendl", "brecvl", "msend", "mrecv", "msendl", "mrecvl",
    "ipaddr_str", "ipaddr_family", "ipaddr_sockaddr", "ipaddr_len", "ipaddr_port", "ipaddr_setport", "ipaddr_equal",
    "ipaddr_local", "ipaddr_remote", "ipaddr_remotes",
    "tcp_listen", "tcp_listen_mem", "tcp_accept", "tcp_accept_mem", "tcp_connect", "tcp_connect_mem", "tcp_done",
    "tcp_close", "tcp_fromfd", "tcp_fromfd_mem", "tcp_listener_fromfd", "tcp_listener_fromfd_mem",
    "ipc_listen", "ipc_listen_mem", "ipc_accept", "ipc_accept_mem", "ipc_connect", "ipc_connect_mem", "ipc_pair",
    "ipc_pair_mem", "ipc_sendfd", "ipc_recvfd", "ipc_done", "ipc_close", "ipc_fromfd", "ipc_fromfd_mem",
    "ipc_listener_fromfd", "ipc_listener_fromfd_mem",
    "ws_attach_client", "ws_attach_client_mem", "ws_attach_server", "ws_attach_server_mem", "ws_send", "ws_sendl",
    "ws_recv", "ws_recvl", "ws_done", "ws_detach", "ws_status", "ws_request_key", "ws_response_key",
};
enum { FUNCTIONS = sizeof(functions) / sizeof(*functions) };

static const char *with_prefix(const char *name) {
    static char full[64];
    snprintf(full, sizeof(full), "dill_%s", name);
    return full;
}

/* Only these go without prefix as well. */
static int may_be_raw(const char *name) {
    return strncmp(name, "ws_", 3) == 0 || strcmp(name, "msend") == 0 || strcmp(name, "mrecv") == 0 ||
           strcmp(name, "msendl") == 0 || strcmp(name, "mrecvl") == 0;
}

static void *library(void) {
    void *handle = dlopen("libdill.so.20", RTLD_NOW | RTLD_NOLOAD);
    CHECK(handle != NULL);
    return handle;
}

TEST(the_library_is_loaded_by_its_soname) { library(); }

TEST(every_function_is_exported_with_the_prefix) {
    for (int i = 0; i != FUNCTIONS; ++i)
        if (!dlsym(library(), with_prefix(functions[i])))
            test_fail(__FILE__, __LINE__, "dill_%s is missing", functions[i]);
}

TEST(WebSocket_and_message_functions_are_exported_with_raw_names_too) {
    int count = 0;
    for (int i = 0; i != FUNCTIONS; ++i) {
        if (!may_be_raw(functions[i])) continue;
        void *raw = dlsym(library(), functions[i]);
        ++count;
        if (!raw) test_fail(__FILE__, __LINE__, "%s is missing", functions[i]);
        CHECK(raw == dlsym(RTLD_DEFAULT, functions[i]));
    }
    CHECK_INT(count, 17);
}

TEST(no_other_raw_name_resolves_in_the_library) {
    for (int i = 0; i != FUNCTIONS; ++i)
        if (!may_be_raw(functions[i]) && dlsym(library(), functions[i]))
            test_fail(__FILE__, __LINE__, "%s resolves", functions[i]);
}

TEST(data_symbols_are_exported_and_hold_what_the_program_sees) {
    const void **bsock = (const void **)dlsym(library(), "dill_bsock_type");
    const void **msock = (const void **)dlsym(library(), "dill_msock_type");
    void **scratch = (void **)dlsym(library(), "dill_unoptimisable");
    CHECK(bsock && msock && scratch);
    CHECK(*bsock == bsock_type);
    CHECK(*msock == msock_type);
    CHECK(*scratch == NULL);
}

TEST(the_value_of_a_type_is_the_same_in_the_library_and_in_the_program) {
    int s[2];
    make_ipc_pair(s);
    CHECK(hquery(s[0], bsock_type) != NULL);
    CHECK_ERR(hquery(s[0], msock_type) == NULL, 1, ENOTSUP);
}

/* --- The file itself --- */

struct elf {
    const char *strings;
    const ElfW(Sym) *symbols;
    size_t count;
    const char *soname;
    int versions;
};

static void read_elf(struct elf *e) {
    struct link_map *map;
    const ElfW(Ehdr) *header;
    const ElfW(Shdr) *sections;
    struct stat st;
    int fd;
    memset(e, 0, sizeof(*e));
    CHECK_INT(dlinfo(library(), RTLD_DI_LINKMAP, &map), 0);
    fd = open(map->l_name, O_RDONLY);
    CHECK(fd >= 0);
    CHECK_INT(fstat(fd, &st), 0);
    header = (const ElfW(Ehdr) *)mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK((const void *)header != MAP_FAILED);
    sections = (const ElfW(Shdr) *)(const void *)((const char *)header + header->e_shoff);
    for (int i = 0; i != header->e_shnum; ++i) {
        const void *data = (const char *)header + sections[i].sh_offset;
        if (sections[i].sh_type == SHT_GNU_verdef) e->versions = 1;
        if (sections[i].sh_type == SHT_DYNSYM) {
            e->symbols = (const ElfW(Sym) *)data;
            e->count = sections[i].sh_size / sizeof(ElfW(Sym));
            e->strings = (const char *)header + sections[sections[i].sh_link].sh_offset;
        }
    }
    CHECK(e->symbols != NULL);
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; ++d)
        if (d->d_tag == DT_SONAME) e->soname = e->strings + d->d_un.d_val;
}

TEST(the_soname_is_libdill_so_20) {
    struct elf e;
    read_elf(&e);
    CHECK_STR(e.soname, "libdill.so.20");
}

TEST(nothing_else_is_exported) {
    struct elf e;
    read_elf(&e);
    for (size_t i = 0; i != e.count; ++i) {
        const char *name = e.strings + e.symbols[i].st_name;
        if (e.symbols[i].st_shndx == SHN_UNDEF || !*name) continue;
        if (strncmp(name, "dill_", 5) != 0 && !may_be_raw(name))
            test_fail(__FILE__, __LINE__, "%s is exported", name);
    }
}

TEST(symbols_have_no_versions) {
    struct elf e;
    read_elf(&e);
    CHECK_INT(e.versions, 0);
}

TEST(no_function_of_the_DTLS_declarations_is_exported) {
    CHECK(dlsym(library(), "dill_dtls_attach_client") == NULL);
    CHECK(dlsym(library(), "dill_dtls_attach_server") == NULL);
}
