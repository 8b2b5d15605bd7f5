//! Functions that the process may have or not.

/// The function of a name and a type; None if nobody defines it. That it has this type is for the caller
/// to know.
macro_rules! weak {
    ($name:literal: $type:ty) => {{
        #[cfg(miri)]
        let address = core::ptr::null::<()>();
        #[cfg(not(miri))]
        let address: *const ();
        // SAFETY: reads an entry of the table of addresses, which the loader has filled or left 0.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {0}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(nostack, preserves_flags, readonly, pure),
            );
        }
        // SAFETY: as above.
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address,
                options(nostack, preserves_flags, readonly, pure),
            );
        }
        // SAFETY: the caller knows the type; null is None.
        unsafe { core::mem::transmute::<*const (), Option<$type>>(address) }
    }};
}

pub(crate) use weak;
