/* libdillimpl.h - for those who write types of handles and sockets of their own.

   Generated from header/ and src/ffi/ by build.rs; changes made here are lost. */

#ifndef LIBDILLIMPL_H_INCLUDED
#define LIBDILLIMPL_H_INCLUDED

#include "libdill.h"

#ifdef __cplusplus
extern "C" {
#endif

@sections@

#ifdef __cplusplus
}
#endif

#endif
