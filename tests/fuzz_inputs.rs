//! Inputs that a fuzzer once failed on, or that are near to such: `fuzz/inputs/TARGET/*`, run through what the fuzz targets
//! run. A new finding becomes a file there.

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// Runs the kept inputs of a target, and the shortest of inputs.
fn replay(target: &str, run: fn(&[u8])) {
    run(b"");
    run(&[0]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/inputs").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
    }
}

macro_rules! targets {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            replay(stringify!($target), bodies::$target::run);
        }
    )*
        #[test]
        fn every_kept_input_is_of_a_target() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/inputs");
            for entry in fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name();
                assert!([$(stringify!($target)),*].iter().any(|target| name == *target), "{name:?}");
            }
        }
    };
}

targets! { btf clock control filter format_file map names osc_packet perf_data print_fmt record sub_buffer trace_dat }
