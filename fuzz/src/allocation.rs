//! Files of a few kilobytes are no reason for large allocations: above [`MOST`] the process ends, and libFuzzer keeps the input.

use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes of one allocation. The limits of files and shapes are made so that small files stay far below.
pub const MOST: usize = 256 << 20;

struct Bounded;

/// No panic: whoever tries to reserve would go on.
#[inline(always)]
fn check(bytes: usize) {
    if bytes > MOST {
        too_large(bytes);
    }
}

#[cold]
fn too_large(bytes: usize) -> ! {
    eprintln!("an allocation of {bytes} bytes");
    std::process::abort()
}

// SAFETY: what the system's allocator promises; it does all the work
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static BOUNDED: Bounded = Bounded;
