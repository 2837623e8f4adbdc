// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A heap over the memory that the description leaves to the program (`memory`, or `heap` of the
//! program's metadata). Real-time programs do without; that is why it is a feature.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use linked_list_allocator::Heap;

use crate::partition::Partition;

#[cfg_attr(target_os = "none", global_allocator)]
static HEAP: Locked = Locked { busy: AtomicBool::new(false), heap: UnsafeCell::new(Heap::empty()) };

/// The heap behind a lock that its vCPUs spin on. Not for upcall handlers: they could wait for the
/// code that they interrupted.
struct Locked {
    busy: AtomicBool,
    heap: UnsafeCell<Heap>,
}

// SAFETY: the heap is reached only through `with`, which lets one at a time in.
unsafe impl Sync for Locked {}

impl Locked {
    fn with<T>(&self, work: impl FnOnce(&mut Heap) -> T) -> T {
        while self.busy.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        // SAFETY: `busy` was false and is true now: no other reference lives.
        let result = work(unsafe { &mut *self.heap.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}

/// Gives the allocator its memory; called once at the start.
pub(crate) fn init(partition: &Partition) {
    let header = partition.header();
    let (start, bytes) = (header.heap as *mut u8, header.heap_bytes as usize);
    if bytes != 0 {
        // SAFETY: the tool leaves this range to the program's heap and to nothing else.
        HEAP.with(|heap| unsafe { heap.init(start, bytes) });
    }
}

// SAFETY: `Heap` gives out distinct blocks of the layout asked for; the lock serialises.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.with(|heap| heap.allocate_first_fit(layout));
        block.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller returns a block that `alloc` gave for this layout.
            self.with(|heap| unsafe { heap.deallocate(block, layout) });
        }
    }
}
