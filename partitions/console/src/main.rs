#![no_std]
#![no_main]
use parzelle_rt as _;