//! For Miri, which interprets the tests and knows no assembly: there is no second stack, so nothing that
//! switches can be tried.

pub(crate) mod switch {
    use core::ffi::c_void;

    /// Nothing is saved.
    #[repr(C, align(16))]
    pub(crate) struct Registers(u8);

    impl Registers {
        pub(crate) const fn new() -> Registers {
            Registers(0)
        }

        pub(crate) fn for_program(&self) -> *mut c_void {
            unimplemented!("there is no second stack")
        }
    }

    pub(crate) unsafe extern "C" fn switch(_save: *const Registers, _load: *const Registers) {
        unimplemented!("there is no second stack");
    }

    #[cfg(feature = "sockets")]
    pub(crate) unsafe extern "C" fn call_on_stack(
        argument: *mut c_void,
        function: unsafe extern "C" fn(*mut c_void),
        _top: *mut u8,
    ) {
        // SAFETY: the caller answers for the function and its argument.
        unsafe { function(argument) };
    }
}

pub(crate) mod thread_slot {
    use core::cell::Cell;
    use core::ptr;

    thread_local!(static SLOT: Cell<*const ()> = const { Cell::new(ptr::null()) });

    pub(crate) fn get<T>() -> *const T {
        SLOT.get().cast()
    }

    pub(crate) fn set<T>(value: *const T) {
        SLOT.set(value.cast());
    }
}

pub(super) mod valgrind {
    pub(crate) fn request(_arguments: &[usize; 6]) -> usize {
        0
    }
}

#[cfg(feature = "sockets")]
pub(crate) mod ticks {
    pub(crate) fn now() -> u64 {
        0
    }

    pub(crate) fn per_millisecond() -> u64 {
        1
    }
}

#[cfg(feature = "sockets")]
pub(crate) mod vectors {
    pub(crate) fn are_wide() -> bool {
        false
    }

    pub(crate) unsafe fn run_wide<A, B, C>(f: impl FnOnce(A, B, C), a: A, b: B, c: C) {
        f(a, b, c);
    }
}

#[cfg(feature = "sockets")]
pub(crate) mod utf8 {
    pub(crate) fn is_valid(text: &[u8]) -> bool {
        core::str::from_utf8(text).is_ok()
    }

    #[cfg(test)]
    pub(crate) type Implementation = (&'static str, fn(&[u8]) -> bool);

    #[cfg(test)]
    pub(crate) fn each_implementation() -> Vec<Implementation> {
        vec![("core", is_valid)]
    }
}
