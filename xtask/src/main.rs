//! The binary behind `cargo xtask`; what it does stands in the library.

fn main() -> anyhow::Result<()> {
    warmlane_xtask::run()
}
