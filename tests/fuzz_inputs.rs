//! Inputs on which a fuzzer once failed, or similar ones: `fuzz/inputs/TARGET/*`, run through the same code as the
//! fuzz targets. A new finding becomes a file there.

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// Runs the stored inputs of a target, and the shortest inputs.
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
        fn every_stored_input_belongs_to_a_target() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/inputs");
            for entry in fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name();
                assert!([$(stringify!($target)),*].iter().any(|target| name == *target), "{name:?}");
            }
        }
    };
}

targets! { btf clock control filter format_file map names osc_packet perf_data print_fmt record sub_buffer trace_dat }
