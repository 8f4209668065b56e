//! Parameters that cannot travel.
#![allow(unused)]

use std::{borrow::Cow, path::Path};

use guthi::Context;

#[guthi::function]
fn text(name: &str) {}

#[guthi::function]
fn numbers(values: &[u8]) {}

#[guthi::function]
fn path(path: &Path) {}

#[guthi::function]
fn changed(value: &mut Vec<u64>) {}

#[guthi::function]
fn nested(names: Vec<(u8, &'static str)>) {}

#[guthi::function]
fn slice(values: [u8]) {}

#[guthi::function]
fn borrowed(text: Cow<'_, str>) {}

#[guthi::function]
fn promised(values: impl Iterator<Item = u8>) {}

#[guthi::function]
fn object(value: Box<dyn Send>) {}

#[guthi::function]
fn pointer(value: *const u8) {}

#[guthi::function]
fn callback(call: fn(u8) -> u8) {}

#[guthi::function]
fn generic<T: Send>(value: T) {}

#[guthi::function]
fn with_lifetime<'a>(value: Cow<'a, str>) {}

#[guthi::function]
fn sized<const N: usize>(value: [u8; N]) {}

#[guthi::function]
fn context_last(value: u8, context: Context) {}

#[guthi::function]
fn context_changed(context: &mut Context) {}

#[guthi::function]
#[rustfmt::skip]
fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8) {}

fn main() {}
