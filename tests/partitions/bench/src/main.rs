#![no_std]
#![no_main]
//! x
use test_support as _;
