# libdill: what there is to build, to try and to check. Building needs cargo, cc and make; a check that
# needs more installs it.

CARGO ?= cargo
CC ?= cc
CFLAGS ?= -O2 -g
INSTALL ?= install
STRIP ?= strip
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/libdill
LDCONFIG ?= ldconfig
# Where gdb looks for a library's script: beside the library, or, if that belongs to the system, below /usr/share.
GDBDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/share/gdb/auto-load)$(LIBDIR)

# What is left out: `make TLS=0`, `make SOCKETS=0` (and TLS with them). To be said again when that is to be
# checked or installed: each of the three libraries has a place of its own.
SOCKETS ?= 1
TLS ?= 1
ifneq ($(filter-out 0 1,$(SOCKETS) $(TLS)),)
$(error SOCKETS and TLS are 0 or 1)
endif
ifeq ($(SOCKETS),0)
TARGET := build/no-sockets
FEATURES := --no-default-features
PARTS :=
WITHOUT := DILL_DISABLE_SOCKETS DILL_DISABLE_TLS
else ifeq ($(TLS),0)
TARGET := build/no-tls
FEATURES := --no-default-features --features sockets
PARTS := sockets
WITHOUT := DILL_DISABLE_TLS
else
TARGET := target
FEATURES :=
PARTS := sockets tls
WITHOUT :=
endif
RELEASE := $(TARGET)/release

