/* libdillext.h - what libdill never had: WebSocket and TLS as programs of today need them.

   Generated from header/ and src/ffi/ by build.rs; changes made here are lost.

   What is said at the beginning of libdill.h holds here too, DILL_DISABLE_RAW_NAMES, _SOCKETS and _TLS
   among it. A program that does not include this file may have functions of its own with these names.

   Structures begin with their size, so that later versions can add members:

       struct ws_opts opts = {.size = sizeof opts, .max_message = 65536};

   Members that are 0 mean the usual, and so does NULL in the place of options. A size that no version has,
   and members that are set and that the library does not know, are EINVAL. Lists of strings are arrays
   that end with NULL. Times are milliseconds, sizes bytes. */

#ifndef LIBDILLEXT_H_INCLUDED
#define LIBDILLEXT_H_INCLUDED

#include "libdill.h"

/* Counts what this file has. */
#define DILL_EXT_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

/* In C++, functions that have the name of a structure hide its constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

@sections@

#pragma GCC diagnostic pop

#ifdef __cplusplus
}
#endif

#endif
