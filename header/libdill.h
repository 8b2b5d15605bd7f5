/* libdill.h - structured concurrency, sockets and WebSocket for C.

   Generated from header/ and src/ffi/ by build.rs; changes made here are lost.

   Every name exists twice: dill_xxx, and xxx unless DILL_DISABLE_RAW_NAMES is defined. The comments
   use the short names. Every function that fails returns -1 (a pointer: NULL) and sets errno.
   Deadlines are points in time on the clock of now(), in milliseconds; 0 is "at once", -1 is "never".
   Handles belong to the thread that made them.

   What may be defined before this file is included:

   DILL_DISABLE_RAW_NAMES   only names that begin with dill_ and DILL_
   DILL_DISABLE_SOCKETS     nothing that has to do with sockets, TLS among them
   DILL_DISABLE_TLS         nothing that has to do with TLS
   DILL_NO_EXPORTS          (not 0) functions are declared without an attribute of visibility */

#ifndef LIBDILL_H_INCLUDED
#define LIBDILL_H_INCLUDED

#if !defined __GNUC__ && !defined __clang__
#error "libdill needs a compiler that understands GNU C, such as gcc or clang"
#endif
#if (!defined __x86_64__ && !defined __AARCH64EL__) || !defined __LP64__ || !defined __linux__
#error "this libdill runs on Linux on x86-64 and 64-bit ARM only"
#endif

#include <alloca.h>
#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* The version of the ABI, as libtool counts it. */
#define DILL_VERSION_CURRENT 25
#define DILL_VERSION_REVISION 0
#define DILL_VERSION_AGE 5

#if defined DILL_NO_EXPORTS && (DILL_NO_EXPORTS + 0)
#define DILL_EXPORT
#else
#define DILL_EXPORT __attribute__((__visibility__("default")))
#endif

/* No storage structure needs to be aligned. */
#define DILL_ALIGN

#ifdef __cplusplus
extern "C" {

/* Another name of the function dill_xxx. */
#define DILL_ALIAS_(xxx) extern DILL_EXPORT __typeof__(dill_##xxx) xxx __asm__("dill_" #xxx)
#endif

@sections@

#ifdef __cplusplus
}
#endif

#endif
