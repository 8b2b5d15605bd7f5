//! Bundles.

use super::types::BundleStorage;
use super::{call, not_null, waiting_call};
use crate::rt::bundle;
use core::ffi::c_int;

/// Makes a bundle, which coroutines can be launched in with `bundle_go`. Closing it cancels them.
///
/// Errors: ECANCELED, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn dill_bundle() -> c_int {
    call(bundle::make)
}

/// Makes a bundle in memory of the caller's, which must stay until it is closed.
///
/// Errors: ECANCELED, EINVAL (no memory given), ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn dill_bundle_mem(mem: *mut BundleStorage) -> c_int {
    call(|| {
        not_null(mem)?;
        bundle::make()
    })
}

/// Waits until the last coroutine of a bundle has ended.
///
/// Errors: EBADF (also when the bundle is closed meanwhile), ECANCELED, ENOMEM, ENOTSUP, ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_bundle_wait(h: c_int, deadline: i64) -> c_int {
    waiting_call(|context| bundle::wait(context, h, deadline))
}