VERSION := 20.5.0
EXAMPLES := $(patsubst examples/%.c,build/examples/%,$(wildcard examples/*.c))
# What an example needs besides, which may be missing.
GLIB := $(shell pkg-config --cflags --libs glib-2.0 2> /dev/null)
EXAMPLES := $(if $(GLIB),$(EXAMPLES),$(filter-out %/glib_loop,$(EXAMPLES)))
build/examples/glib_loop: PACKAGES = $(GLIB)
DOCUMENTS := LICENSE README.md CHANGELOG.md SECURITY.md
# The version of the package is in Cargo.toml alone; that of the interface is libdill's.
RELEASE_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The manual pages of the parts that are there, and all that any build may have installed.
PAGES = $(shell packaging/pages $(PARTS))
ALL_PAGES := $(wildcard man/*.[1-9])
HOST = $(shell rustc -vV | sed -n "s/^host: //p")

# Cargo leaves out link-time optimisation if one of the crate types is rlib, which the tests and the fuzz
# targets need; so they are named.
BUILD := rustc --release --lib --crate-type cdylib,staticlib $(FEATURES)

# Where it was built, the library does not tell: neither in messages nor in what debuggers read.
MOVED := "$(CURDIR)=." "$${CARGO_HOME:-$$HOME/.cargo}=/cargo" "$$($${RUSTC:-rustc} --print sysroot)=/rust"
ANYWHERE := RUSTFLAGS="$$RUSTFLAGS$$(printf ' --remap-path-prefix=%s' $(MOVED))" \
	CFLAGS="$$CFLAGS$$(printf ' -ffile-prefix-map=%s' $(MOVED))"

.PHONY: all demo examples check check-rust check-ctest check-wss check-headers check-abi check-examples check-man \
	check-docs check-site check-gdb check-packages check-install check-dropin check-tls check-faults \
	check-valgrind check-stack check-asan check-interop check-peers check-proxies check-autobahn \
	check-autobahn-context check-autobahn-tls check-browser check-aarch64 check-coverage fuzz fuzz-closes \
	fuzz-arguments bench bench-wss bench-runtime bench-latency install install-strip uninstall html dist deb clean FORCE

all:
	@$(ANYWHERE) $(CARGO) $(BUILD) --target-dir $(TARGET)
	@ln -sf libdill.so $(RELEASE)/libdill.so.20
	@CARGO="$(CARGO)" packaging/third-party $(RELEASE) $(FEATURES)

build/examples/%: examples/%.c FORCE | all
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -Wall -Wextra $(CFLAGS) -Iinclude -o $@ $< -L$(RELEASE) -ldill -pthread $(PACKAGES) \
		-Wl,-rpath,'$$ORIGIN/../../$(RELEASE)'

examples: $(EXAMPLES)

# Two C programs hold a conversation.
demo: build/examples/echo_server build/examples/echo_client
	@examples/demo.sh build/examples

# --- Checks. The last line of each is "N passed, N failed". ---

# Those that need no other programs. The headers are the same whatever is left out.
check:
	@.ci/tally '$(MAKE) check-rust' '$(MAKE) check-ctest' '$(MAKE) check-abi' \
		$(if $(WITHOUT),,'$(MAKE) check-headers')

check-rust:
	$(CARGO) test --lib $(FEATURES)

check-ctest: all
	ctest/run --lib $(RELEASE)

# Over TLS: the C tests of the WebSocket with OpenSSL as the peer, whose headers that needs; interoperation; a browser.
check-wss: all
	@.ci/tally 'ctest/run --lib $(RELEASE) --tls 1.3' 'ctest/run --lib $(RELEASE) --tls 1.2' \
		'ctest/run --lib $(RELEASE) --tls 1.3-rekey ws_recv ws_memory' 'tests/interop/run --tls' 'tests/browser/run --tls'

# The symbols of the library.
check-abi: all
	abi/check $(RELEASE)/libdill.so $(PARTS)

# The headers are what the sources say, and compile as C and C++ of every standard.
check-headers: all
	@! git rev-parse --git-dir > /dev/null 2>&1 || git diff --exit-code -- include abi/symbols.txt
	tests/install/headers

check-examples: all
	tests/examples/run

check-man: all
	tests/man/run

# Installing and building with what is installed; prototypes and layouts.
check-install: all
	$(MAKE) TLS=0
	$(MAKE) SOCKETS=0
	@.ci/tally tests/install/run tests/install/abi

# What README.md and docs/ say is done, and seen.
check-docs: all
	tests/docs/run

# The site: links, and that everything is in it.
check-site:
	tests/site/run

# Coroutines in a debugger.
check-gdb: all
	tests/gdb/run

# Releases and packages.
check-packages:
	tests/packages/run

# Old programs on our library, and programs that do not know it.
check-dropin: all
	tests/dropin/run

# Each call of the system and each allocation fails in its turn. Takes long; .ci/run makes some of them fail.
check-faults: all
	tests/faults/run

# The C tests under valgrind.
check-valgrind: all
	.ci/valgrind

# How much stack each function takes; NAMES are those of ctest/run.
check-stack: all
	tests/stack/run $(NAMES)

# The C tests with the sanitizers for addresses and undefined behaviour, in them and in the library; NAMES are
# those of ctest/run.
check-asan:
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address $(CARGO) $(BUILD) --target $(HOST) --target-dir build/asan
	.ci/sanitized build/asan/$(HOST)/release $(NAMES)

# Against other implementations, which are installed into build/.
check-interop: all
	@.ci/tally tests/interop/run 'tests/interop/run --layered' tests/interop/options tests/interop/deflate \
		tests/interop/parts

check-peers: all
	@tests/peers/run

check-proxies: all
	@tests/proxies/run

check-autobahn: all
	@.ci/tally tests/autobahn/run 'tests/autobahn/run --layered'

# The sections about compression again, with context takeover: many minutes.
check-autobahn-context: all
	tests/autobahn/run --context

# The suite over TLS: many minutes.
check-autobahn-tls: all
	tests/autobahn/run --tls

check-browser: all
	@.ci/tally tests/browser/run 'tests/browser/run --firefox' 'tests/browser/run --firefox --tls' \
		tests/browser/chat 'tests/browser/chat --firefox'

# The library for 64-bit ARM, its C tests and examples, in an emulator.
check-aarch64:
	tests/aarch64/run

check-tls: all
	tests/tls/run

# Every line and branch of the WebSocket is run by its tests, or named in tests/coverage/exceptions.
check-coverage:
	tests/coverage/run

fuzz:
	fuzz/run

fuzz-closes:
	fuzz/closes

fuzz-arguments:
	fuzz/arguments

bench: all
	benches/run

bench-wss: all
	benches/run --tls

bench-runtime: all
	benches/run-runtime

bench-latency: all
	benches/run-latency

# --- Installation: of what `make` has built, so that cargo need not run as another user. ---

HEADERS = libdill.h libdillext.h libdillimpl.h

install:
	@test -f $(RELEASE)/libdill.so || { echo "nothing to install: run make first" >&2; exit 1; }
	$(INSTALL) -d -m 755 $(DESTDIR)$(LIBDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/cmake/libdill \
		$(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(MANDIR) $(DESTDIR)$(DOCDIR) $(DESTDIR)$(GDBDIR)
	$(INSTALL) -m 644 $(RELEASE)/libdill.so $(DESTDIR)$(LIBDIR)/libdill.so.$(VERSION)
	ln -sf libdill.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libdill.so.20
	ln -sf libdill.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libdill.so
	$(INSTALL) -m 644 packaging/gdb.py $(DESTDIR)$(GDBDIR)/libdill.so.$(VERSION)-gdb.py
	packaging/static-archive $(RELEASE) $(DESTDIR)$(LIBDIR)/libdill.a
	$(INSTALL) -m 644 $(addprefix include/,$(HEADERS)) $(DESTDIR)$(INCLUDEDIR)
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's| @WITHOUT@|$(if $(WITHOUT), $(WITHOUT:%=-D%))|' \
		packaging/libdill.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libdill.pc
	sed "s|@VERSION@|$(VERSION)|; s|@WITHOUT@|$(WITHOUT)|; \
		s|@LIBDIR_TO_INCLUDEDIR@|$$(realpath -m --relative-to='$(LIBDIR)' '$(INCLUDEDIR)')|" \
		packaging/libdill-config.cmake.in > $(DESTDIR)$(LIBDIR)/cmake/libdill/libdill-config.cmake
	$(INSTALL) -m 644 packaging/libdill-config-version.cmake $(DESTDIR)$(LIBDIR)/cmake/libdill
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libdill.pc $(DESTDIR)$(LIBDIR)/cmake/libdill/libdill-config.cmake
	set -e; for page in $(PAGES); do \
		$(INSTALL) -d -m 755 $(DESTDIR)$(MANDIR)/man$${page##*.}; \
		$(INSTALL) -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}; \
	done
	$(INSTALL) -m 644 $(DOCUMENTS) $(addprefix $(RELEASE)/,THIRD-PARTY-LICENSES libdill.cdx.json) \
		$(DESTDIR)$(DOCDIR)
	@test -n '$(DESTDIR)' || LDCONFIG='$(LDCONFIG)' packaging/tell-loader $(LIBDIR)

# The same without what only debuggers need.
install-strip: install
	$(STRIP) --strip-unneeded $(DESTDIR)$(LIBDIR)/libdill.so.$(VERSION)
	$(STRIP) --strip-debug $(DESTDIR)$(LIBDIR)/libdill.a

uninstall:
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libdill.so.$(VERSION) libdill.so.20 libdill.so libdill.a \
		pkgconfig/libdill.pc)
	rm -f $(DESTDIR)$(GDBDIR)/libdill.so.$(VERSION)-gdb.py
	rm -rf $(DESTDIR)$(LIBDIR)/cmake/libdill
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,$(HEADERS))
	set -e; for page in $(ALL_PAGES); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCUMENTS) THIRD-PARTY-LICENSES libdill.cdx.json)
	@! test -d $(DESTDIR)$(DOCDIR) || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(DOCDIR)
	@test -n '$(DESTDIR)' || LDCONFIG='$(LDCONFIG)' packaging/tell-loader --removed $(LIBDIR)

# --- The manual, the tutorial and all other pages as a site: build/html/index.html. ---

html:
	@packaging/html build/html

# --- Releases: of what is committed. ---

dist:
	@packaging/dist build/dist

deb: dist
	@packaging/deb build/dist/libdill-$(RELEASE_VERSION).tar.xz build/deb

clean:
	$(CARGO) clean
	rm -rf build
