//! What the compiler says to people who use `#[guthi::function]` wrongly.
//!
//! `TRYBUILD=overwrite cargo test --test ui` rewrites the expected messages; read the difference.

#[test]
fn mistakes_are_explained_where_they_are_made() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/accepted/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
