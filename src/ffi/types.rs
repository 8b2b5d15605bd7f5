//! What the C side only knows by name: the storage of objects in the caller's memory, and a variable.
//!
//! The storage is not used, since C code may place it at any address, aligned or not: our objects live on the
//! heap. Its sizes are in `header/`.

use core::ffi::c_void;
use core::sync::atomic::AtomicPtr;

/// `jmp_buf`.
pub enum JmpBuf {}
/// `struct dill_bundle_storage`.
pub enum BundleStorage {}
/// `struct dill_chstorage`.
pub enum ChStorage {}
/// `struct dill_tcp_listener_storage`.
pub enum TcpListenerStorage {}
/// `struct dill_tcp_storage`.
pub enum TcpStorage {}
/// `struct dill_ipc_listener_storage`.
pub enum IpcListenerStorage {}
/// `struct dill_ipc_storage`.
pub enum IpcStorage {}
/// `struct dill_ipc_pair_storage`.
pub enum IpcPairStorage {}
/// `struct dill_tls_storage`.
pub enum TlsStorage {}
/// `struct dill_udp_storage`.
pub enum UdpStorage {}
/// `struct dill_prefix_storage`.
pub enum PrefixStorage {}
/// `struct dill_suffix_storage`.
pub enum SuffixStorage {}
/// `struct dill_term_storage`.
pub enum TermStorage {}
/// `struct dill_http_storage`.
pub enum HttpStorage {}
/// `struct dill_ws_storage`.
pub enum WsStorage {}

/// Written by programs that were compiled with the portable go macros of libdill; never read.
#[unsafe(no_mangle)]
pub static dill_unoptimisable: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
